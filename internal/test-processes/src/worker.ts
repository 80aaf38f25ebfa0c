import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Order, Report } from './orders.js'

/** Another process. Its reports are read one after the other, none is lost. */
export interface Worker {
  tell(order: Order): void
  /** The next report; null when the process has ended and told nothing more. Rejects when it tells of an error. */
  next(): Promise<Report | null>
  /** Tells it to open a store, and resolves once it has. */
  open(settings: unknown): Promise<void>
  /** SIGKILL. Resolves when the process is gone, also when it was already. */
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

  function tell(order: Order): void {
    // One that has died cannot be told anything; what it left unanswered shows in its reports.
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
