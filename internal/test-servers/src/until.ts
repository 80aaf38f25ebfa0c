import { setTimeout as elapse } from 'node:timers/promises'

/**
 * Polls until `probe` gives something truthy, and resolves with it. A probe that throws has not succeeded yet.
 * Past the deadline it rejects with an error that names `what`; the last error of the probe is its cause.
 */
export async function until<T>(what: string, probe: () => T | Promise<T>, deadlineMs = 15_000): Promise<T> {
  const deadlineAt = performance.now() + deadlineMs
  for (;;) {
    let cause: unknown
    try {
      const result = await probe()
      if (result) return result
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadlineAt) throw new Error(`Not within ${deadlineMs} ms: ${what}.`, { cause })
    await elapse(10)
  }
}
