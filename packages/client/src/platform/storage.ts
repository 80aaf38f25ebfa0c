import { type Lock, localLock } from './lock.js'

/**
 * Stores a session as one text, which contains its tokens, and provides a lock for refreshes. All users of a storage share one session. A
 * storage makes no decisions. If a call rejects or takes longer than 10 seconds, the session continues in memory.
 */
export interface SessionStorage {
  /** Returns the stored text; null if there is none. */
  read(): Promise<string | null>
  /**
   * Stores `after` durably if the stored text is still `before` (null: none). Resolves with true if it did. Must be as atomic as the
   * storage allows; otherwise the lock has to suffice.
   */
  swap(before: string | null, after: string): Promise<boolean>
  /** Excludes all other users of the same text. */
  readonly lock: Lock
  /** Notifies other users of the same text of a change. Optional: without it they read the change when they need a token. */
  announce?(): void
  /** Calls at each notification. Returns a function that stops the calls. */
  listen?(call: () => void): () => void
}

/**
 * Stores a session in the memory of this page or process. Each call returns a new storage.
 *
 * @example
 * ```ts
 * import { createSession, memoryStorage } from '@baton/client'
 * import { cookieEndpoints } from '@baton/client/cookie'
 *
 * const endpoints = cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' })
 * const session = createSession({ endpoints, storage: memoryStorage() })
 * ```
 */
export function memoryStorage(): SessionStorage {
  let stored: string | null = null
  return {
    read: async () => stored,
    async swap(before, after) {
      if (stored !== before) return false
      stored = after
      return true
    },
    lock: localLock(),
  }
}
