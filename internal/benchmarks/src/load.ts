import type { LoadRequest, LoadReport } from './messages.js'
import { connect, type Connection } from './wire.js'

/** Refreshes in chains, as clients do, and counts responses without a new pair of tokens. */
async function run({ target, chains, clients, most }: LoadRequest): Promise<LoadReport> {
  const held = [...chains]
  const latencies: number[] = []
  const errors: Record<string, number> = {}
  const connections = await Promise.all(Array.from({ length: clients }, () => connect(target.port)))
  const startedAt = performance.now()
  const endsAt = startedAt + most.milliseconds
  let begun = 0

  async function client(connection: Connection, first: number): Promise<void> {
    for (let chain = first; begun < most.rotations; chain = chain + clients < held.length ? chain + clients : first) {
      const sentAt = performance.now()
      if (sentAt >= endsAt) return
      begun += 1
      const presented = held[chain] ?? ''
      const { status, body } = await connection.post(target.path, target.form + encodeURIComponent(presented))
      latencies.push(performance.now() - sentAt)
      const successor = status === 200 ? findSuccessor(body) : null
      if (successor === null || (successor === presented && target.constant !== true)) {
        const error = `${String(status)} ${body.slice(0, 200)}`
        errors[error] = (errors[error] ?? 0) + 1
        return
      }
      held[chain] = successor
    }
  }

  const rest = keepAwake()
  await Promise.all(connections.map((connection, index) => client(connection, index)))
  rest()
  const seconds = (performance.now() - startedAt) / 1000
  for (const connection of connections) connection.close()
  const rotations = latencies.length
  return { type: 'ran', seconds, rotations, latencies: Float64Array.from(latencies), chains: held, errors }
}

/**
 * Keeps the event loop busy until the returned function is called. Waking a process on another core takes microseconds,
 * which would count against the server.
 */
function keepAwake(): () => void {
  let isAwake = true
  const look = () => {
    if (isAwake) setImmediate(look)
  }
  look()
  return () => {
    isAwake = false
  }
}

/** Searches both tokens without parsing, so that the generator costs less than the server. */
function findSuccessor(body: string): string | null {
  if (!body.includes('"access_token":"')) return null
  return /"refresh_token":"([^"]+)"/.exec(body)?.[1] ?? null
}

process.on('message', (message: LoadRequest) => {
  const failed = (error: unknown): LoadReport => ({ type: 'failed', message: String(error) })
  void run(message)
    .catch(failed)
    .then((report) => process.send?.(report))
})
