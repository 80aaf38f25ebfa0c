import { SessionError } from '../platform/errors.js'
import type { RunRequest, SessionContext } from './context.js'
import { withLock } from './with-lock.js'
import { randomText, within } from '../platform/timing.js'

/** The longest time that a request which sets the cookie may take. */
const MAX_SECONDS = 60
const POLL_MS = 1000

/**
 * Sends one request that sets the cookie at a time. Browsers apply such responses in the order in which they arrive, and nobody can
 * end a session whose cookie was overwritten by that of another one. If the lock is not granted in time, the request is sent
 * without it, unless the storage says that another one is in flight.
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

  /** Whether another request is in flight. One that was seen for as long as a request can take was left behind by a page. */
  function createWatch(): () => Promise<boolean> {
    let seen: string | undefined
    let since = 0
    return async () => {
      const inFlight = (await records.read())?.inFlight
      // By the clock that cannot be set.
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
