import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { TokenStore } from '@baton/core'

const PROGRAM = fileURLToPath(new URL('other-process.mjs', import.meta.url))
const METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce'] as const

interface Report {
  readonly number: number
  readonly answer?: unknown
  readonly error?: string
}

/** Starts a separate process with stores that this process can call. Calls reject once it has died. */
export function otherProcess() {
  const child = fork(PROGRAM, { execArgv: [] })
  const waiting = new Map<number, (report: Report) => void>()
  let calls = 0
  child.on('message', (report: Report) => {
    waiting.get(report.number)?.(report)
    waiting.delete(report.number)
  })
  const deleted = once(child, 'exit').then(() => {
    for (const [number, answer] of waiting) answer({ number, error: 'the process has died' })
  })

  function call(folder: string, method: string, input: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const number = (calls += 1)
      waiting.set(number, ({ answer, error }) => {
        if (error === undefined) resolve(answer)
        else reject(new Error(error))
      })
      child.send({ number, folder, method, input }, (error) => error && reject(error))
    })
  }

  return {
    storeIn: (folder: string) =>
      Object.fromEntries(
        METHODS.map((method) => [method, (...input: unknown[]) => call(folder, method, input)]),
      ) as unknown as TokenStore,
    async kill() {
      child.kill('SIGKILL')
      await deleted
    },
  }
}
