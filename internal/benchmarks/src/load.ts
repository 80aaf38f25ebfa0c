import type { LoadOrder, LoadReport } from './orders.js'
import { connect, type Connection } from './wire.js'

/** Follows chains of rotations as their clients would, and counts whatever is not a new pair of tokens. */
async function run({ target, chains, clients, most }: LoadOrder): Promise<LoadReport> {
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
      const successor = status === 200 ? successorIn(body) : null
      if (successor === null || (successor === presented && target.constant !== true)) {
        const error = `${String(status)} ${body.slice(0, 200)}`
        errors[error] = (errors[error] ?? 0) + 1
        return
      }
      held[chain] = successor
    }
  }

  const rest = stayAwake()
  await Promise.all(connections.map((connection, index) => client(connection, index)))
  rest()
  const seconds = (performance.now() - startedAt) / 1000
  for (const connection of connections) connection.close()
  const rotations = latencies.length
  return { type: 'ran', seconds, rotations, latencies: Float64Array.from(latencies), chains: held, errors }
}

/**
 * Never sleeps until `rest` is called: to wake a process on another core costs some microseconds, and a server would pay them for each
 * of its answers, the more of them the slower it is.
 */
function stayAwake(): () => void {
  let isAwake = true
  const look = () => {
    if (isAwake) setImmediate(look)
  }
  look()
  return () => {
    isAwake = false
  }
}

/** Looks for both tokens without parsing: the generator must cost less than what it measures. */
function successorIn(body: string): string | null {
  if (!body.includes('"access_token":"')) return null
  return /"refresh_token":"([^"]+)"/.exec(body)?.[1] ?? null
}

process.on('message', (order: LoadOrder) => {
  const failed = (error: unknown): LoadReport => ({ type: 'failed', message: String(error) })
  void run(order)
    .catch(failed)
    .then((report) => process.send?.(report))
})
