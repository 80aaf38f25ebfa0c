import { type Lock, localLock } from './lock.js'

/**
 * Where a session is kept: one text, which holds its tokens, and a lock for whoever refreshes it. Whatever uses one storage shares
 * one session. A storage decides nothing. If a call rejects or takes longer than 10 seconds, the session continues in memory.
 */
export interface SessionStorage {
  /** The stored text; null for none. */
  read(): Promise<string | null>
  /**
   * Stores `after`, durably, iff what is stored is still `before` (null: nothing). Resolves to whether it did. As atomic as the
   * storage can be: where it cannot, the lock has to do.
   */
  swap(before: string | null, after: string): Promise<boolean>
  /** Reaches everybody who reads the same text. */
  readonly lock: Lock
  /** Tells everybody else who reads the same text that it has changed. Without it they find out when they need it. */
  announce?(): void
  /** Calls at each announcement; the answer ends that. */
  listen?(call: () => void): () => void
}

/** Keeps a session in this page or process, for as long as it lives. Every call makes another storage. */
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
