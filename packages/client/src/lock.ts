/** Lets one at a time do something, among everybody who takes it by the same name. */
export interface Lock {
  /**
   * Resolves, once nobody else holds the lock, with what gives it back. Rejects when `signal` aborts before that. It must come free
   * when its holder is gone, and must never be taken from one who is not.
   */
  acquire(name: string, signal: AbortSignal): Promise<() => void>
}

interface WebLockManager {
  request(name: string, options: { signal: AbortSignal }, hold: () => Promise<void>): Promise<unknown>
}

interface Surroundings {
  readonly navigator?: { readonly locks?: WebLockManager }
}

/**
 * The lock of the platform: Web Locks, which reach all tabs and workers of an origin. Where there are none, or they are refused, as
 * in documents that are not active or may not store anything, it reaches this page only.
 */
export function platformLock(): Lock {
  const here: Surroundings & { readonly fetch: unknown } = globalThis
  const locks = here.navigator?.locks
  return locks === undefined ? localLock() : webLock(locks)
}

function webLock(locks: WebLockManager): Lock {
  const local = localLock()
  return {
    acquire: (name, signal) =>
      new Promise((resolve, reject) => {
        const held = () =>
          new Promise<void>((release) => {
            resolve(release)
          })
        // Aborted, the other lock rejects as well. Whoever holds this one already ignores both.
        locks.request(name, { signal }, held).catch(() => local.acquire(name, signal).then(resolve, reject))
      }),
  }
}

const queues = new Map<string, Promise<void>>()

/** Reaches whoever loaded this very module: one page, worker or process. */
export function localLock(): Lock {
  return {
    async acquire(name, signal) {
      const before = queues.get(name) ?? Promise.resolve()
      let release: () => void = () => undefined
      const held = new Promise<void>((resolve) => (release = resolve))
      const tail = before.then(() => held)
      queues.set(name, tail)
      void tail.then(() => queues.get(name) === tail && queues.delete(name))
      try {
        await unlessAborted(before, signal)
      } catch (error) {
        release()
        throw error
      }
      return release
    },
  }
}

/** The same promise, which rejects with the signal's reason when that aborts first. What it waits for goes on. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (signal === null || signal === undefined) return promise
  // Nobody may be left to hear how it ends.
  promise.catch(() => undefined)
  let stop: () => void = () => undefined
  const aborted = new Promise<null>((resolve) => {
    stop = () => resolve(null)
    signal.addEventListener('abort', stop)
  })
  try {
    signal.throwIfAborted()
    const first = await Promise.race([promise.then((value) => ({ value })), aborted])
    if (first !== null) return first.value
    signal.throwIfAborted()
    return await promise
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
