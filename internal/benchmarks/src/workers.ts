import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { LoadRequest, LoadReport, ServerRequest, ServerReport } from './messages.js'

interface Worker<Order, Report> {
  ask(message: Order): Promise<Report>
  stop(): Promise<void>
}

/** The server runs on the first core, and everything else on the others, as far as the machine supports it. */
export const startServer = (profiles: string | null, folder = HERE) =>
  startWorker<ServerRequest, ServerReport>(new URL('server.js', folder), 0, [
    '--expose-gc',
    ...(profiles === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`]),
  ])

export const startLoad = (folder = HERE) => startWorker<LoadRequest, LoadReport>(new URL('load.js', folder), 1)

const HERE = new URL('.', import.meta.url)

const canPin = cpus().length > 1 && hasTaskset()

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['--version'])
    return true
  } catch {
    return false
  }
}

/** Starts a program on one core. It answers each message with one message. */
export function startWorker<Order extends object, Report extends { type: string }>(
  file: URL,
  core: number,
  execArgv: string[] = [],
): Worker<Order, Report> {
  const path = fileURLToPath(file)
  const child = fork(path, { execArgv, serialization: 'advanced', env: { ...process.env, NODE_ENV: 'production' } })
  pin(child, core)
  return {
    async ask(message) {
      child.send(message)
      const heard = new AbortController()
      const listening = { signal: heard.signal }
      const report = await Promise.race([
        once(child, 'message', listening).then(([message]) => message as Report),
        once(child, 'exit', listening).then(([code]) =>
          Promise.reject(new Error(`${path} exited with ${String(code)}`)),
        ),
      ]).finally(() => heard.abort())
      if (report.type === 'failed') throw new Error((report as unknown as { message: string }).message)
      return report
    },
    async stop() {
      if (child.exitCode !== null) return
      const gone = once(child, 'exit')
      child.disconnect()
      await gone
    },
  }
}

/** Pins all threads. Without taskset or with one core the kernel decides. */
function pin(child: ChildProcess, core: number): void {
  if (canPin) execFileSync('taskset', ['-a', '-p', '-c', String(core), String(child.pid)])
}
