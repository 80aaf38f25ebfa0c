import cluster, { type Worker } from 'node:cluster'
import { type Environment, warnOfDerivedSecrets } from '@baton-examples/shared'

const PAUSE_MS = 1_000

/**
 * Keeps `count` workers listening on one port. The first one shows whether the settings are any good: if it ends before it listens,
 * so does everything. Later ones are replaced when they end. SIGTERM and SIGINT end all workers gently, and then this process.
 */
export function supervise(count: number, env: Environment): void {
  const workers = new Set<Worker>()
  // Secrets that were made up or derived for development have to be the same in all workers.
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
    warnOfDerivedSecrets(env)
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
    console.warn(`worker ${String(worker.process.pid)} ended (${signal ?? code}), another one takes its place`)
    setTimeout(start, hasListened ? 0 : PAUSE_MS)
  })

  start()
}
