/**
 * Resolves with a function that releases the lock, once the lock is granted. May reject or stay pending after the signal has aborted. A
 * lock must be released when its holder is gone, and must not be taken from a living holder.
 */
export type Lock = (signal: AbortSignal) => Promise<() => void>

/**
 * Returns a lock within one page, worker or process.
 *
 * @example
 * ```ts
 * import { type SessionStorage, memoryStorage } from '@baton/client'
 * import { localLock } from '@baton/client/cross-tab'
 *
 * const storage: SessionStorage = { ...memoryStorage(), lock: localLock() }
 * ```
 */
export function localLock(): Lock {
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    const before = last
    return new Promise((resolve) => {
      last = new Promise<void>((release) => void before.then(() => resolve(release)))
    })
  }
}

/** Returns the same promise, which rejects with the reason of the signal if the signal aborts first. The work continues. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  let stop: () => void = () => undefined
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
  })
  try {
    await Promise.race([aborted, promise])
    // React Native and older browsers have neither `throwIfAborted` nor `reason`.
    if (signal?.aborted) throw signal.reason ?? Object.assign(new Error('aborted'), { name: 'AbortError' })
    return await promise
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}
