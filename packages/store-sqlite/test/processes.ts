import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import type { Order, Report } from './orders.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const packages = fileURLToPath(new URL('../../', import.meta.url))

/** Bundles the worker from the sources, beneath this package so that it finds the driver, and returns its path. */
export async function buildWorker(): Promise<{ path: string; remove: () => void }> {
  const parent = join(here, '../node_modules/.baton-test')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'worker-'))
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: [{ find: /^@baton\/([^/]+)$/, replacement: `${packages}$1/src/index.ts` }] },
    ssr: { external: ['better-sqlite3'] },
    build: {
      ssr: fileURLToPath(new URL('./worker.ts', import.meta.url)),
      outDir: folder,
      rolldownOptions: { output: { entryFileNames: 'worker.mjs' } },
    },
  })
  return { path: join(folder, 'worker.mjs'), remove: () => rmSync(folder, { recursive: true }) }
}

/** Another process. Its reports are read one after the other, none is lost. */
export interface Worker {
  tell(order: Order): void
  /** The next report; null when the process has ended and told nothing more. */
  next(): Promise<Report | null>
  kill(): Promise<void>
}

export function startWorker(path: string): Worker {
  const child = fork(path, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const reports: Report[] = []
  let wake: () => void = () => undefined
  child.on('message', (report: Report) => {
    reports.push(report)
    wake()
  })
  // What was sent before the process died arrives before the channel is closed.
  const gone = Promise.all([once(child, 'exit'), once(child, 'disconnect')]).then(() => {
    wake()
  })
  return {
    tell: (order) => void child.send(order, () => undefined),
    async next() {
      for (;;) {
        const report = reports.shift()
        if (report?.type === 'failed') throw new Error(report.message)
        if (report !== undefined) return report
        if (hasEnded(child)) return null
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}

function hasEnded(child: ChildProcess): boolean {
  return !child.connected && (child.exitCode !== null || child.signalCode !== null)
}
