import { report } from '../pipeline/report.js'
import type { FixedWindowCounter } from './fixed-window-counter.js'
import type { Count, Counted, Counter, Limiter } from './limiter.js'

/** A limiter that is slower than this counts as down; counting must not delay every request. */
const MAX_WAIT_MS = 500

export interface SharedCounterOptions {
  readonly points: number
  /** Counts while the limiter is down. */
  readonly fallback: FixedWindowCounter
  readonly onError: (error: unknown) => unknown
}

/** Counts in this process. */
export function localCounter(windows: FixedWindowCounter): Counter {
  return { count: (key) => countLocally(windows, key) }
}

/** Counts in a shared limiter; in this process whenever that does not respond. Reports the failure once per outage. */
export function sharedCounter(limiter: Limiter, { points, fallback, onError }: SharedCounterOptions): Counter {
  let isDown = false
  function failed(cause: unknown): void {
    if (!isDown) report(new Error('a rate limiter failed; counting in this process', { cause }), onError)
    isDown = true
  }
  async function giveBack(key: string): Promise<void> {
    try {
      await within(MAX_WAIT_MS, () => limiter.reward(key, 1))
    } catch (cause) {
      failed(cause)
    }
  }
  return {
    async count(key) {
      const counted = (count: Count | null): Counted => ({ count, isShared: true, giveBack: () => giveBack(key) })
      try {
        const result = await within(MAX_WAIT_MS, () => limiter.consume(key))
        isDown = false
        return counted(isCount(result) ? result : null)
      } catch (cause) {
        if (isExhausted(cause)) return counted({ consumedPoints: points + 1, msBeforeNext: cause.msBeforeNext })
        failed(cause)
        return countLocally(fallback, key)
      }
    },
  }
}

function countLocally(windows: FixedWindowCounter, key: string): Counted {
  const count = windows.count(key)
  return { count, isShared: false, giveBack: count.giveBack }
}

/** What limiters of rate-limiter-flexible resolve with; of others nothing is known but that they let the request pass. */
function isCount(result: unknown): result is Count {
  return isExhausted(result) && 'consumedPoints' in result && typeof result.consumedPoints === 'number'
}

/** Returns true if a limiter rejected because no points are left. By shape: the app may have another copy of the package. */
function isExhausted(rejection: unknown): rejection is Pick<Count, 'msBeforeNext'> {
  return (
    typeof rejection === 'object' &&
    rejection !== null &&
    'msBeforeNext' in rejection &&
    typeof rejection.msBeforeNext === 'number'
  )
}

async function within<Result>(ms: number, run: () => Promise<Result>): Promise<Result> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no response within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([run(), timeout])
  } finally {
    clearTimeout(timer)
  }
}
