import type { Setup } from './setup.js'
import { within } from './timing.js'

/** Does its work with the lock of the session, or, where that does not come in time, without: `isAlone` tells. */
export async function locked<T>(
  { environment, storage, lockTimeoutSeconds }: Pick<Setup, 'environment' | 'storage' | 'lockTimeoutSeconds'>,
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
