import type { TokenStore } from '@baton/core'
import type { Report } from './orders.js'
import type { Worker } from './worker.js'

const METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce'] as const

/** Returns a store that sends all calls to the store of a worker. Calls reject after the process has ended. */
export function remoteStore(worker: Worker): TokenStore {
  const waiting = new Map<number, (report: Report | null) => void>()
  let calls = 0

  async function handOut(): Promise<void> {
    while (waiting.size > 0) {
      const report = await worker.next()
      for (const [number, settle] of [...waiting]) {
        if (report !== null && !('number' in report && report.number === number)) continue
        waiting.delete(number)
        settle(report)
      }
    }
  }

  function call(method: keyof TokenStore, input: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const number = (calls += 1)
      waiting.set(number, (report) => {
        if (report?.type === 'resolved') resolve(report.result)
        else reject(new Error(report?.type === 'rejected' ? report.message : 'the process has ended'))
      })
      worker.tell({ type: 'call', number, method, input })
      if (waiting.size === 1) handOut().catch(reject)
    })
  }

  return Object.fromEntries(
    METHODS.map((method) => [method, (...input: unknown[]) => call(method, input)]),
  ) as unknown as TokenStore
}
