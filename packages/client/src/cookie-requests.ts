import { SessionError } from '@baton/client'
import type { RunRequest, SharedState } from './endpoints.js'
import { locked } from './locked.js'
import { randomText, within } from './timing.js'

/** The longest time that a request which sets the cookie may take. */
const MAX_SECONDS = 60
const POLL_MS = 1000

/**
 * Sends one request that sets the cookie at a time. Browsers apply such responses in the order in which they arrive, and nobody can
 * end a session whose cookie was overwritten by that of another one. If the lock is not granted in time, the request is sent
 * without it, unless the storage says that another one is in flight.
 */
export function oneAtATime(state: SharedState): RunRequest {
  const { environment, vault } = state

  function mark(busyUntil: number | undefined): Promise<unknown> {
    const session = { state: 'unknown', attempt: randomText(environment) } as const
    return vault.change((record) => ({ session, revocations: [], ...record, busyUntil }))
  }

  async function isBusy(): Promise<boolean> {
    const record = await vault.read()
    const leftMs = (record?.busyUntil ?? 0) - environment.now()
    // A clock that was set back must not delay this request for longer than the other one can take.
    return leftMs > 0 && leftMs <= MAX_SECONDS * 1000
  }

  function inTime<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    let given: AbortSignal | undefined
    return within(environment, MAX_SECONDS, (signal) => send((given = signal))).catch((error: unknown) => {
      throw given?.aborted === true ? new SessionError('timeout', 'no response') : error
    })
  }

  return async (send) => {
    for (;;) {
      const result = await locked(state, async (lock) => {
        if (lock !== 'held' && (await isBusy())) return null
        await mark(environment.now() + MAX_SECONDS * 1000)
        return { value: await inTime(send).finally(() => mark(undefined)) }
      })
      if (result !== null) return result.value
      await new Promise<void>((resolve) => environment.setTimer(POLL_MS, resolve))
    }
  }
}
