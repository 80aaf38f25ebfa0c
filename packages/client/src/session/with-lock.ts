import type { SessionContext } from './context.js'
import { within } from '../platform/timing.js'

/** Whether the lock was granted, was not granted in time, or failed. */
export type LockState = 'held' | 'taken' | 'failed'

/** Runs `work` with the lock of the session, or without it if the lock is not granted in time or fails. */
export async function withLock<T>(
  {
    environment,
    storage,
    lockTimeoutSeconds,
    emit,
  }: Pick<SessionContext, 'environment' | 'storage' | 'lockTimeoutSeconds' | 'emit'>,
  work: (lock: LockState) => Promise<T>,
): Promise<T> {
  let state: LockState = 'taken'
  const release = await within(environment, lockTimeoutSeconds, async (signal) => {
    try {
      const free = await storage.lock(signal)
      state = 'held'
      // The lock was granted too late.
      if (signal.aborted) free()
      return free
    } catch (error) {
      if (!signal.aborted) {
        state = 'failed'
        emit('storageFailed', { error })
      }
      return null
    }
  }).catch(() => null)
  try {
    return await work(state)
  } finally {
    release?.()
  }
}
