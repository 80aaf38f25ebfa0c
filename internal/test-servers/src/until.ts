import { setTimeout as elapse } from 'node:timers/promises'

/**
 * Polls `probe` and resolves with its first truthy result. A probe that throws counts as falsy. The deadline only ends a test that
 * hangs: on a busy machine a Redis replica needs half a minute to synchronize.
 * After the deadline it rejects with an error that names `what`; `cause` is the last error of the probe.
 */
export async function until<T>(what: string, probe: () => T | Promise<T>, deadlineMs = 60_000): Promise<T> {
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
