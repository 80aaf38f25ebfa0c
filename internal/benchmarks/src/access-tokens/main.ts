import { parseArgs } from 'node:util'
import { connect, type Connection } from '../wire.js'
import { startWorker } from '../workers.js'
import { measureFirstSight, measureGarbage, median } from './in-process.js'
import type { Route } from './routes.js'
import type { TokenServerReport, TokenServerRequest } from './server.js'

/*
 * The section "access tokens": the CPU time of a protected route, in short turns within one run, so that changes in the load of the
 * machine affect all rows alike.
 *
 *   node --expose-gc internal/benchmarks/dist/access-tokens/main.js            # about two minutes
 *   node internal/benchmarks/dist/access-tokens/main.js node/ fastify/         # the rows whose names contain one of these
 */

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    turns: { type: 'string' },
    seconds: { type: 'string' },
    garbage: { type: 'string' },
    clients: { type: 'string', default: '16' },
    tokens: { type: 'string', default: '500' },
  },
})
const turns = Number(flags.turns ?? (flags.quick ? 1 : 11))
const milliseconds = Number(flags.seconds ?? (flags.quick ? 0.1 : 0.3)) * 1000
const garbageCount = Number(flags.garbage ?? (flags.quick ? 2000 : 1_000_000))

/** The JIT compiler needs some thousand requests to each route. */
const WARM_TURNS = 5

await measureRoutes()
await measureTokens()

async function measureRoutes(): Promise<void> {
  const server = startWorker<TokenServerRequest, TokenServerReport>(new URL('server.js', import.meta.url), 0)
  try {
    const started = await server.ask({ type: 'start', tokens: Number(flags.tokens) })
    if (started.type !== 'listening') throw new Error('the server is not listening')
    const { routes, ...tokens } = started
    const chosen = routes.filter(
      ({ name }) => names.length === 0 || isBare(name) || names.some((part) => name.includes(part)),
    )
    const figures = new Map<string, number[]>(chosen.map(({ name }) => [name, []]))
    for (const route of chosen) await load(route, tokens[route.token], milliseconds * WARM_TURNS)
    for (let turn = 0; turn < turns; turn += 1)
      for (const route of chosen) {
        await server.ask({ type: 'usage' })
        await load(route, tokens[route.token], milliseconds)
        const report = await server.ask({ type: 'usage' })
        if (report.type === 'used') figures.get(route.name)?.push(report.cpuMicros)
      }
    printRoutes(figures)
  } finally {
    await server.stop()
  }
}

function isBare(name: string): boolean {
  return name.endsWith('/bare')
}

/** Prints the median of each row, and the median of its differences to the bare route in the same turn. */
function printRoutes(figures: ReadonlyMap<string, readonly number[]>): void {
  console.log('| route | CPU µs per request | above the bare route |')
  console.log('| --- | ---: | ---: |')
  for (const [name, values] of figures) {
    const bare = figures.get(`${name.slice(0, name.indexOf('/'))}/bare`) ?? []
    const above = median(values.map((value, turn) => value - (bare[turn] ?? NaN)))
    console.log(`| ${name} | ${median(values).toFixed(1)} | ${isBare(name) ? '–' : above.toFixed(1)} |`)
  }
}

/** Sends requests on keep-alive connections for one turn. Throws for a response that is not 200. */
async function load({ port, path, name }: Route, tokens: readonly string[], duration: number): Promise<void> {
  const connections = await Promise.all(Array.from({ length: Number(flags.clients) }, () => connect(port)))
  const endsAt = performance.now() + duration
  let sent = 0

  async function client(connection: Connection): Promise<void> {
    while (performance.now() < endsAt) {
      sent += 1
      const { status, body } = await connection.get(path, `Bearer ${tokens[sent % tokens.length] ?? ''}`)
      if (status !== 200) throw new Error(`${name} returned ${String(status)} ${body.slice(0, 100)}`)
    }
  }

  try {
    await Promise.all(connections.map(client))
  } finally {
    for (const connection of connections) connection.close()
  }
}

async function measureTokens(): Promise<void> {
  const figures = await measureFirstSight(turns, flags.quick ? 20 : 500)
  const [raw = NaN] = figures.values()
  console.log('\n| first verification of an ES256 token | CPU µs | × crypto.verify |')
  console.log('| --- | ---: | ---: |')
  for (const [name, micros] of figures) console.log(`| ${name} | ${micros.toFixed(1)} | ${(micros / raw).toFixed(2)} |`)
  const { hitRate, heapBytes, cpuMicros } = await measureGarbage(garbageCount)
  const heap =
    globalThis.gc === undefined
      ? 'run with --expose-gc for the heap'
      : `heap ${(heapBytes / 1024).toFixed(0)} KiB larger`
  console.log(
    `\n${String(garbageCount)} different invalid tokens: ${(hitRate * 100).toFixed(2)} % of valid ones found in the cache, ${heap}, ` +
      `${cpuMicros.toFixed(1)} µs per request`,
  )
}
