import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Order, Report } from './orders.js'

/** Another process. Its reports are queued and returned in order. */
export interface Worker {
  tell(order: Order): void
  /** Resolves to the next report; null if the process has ended without a further one. Rejects if the worker reports an error. */
  next(): Promise<Report | null>
  /** Opens a store in the worker and resolves when it is open. */
  open(settings: unknown): Promise<void>
  /** Sends SIGKILL. Resolves when the process has ended. */
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
  // Messages that were sent before the process ended arrive before the channel is closed.
  const gone = Promise.all([once(child, 'exit'), once(child, 'disconnect')]).then(() => {
    wake()
  })

  function tell(order: Order): void {
    // An error is ignored: `next` resolves to null if the process has ended.
    child.send(order, () => undefined)
  }

  async function next(): Promise<Report | null> {
    for (;;) {
      const report = reports.shift()
      if (report?.type === 'failed') throw new Error(report.message)
      if (report !== undefined) return report
      if (hasEnded(child)) return null
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  return {
    tell,
    next,
    async open(settings) {
      tell({ type: 'open', settings })
      const report = await next()
      if (report?.type !== 'done') throw new Error('a worker did not open its store')
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
