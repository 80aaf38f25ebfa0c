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

interface Appointment {
  readonly at: number
  readonly call: () => void
}

export function createClock(start: number): VirtualClock {
  let now = start
  let held: Promise<void> | null = null
  /** Sorted by time, the next one last; of one instant, first come, first served. */
  const appointments: Appointment[] = []

  function after(ms: number, call: () => void): () => void {
    // Like a real timer: whole milliseconds, and never too early.
    const appointment = { at: now + Math.max(0, Math.ceil(ms)), call }
    let place = appointments.length
    while (place > 0 && (appointments[place - 1]?.at ?? 0) <= appointment.at) place -= 1
    appointments.splice(place, 0, appointment)
    return () => {
      const index = appointments.indexOf(appointment)
      if (index !== -1) appointments.splice(index, 1)
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
      if (held !== null) throw new Error('two things at a time would end in any order')
      let release: (() => void) | undefined
      held = new Promise((resolve) => {
        release = resolve
      })
      return () => {
        held = null
        release?.()
      }
    },
    async runUntil(instant) {
      for (;;) {
        await everybodyWaits()
        while (held !== null) await held.then(everybodyWaits)
        const next = appointments.at(-1)
        if (next === undefined || next.at > instant) break
        appointments.pop()
        now = next.at
        next.call()
      }
      now = instant
    },
  }
}

/** Whatever does real I/O holds the clock: once all promises have run, everything else waits for it. */
function everybodyWaits(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
