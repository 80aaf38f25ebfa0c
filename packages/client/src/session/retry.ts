import { SessionError } from '../platform/errors.js'
import type { SessionContext } from './context.js'
import { randomFraction } from '../platform/timing.js'

/** How often a request is sent before its error is returned. */
const MAX_TRIES = 3
/** Upper bound of the random backoff, doubled with each attempt. */
const MAX_BACKOFF_MS = 1000
/** If the wait is longer, the error is returned instead. */
const MAX_WAIT_MS = 15_000

/** Repeats a request that failed with `unavailable`, with full jitter in addition to `Retry-After`. */
export async function retry<T>(
  { environment, emit }: SessionContext,
  send: () => Promise<T | SessionError>,
): Promise<T | SessionError> {
  for (let tries = 1; ; tries += 1) {
    const result = await send()
    if (!(result instanceof SessionError) || result.code !== 'unavailable' || tries === MAX_TRIES) return result
    const pauseMs = Math.max(0, (result.until ?? 0) - environment.now())
    const waitMs = pauseMs + Math.floor(randomFraction(environment) * MAX_BACKOFF_MS * 2 ** (tries - 1))
    if (waitMs > MAX_WAIT_MS) return result
    emit('retrying', { tries, waitMs, reason: result.reason })
    await new Promise<void>((resolve) => environment.setTimer(waitMs, resolve))
  }
}
