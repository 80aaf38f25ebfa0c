/**
 * Resolves, once nobody else holds the lock, with what gives it back. Rejects, or need never resolve, when the signal aborts before
 * that. It must come free when its holder is gone, and must never be taken from one who is not.
 */
export type Lock = (signal: AbortSignal) => Promise<() => void>

/** Reaches whoever has this very function: one page, worker or process. */
export function localLock(): Lock {
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    const before = last
    return new Promise((resolve) => {
      last = new Promise<void>((release) => void before.then(() => resolve(release)))
    })
  }
}

/** The same promise, which rejects with the signal's reason when that aborts first. What it waits for goes on. */
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
