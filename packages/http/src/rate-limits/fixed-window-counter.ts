import type { Count } from './limiter.js'

/** A counted request, and the way to undo its count. */
interface WindowCount extends Count {
  /** Undoes this count if its window has not ended. */
  readonly giveBack: () => void
}

/** Counts requests by key in this process. The window of a key begins with its first request. */
export interface FixedWindowCounter {
  /** Counts one request. */
  count(key: string): WindowCount
  /** How many keys are remembered, including some whose window has ended. */
  size(): number
}

export interface FixedWindowOptions {
  readonly windowMs: number
  /** Milliseconds of a clock that never goes back. */
  readonly elapsed: () => number
}

interface Window {
  readonly key: string
  points: number
  readonly endsAt: number
}

/** The most keys that are remembered: about 15 MB. */
const MAX_KEYS = 100_000
/** Each new key removes at most this many windows that have ended, so that they do not accumulate. */
const REMOVALS_PER_KEY = 2
/** Removed entries at the front of the queue are dropped together, so that each costs a constant time on average. */
const MIN_COMPACTION = 1024

/**
 * Counts in constant time per request, and in bounded memory: beyond 100 000 keys the window that ends first is forgotten, so that
 * a flood of addresses cannot fill the memory.
 */
export function fixedWindowCounter({ windowMs, elapsed }: FixedWindowOptions): FixedWindowCounter {
  const windows = new Map<string, Window>()
  // All windows have one length, so they end in the order in which they began.
  let queue: (Window | undefined)[] = []
  let head = 0

  /** Returns false for a window whose key has begun again since. */
  function removeFirst(first: Window): boolean {
    const isCurrent = windows.get(first.key) === first
    if (isCurrent) windows.delete(first.key)
    queue[head] = undefined
    head += 1
    if (head >= MIN_COMPACTION && head * 2 >= queue.length) {
      queue = queue.slice(head)
      head = 0
    }
    return isCurrent
  }

  function begin(now: number, key: string): Window {
    windows.delete(key)
    for (let removals = 0; removals < REMOVALS_PER_KEY;) {
      const first = queue[head]
      if (first === undefined || (now < first.endsAt && windows.size < MAX_KEYS)) break
      if (removeFirst(first)) removals += 1
    }
    const window = { key, points: 0, endsAt: now + windowMs }
    windows.set(key, window)
    queue.push(window)
    return window
  }

  return {
    count(key) {
      const now = elapsed()
      const open = windows.get(key)
      const window = open !== undefined && now < open.endsAt ? open : begin(now, key)
      window.points += 1
      return {
        consumedPoints: window.points,
        msBeforeNext: window.endsAt - now,
        giveBack() {
          window.points -= 1
        },
      }
    },
    size: () => windows.size,
  }
}
