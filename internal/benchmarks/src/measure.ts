import type { Engines, LoadReport, Target, Usage } from './messages.js'
import type { Row } from './row.js'
import { startLoad, startServer } from './workers.js'

export interface Plan {
  readonly clients: number
  /** The warm-up before a round: the JIT compiler needs about ten thousand rotations. */
  readonly warmMilliseconds: number
  /** A round ends at the first limit. */
  readonly rotations: number
  readonly maxMilliseconds: number
  /** Directory for CPU profiles of the server (`--cpu-prof`); null for none. */
  readonly profiles: string | null
}

export interface Speed {
  readonly requestsPerSecond: number
  /** CPU time per rotation of the server process, with all threads and without the engine. */
  readonly cpuMicros: number
  readonly latencies: Float64Array
  readonly residentBytes: number
}

/**
 * Starts the server of the row, warms it up and measures one round. Rejects if any response is not a new pair of
 * tokens.
 */
export async function measureSpeed(row: Row, engines: Engines, plan: Plan): Promise<Speed> {
  return withServer({ row, engines, profiles: plan.profiles }, async ({ target, server, load }) => {
    const chains = await server.issue(plan.clients)
    const most = { milliseconds: plan.maxMilliseconds, rotations: plan.rotations }
    const warmUp = { milliseconds: plan.warmMilliseconds, rotations: Infinity }
    const warm = await load(target, chains, plan.clients, warmUp)
    await server.usage()
    const ran = await load(target, warm.chains, plan.clients, most)
    const { cpuMicros, residentBytes } = await server.usage()
    return {
      requestsPerSecond: ran.rotations / ran.seconds,
      cpuMicros,
      latencies: ran.latencies,
      residentBytes,
    }
  })
}

export interface Size {
  /** Commands per rotation from the server to its engine. */
  readonly commands: number
  readonly bytesPerSession: number
  /** Bytes per rotation that remain in the engine. */
  readonly bytesPerRotation: number
}

/** Rotates each of many sessions a few times and compares the size of the engine before and after. */
export async function measureSize(
  row: Row,
  engines: Engines,
  { sessions, turns }: { sessions: number; turns: number },
): Promise<Size> {
  return withServer({ row, engines, profiles: null }, async ({ target, server, load }) => {
    const clients = 32
    const some = { milliseconds: Infinity, rotations: clients * 20 }
    // Code and tables that are created once must not count as part of the sessions.
    await load(target, await server.issue(clients), clients, some)
    const empty = await server.stored()
    const chains = await server.issue(sessions)
    const first = await load(target, chains, clients, { milliseconds: Infinity, rotations: sessions })
    const full = await server.stored()
    const before = await server.usage()
    const ran = await load(target, first.chains, clients, { milliseconds: Infinity, rotations: sessions * turns })
    const after = await server.usage()
    const left = (await server.stored()) - full
    return {
      commands: (after.commands - before.commands) / ran.rotations,
      bytesPerSession: (full - empty) / sessions,
      bytesPerRotation: left / ran.rotations,
    }
  })
}

interface Parts {
  readonly target: Target
  readonly server: {
    issue(count: number): Promise<readonly string[]>
    usage(): Promise<Usage>
    stored(): Promise<number>
  }
  readonly load: (
    target: Target,
    chains: readonly string[],
    clients: number,
    most: { milliseconds: number; rotations: number },
  ) => Promise<Extract<LoadReport, { type: 'ran' }>>
}

/** Starts the server of the row and a load generator, and stops both afterwards. */
async function withServer<Result>(start: StartedRow, use: (parts: Parts) => Promise<Result>): Promise<Result> {
  const { stop, ...parts } = await startRow(start)
  try {
    return await use(parts)
  } finally {
    await stop()
  }
}

interface StartedRow {
  readonly row: Row
  readonly engines: Engines
  readonly profiles: string | null
  /** The directory of another built harness; default this one. */
  readonly folder?: URL
}

/** Starts the server of the row and a load generator. */
export async function startRow({
  row,
  engines,
  profiles,
  folder,
}: StartedRow): Promise<Parts & { readonly stop: () => Promise<void> }> {
  const server = startServer(profiles, folder)
  const generator = startLoad(folder)
  async function stop(): Promise<void> {
    await generator.stop()
    await server.stop()
  }
  const target = await server.ask({ type: 'start', row, engines }).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  if (target.type !== 'listening') throw new Error('the server is not listening')
  return {
    stop,
    target,
    server: {
      async issue(count) {
        const report = await server.ask({ type: 'issue', count })
        return report.type === 'issued' ? report.refreshTokens : []
      },
      async usage() {
        const report = await server.ask({ type: 'usage' })
        if (report.type !== 'used') throw new Error('the server did not report its usage')
        return report
      },
      async stored() {
        const report = await server.ask({ type: 'stored' })
        return report.type === 'stored' ? report.bytes : NaN
      },
    },
    async load(to, chains, clients, most) {
      const report = await generator.ask({ target: to, chains, clients, most })
      if (report.type === 'failed') throw new Error(report.message)
      const errors = Object.entries(report.errors)
      if (errors.length > 0) throw new Error(errors.map(([error, count]) => `${String(count)} × ${error}`).join('; '))
      return report
    },
  }
}
