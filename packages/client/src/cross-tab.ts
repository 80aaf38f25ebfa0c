import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'
import { leaseLock } from './platform/lease-lock.js'
import { type Lock, localLock } from './platform/lock.js'

export { localLock } from './platform/lock.js'

interface WebLockManager {
  request(name: string, options: { signal: AbortSignal }, hold: () => Promise<void>): Promise<unknown>
}

interface Channel {
  postMessage(message: string): void
  addEventListener(type: 'message', listener: () => void): void
  close(): void
}

interface Globals {
  readonly fetch: unknown
  readonly navigator?: { readonly locks?: WebLockManager }
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly location?: unknown
}

/**
 * Returns the lock and the change notifications of a storage that all tabs and workers of an origin share. `name` identifies the stored
 * session. Without Web Locks the lock is a lease in IndexedDB. If the document may use neither, the lock works within this page only.
 *
 * @example
 * ```ts
 * import { type SessionStorage } from '@baton/client'
 * import { crossTabSync } from '@baton/client/cross-tab'
 *
 * declare const myDatabase: {
 *   read(): Promise<string | null>
 *   compareAndSwap(before: string | null, after: string | null): Promise<boolean>
 * }
 *
 * const storage: SessionStorage = {
 *   ...crossTabSync('my-storage'),
 *   read: () => myDatabase.read(),
 *   swap: (before, after) => myDatabase.compareAndSwap(before, after),
 * }
 * ```
 */
export function crossTabSync(name: string): Required<Pick<SessionStorage, 'lock' | 'announce' | 'listen'>> {
  checkOptions({ name }, { name: 'string' }, {})
  const here: Globals = globalThis
  const fullName = `baton:${name}`
  const locks = here.navigator?.locks
  const shared = locks === undefined ? leaseLock(fullName) : webLock(locks, fullName)
  const local = localLock()

  /** Returns null in Node.js: processes do not receive each other's messages, and an open channel keeps a process alive. */
  function open(): Channel | null {
    const { location, BroadcastChannel } = here
    return location === undefined || BroadcastChannel === undefined ? null : new BroadcastChannel(fullName)
  }

  return {
    lock: (signal) =>
      shared(signal).catch((error: unknown) => {
        if (signal.aborted) throw error
        return local(signal)
      }),
    announce() {
      const channel = open()
      channel?.postMessage('changed')
      channel?.close()
    },
    listen(call) {
      const channel = open()
      channel?.addEventListener('message', () => call())
      return () => channel?.close()
    },
  }
}

function webLock(locks: WebLockManager, name: string): Lock {
  return (signal) =>
    new Promise((resolve, reject) => {
      const held = () =>
        new Promise<void>((release) => {
          resolve(release)
        })
      // Has no effect if the lock was granted before the signal aborted.
      locks.request(name, { signal }, held).catch(reject)
    })
}
