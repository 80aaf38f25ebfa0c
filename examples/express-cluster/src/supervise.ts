import cluster, { type Worker } from 'node:cluster'
import { type Environment, warnAboutDerivedSecrets } from '@baton-examples/shared'

const PAUSE_MS = 1_000

/**
 * Keeps `count` workers listening on one port. If the first one exits before it listens, the settings are wrong and this process exits.
 * Later ones are replaced when they exit. SIGTERM and SIGINT shut down all workers and then this process.
 */
export function supervise(count: number, env: Environment): void {
  const workers = new Set<Worker>()
  // Random or derived secrets must be the same in all workers.
  const secrets = {
    BATON_SECRET: env.secrets.join(','),
    SIGNING_SECRET: env.signingSecrets.join(','),
    CODE_SECRET: env.codeSecrets.join(','),
  }
  const listening = new Set<Worker>()
  let announced = false
  let stopping = false

  function start() {
    if (stopping) return
    workers.add(cluster.fork(secrets))
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
    if (!announced) return
    warnAboutDerivedSecrets(env)
    console.log(`listening on ${env.origin}`)
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
    console.warn(`worker ${String(worker.process.pid)} exited (${signal ?? code}) and is replaced`)
    setTimeout(start, hasListened ? 0 : PAUSE_MS)
  })

  start()
}
