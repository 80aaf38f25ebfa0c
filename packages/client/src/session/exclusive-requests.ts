import { SessionError } from '../platform/errors.js'
import type { RunRequest, SessionContext } from './context.js'
import { withLock } from './with-lock.js'
import { randomText, within } from '../platform/timing.js'

/** The maximum duration of a request that sets the cookie. */
const MAX_SECONDS = 60
const POLL_MS = 1000

/**
 * Runs requests that set the cookie one at a time. Browsers apply such responses in the order of their arrival, and a session whose cookie
 * was overwritten can no longer be ended. If the lock is not granted in time, the request is sent without it, unless another one is in
 * flight according to the storage.
 */
export function createExclusiveRunner(state: SessionContext): RunRequest {
  const { environment, records } = state

  function begin(inFlight: string): Promise<unknown> {
    const session = { state: 'unknown', generationId: inFlight } as const
    return records.change((record) => ({ session, revocations: [], ...record, inFlight }))
  }

  function end(inFlight: string): Promise<unknown> {
    return records.change((record) => (record?.inFlight === inFlight ? { ...record, inFlight: undefined } : null))
  }

  /** Returns true if another request is in flight. An entry that is older than the maximum duration was left by a page that is gone. */
  function createWatch(): () => Promise<boolean> {
    let seen: string | undefined
    let since = 0
    return async () => {
      const inFlight = (await records.read())?.inFlight
      // Measured with the monotonic clock.
      if (inFlight !== seen) since = environment.elapsed()
      seen = inFlight
      return inFlight !== undefined && environment.elapsed() - since < MAX_SECONDS * 1000
    }
  }

  function inTime<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    let given: AbortSignal | undefined
    return within(environment, MAX_SECONDS, (signal) => send((given = signal))).catch((error: unknown) => {
      throw given?.aborted === true ? new SessionError('timeout', 'no response') : error
    })
  }

  return async (send) => {
    const isBusy = createWatch()
    const id = randomText(environment)
    for (;;) {
      const result = await withLock(state, async (lock) => {
        if (lock !== 'held' && (await isBusy())) return null
        await begin(id)
        return { value: await inTime(send).finally(() => end(id)) }
      })
      if (result !== null) return result.value
      await new Promise<void>((resolve) => environment.setTimer(POLL_MS, resolve))
    }
  }
}
