import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TokenStore } from '@baton/core'
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

const METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'purge', 'remember'] as const

/** A store on this file in that process, used as if it were here. Calls that the process cannot answer any longer reject. */
export async function openStoreIn(worker: Worker, driver: string, path: string): Promise<TokenStore> {
  worker.tell({ type: 'open', driver, path, now: 0 })
  const opened = await worker.next()
  if (opened?.type !== 'done') throw new Error('the process did not open the file')
  const waiting = new Map<number, (report: Report | null) => void>()
  let calls = 0

  async function handOut(): Promise<void> {
    while (waiting.size > 0) {
      const report = await worker.next()
      for (const [number, answer] of [...waiting]) {
        if (report !== null && !('number' in report && report.number === number)) continue
        waiting.delete(number)
        answer(report)
      }
    }
  }

  function call(method: keyof TokenStore, input: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const number = (calls += 1)
      waiting.set(number, (report) => {
        if (report?.type === 'answered') resolve(report.answer)
        else reject(new Error(report?.type === 'refused' ? report.message : 'the process has died'))
      })
      worker.tell({ type: 'call', number, method, input })
      if (waiting.size === 1) handOut().catch(reject)
    })
  }

  return Object.fromEntries(
    METHODS.map((method) => [method, (...input: unknown[]) => call(method, input)]),
  ) as unknown as TokenStore
}

function hasEnded(child: ChildProcess): boolean {
  return !child.connected && (child.exitCode !== null || child.signalCode !== null)
}
