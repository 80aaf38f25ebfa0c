import { SessionError } from '../platform/errors.js'
import type { SessionContext } from './context.js'
import { fraction } from '../platform/timing.js'

/** How often a request is sent before its error is returned; the session stays. */
const TRIES = 3
/** Back-off: from nothing up to this, doubled at each try. */
const BACK_OFF_MS = 1000
/** A longer pause ends the retries instead of holding their callers. */
const PATIENCE_MS = 15_000

/** Repeats what resolves with `unavailable`, with full jitter, on top of what the server asked for. */
export async function retry<T>(
  { environment, emit }: SessionContext,
  send: () => Promise<T | SessionError>,
): Promise<T | SessionError> {
  for (let tries = 1; ; tries += 1) {
    const result = await send()
    if (!(result instanceof SessionError) || result.code !== 'unavailable' || tries === TRIES) return result
    const pauseMs = Math.max(0, (result.until ?? 0) - environment.now())
    const waitMs = pauseMs + Math.floor(fraction(environment) * BACK_OFF_MS * 2 ** (tries - 1))
    if (waitMs > PATIENCE_MS) return result
    emit('retrying', { tries, waitMs, reason: result.reason })
    await new Promise<void>((resolve) => environment.setTimer(waitMs, resolve))
  }
}
