/** How far a key has got in its window. */
export interface Count {
  readonly consumedPoints: number
  readonly msBeforeNext: number
}

/** Counts requests by key in this process, each key in windows that begin with its first request. Every call is one step. */
export interface Windows {
  /** Counts one request. */
  count(key: string): Count
  /** Counts none; null for a key whose window is over, or has not begun. */
  look(key: string): Count | null
  /** How many keys are remembered, among them some whose window is over. */
  size(): number
}

interface Window {
  points: number
  readonly endsAt: number
}

/** Keys that are remembered: about 15 MB when there are so many. */
const MOST_KEYS = 100_000
/** Each new key pays for looking at this many old ones, so that those which are over do not gather. */
const LOOKS_PER_KEY = 2

/** When there are too many keys, the one whose window ends next is forgotten: a flood of addresses must not fill the memory. */
export function windowsOf(milliseconds: number): Windows {
  // All windows are of one length, so the first key is the one whose window ends next.
  const windows = new Map<string, Window>()

  function openAt(now: number, key: string): Window | undefined {
    const window = windows.get(key)
    return window !== undefined && now < window.endsAt ? window : undefined
  }

  function begin(now: number, key: string): Window {
    windows.delete(key)
    let looks = 0
    for (const [old, { endsAt }] of windows) {
      if ((now < endsAt && windows.size < MOST_KEYS) || looks === LOOKS_PER_KEY) break
      windows.delete(old)
      looks += 1
    }
    const window = { points: 0, endsAt: now + milliseconds }
    windows.set(key, window)
    return window
  }

  return {
    count(key) {
      const now = Date.now()
      const window = openAt(now, key) ?? begin(now, key)
      window.points += 1
      return { consumedPoints: window.points, msBeforeNext: window.endsAt - now }
    },
    look(key) {
      const now = Date.now()
      const window = openAt(now, key)
      return window === undefined ? null : { consumedPoints: window.points, msBeforeNext: window.endsAt - now }
    },
    size: () => windows.size,
  }
}
