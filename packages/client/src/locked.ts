import type { Setup } from './setup.js'
import { within } from './timing.js'

/** Answers set the cookie in whatever order they come, so one at a time; without the lock rather than never. */
export function alone<T>(setup: Setup, work: () => Promise<T>): Promise<T> {
  return setup.endpoints.isCookie ? locked(setup, work) : work()
}

/** Does its work with the lock of the session, or, where that does not come in time, without: `isAlone` tells. */
export async function locked<T>(
  { environment, storage, lockTimeoutSeconds }: Setup,
  work: (isAlone: boolean) => Promise<T>,
): Promise<T> {
  const release = await within(environment, lockTimeoutSeconds, async (signal) => {
    const free = await storage.lock(signal)
    // Too late: nobody waits for it any more.
    if (signal.aborted) free()
    return free
  }).catch(() => null)
  try {
    return await work(release !== null)
  } finally {
    release?.()
  }
}
