/** Time that passes when everybody waits. */
export interface VirtualClock {
  /** Epoch milliseconds. */
  now(): number
  /** Calls once, in so many milliseconds; the answer cancels. */
  after(ms: number, call: () => void): () => void
  sleep(ms: number): Promise<void>
  /** Lets everything happen that is due until then, in the order of its time. */
  runUntil(instant: number): Promise<void>
}

interface Appointment {
  readonly at: number
  readonly call: () => void
}

export function createClock(start: number): VirtualClock {
  let now = start
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
    async runUntil(instant) {
      for (;;) {
        await everybodyWaits()
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

/** Nothing here does real I/O: once all promises have run, everything waits for the clock. */
function everybodyWaits(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
