/** Time that passes when everybody waits. */
export interface VirtualClock {
  /** Epoch milliseconds. */
  now(): number
  /** Calls once, in so many milliseconds; the answer cancels. */
  after(ms: number, call: () => void): () => void
  sleep(ms: number): Promise<void>
  /** Stands still until the answer is called: something is under way that takes none of this time. One thing at a time. */
  hold(): () => void
  /** Lets everything happen that is due until then, in the order of its time. */
  runUntil(instant: number): Promise<void>
}

interface Timer {
  readonly at: number
  readonly call: () => void
}

export function createClock(start: number): VirtualClock {
  let now = start
  let currentSession: Promise<void> | null = null
  /** Sorted by time, the next one last; of one instant, first come, first served. */
  const timers: Timer[] = []

  function after(ms: number, call: () => void): () => void {
    // Like a real timer: whole milliseconds, and never too early.
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
      if (currentSession !== null) throw new Error('two things at a time would end in any order')
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

/** Whatever does real I/O holds the clock: once all promises have run, everything else waits for it. */
function drainPromises(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
