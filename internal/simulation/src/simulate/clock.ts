/** A clock that advances when no work is pending. */
export interface VirtualClock {
  /** Returns epoch milliseconds. */
  now(): number
  /** Calls the function once, after this number of milliseconds. The returned function cancels it. */
  after(ms: number, call: () => void): () => void
  sleep(ms: number): Promise<void>
  /**
   * Stops the clock until the returned function is called, for work that takes no virtual time. Only one hold at a
   * time.
   */
  hold(): () => void
  /** Runs all timers that are due until then, in order of time. */
  runUntil(instant: number): Promise<void>
}

interface Timer {
  readonly at: number
  readonly call: () => void
}

export function createClock(start: number): VirtualClock {
  let now = start
  let currentSession: Promise<void> | null = null
  /** Sorted by time, the next one last. Timers of the same instant run in the order of their creation. */
  const timers: Timer[] = []

  function after(ms: number, call: () => void): () => void {
    // Like a real timer: whole milliseconds, never too early.
    const timer = { at: now + Math.max(0, Math.ceil(ms)), call }
    let place = timers.length
    while (place > 0 && (timers[place - 1]?.at ?? 0) <= timer.at) place -= 1
    timers.splice(place, 0, timer)
    return () => {
      const index = timers.indexOf(timer)
      if (index !== -1) timers.splice(index, 1)
    }
  }

  return {
    now: () => now,
    after,
    sleep: (ms) =>
      new Promise((resolve) => {
        after(ms, resolve)
      }),
    hold() {
      if (currentSession !== null)
        throw new Error('the clock is already held; two holds would end in an arbitrary order')
      let release: (() => void) | undefined
      currentSession = new Promise((resolve) => {
        release = resolve
      })
      return () => {
        currentSession = null
        release?.()
      }
    },
    async runUntil(instant) {
      for (;;) {
        await drainPromises()
        while (currentSession !== null) await currentSession.then(drainPromises)
        const next = timers.at(-1)
        if (next === undefined || next.at > instant) break
        timers.pop()
        now = next.at
        next.call()
      }
      now = instant
    },
  }
}

/** Waits until all promises have run. Real I/O holds the clock, so that nothing else is pending. */
function drainPromises(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
