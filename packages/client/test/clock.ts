import { createEnvironment, type Environment } from '../src/index.js'

/** Clocks that stand still until told, timers that follow them, and otherwise the Node process that we are in. */
export function createClock() {
  const clock = { now: Date.UTC(2026, 0, 2, 3, 4, 5), elapsed: 1000 }
  const timers = new Set<{ readonly dueAt: number; readonly call: () => void }>()
  const wakes = new Set<() => void>()

  /** Lets running code come to where it waits for a timer or for the network. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

  const environment: Environment = {
    ...createEnvironment(),
    now: () => clock.now,
    elapsed: () => clock.elapsed,
    setTimer(ms, call) {
      const timer = { dueAt: clock.elapsed + ms, call }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    onWake(call) {
      wakes.add(call)
      return () => wakes.delete(call)
    },
  }
  return {
    environment,
    now: () => clock.now,
    /** Sets the wall clock forward or back. */
    jump(ms: number): void {
      clock.now += ms
    },
    /** Time goes by, timer by timer. */
    async advance(ms: number): Promise<void> {
      const end = clock.elapsed + ms
      for (;;) {
        await settle()
        const [next] = [...timers].filter(({ dueAt }) => dueAt <= end).sort((a, b) => a.dueAt - b.dueAt)
        const to = next?.dueAt ?? end
        clock.now += to - clock.elapsed
        clock.elapsed = to
        if (next === undefined) return
        timers.delete(next)
        next.call()
      }
    },
    /** The machine sleeps: time has gone by on both clocks when it wakes, and timers that are due by then come late, each once. */
    async sleep(ms: number): Promise<void> {
      await settle()
      clock.now += ms
      clock.elapsed += ms
      for (const timer of [...timers].filter(({ dueAt }) => dueAt <= clock.elapsed)) {
        timers.delete(timer)
        timer.call()
      }
      await settle()
    },
    wake: () => wakes.forEach((wake) => wake()),
    pendingTimers: () => timers.size,
  }
}
