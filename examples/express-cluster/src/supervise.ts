import cluster, { type Worker } from 'node:cluster'
import type { Environment } from '@baton-examples/shared'

const PAUSE_MS = 1_000

/**
 * Keeps `count` workers listening on one port. The first one shows whether the settings are any good: if it ends before it listens,
 * so does everything. Later ones are replaced when they end. SIGTERM and SIGINT end all workers gently, and then this process.
 */
export function supervise(count: number, { origin, secrets }: Environment): void {
  const workers = new Set<Worker>()
  const listening = new Set<Worker>()
  let announced = false
  let stopping = false

  function start() {
    if (stopping) return
    // A secret that was made up for development has to be the same in all of them.
    workers.add(cluster.fork({ BATON_SECRET: secrets.join(',') }))
  }

  function stop() {
    stopping = true
    for (const worker of workers) worker.process.kill('SIGTERM')
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)

  cluster.on('listening', (worker) => {
    listening.add(worker)
    if (announced) return
    while (workers.size < count) start()
    announced = listening.size === count
    if (announced) console.log(`listening on ${origin}`)
  })

  cluster.on('exit', (worker, code, signal: string | null) => {
    workers.delete(worker)
    const hasListened = listening.delete(worker)
    if (!announced && !stopping) {
      process.exitCode = 1
      stop()
    }
    if (stopping) {
      if (workers.size === 0) process.exit()
      return
    }
    console.warn(`worker ${String(worker.process.pid)} ended (${signal ?? code}), another one takes its place`)
    setTimeout(start, hasListened ? 0 : PAUSE_MS)
  })

  start()
}
