/**
 * Where a session is kept: one text, which holds its tokens. Whatever uses one storage shares one session. A storage decides
 * nothing; it may reject, and the session then goes on in memory.
 */
export interface SessionStorage {
  /** Names what is stored here: the same for everybody who reads the same text, and for nobody else. Locks are taken by it. */
  readonly name: string
  /** The stored text; null for none. */
  read(): Promise<string | null>
  /**
   * Stores `after`, durably, iff what is stored is still `before` (null: nothing). Resolves to whether it did. As atomic as the
   * storage can be: where it cannot, the lock around a refresh has to do.
   */
  swap(before: string | null, after: string): Promise<boolean>
}

/** Keeps a session in this page or process, for as long as it lives. Every call makes another storage. */
export function memoryStorage(): SessionStorage {
  let stored: string | null = null
  // Random, since locks and announcements reach beyond this page.
  const id = crypto.getRandomValues(new Uint32Array(4)).join('-')
  return {
    name: `memory:${id}`,
    read: async () => stored,
    async swap(before, after) {
      if (stored !== before) return false
      stored = after
      return true
    },
  }
}

/** A storage that never rejects: what it could not write it remembers, until somebody else has written. */
export function sturdy(storage: SessionStorage, onFailure: (error: unknown) => void): SessionStorage {
  let kept: { readonly over: string | null; readonly text: string } | null = null
  let last: string | null = null
  return {
    name: storage.name,
    async read() {
      try {
        const text = await storage.read()
        if (kept !== null && text === kept.over) return kept.text
        kept = null
        last = text
        return text
      } catch (error) {
        // A storage that cannot be read has not been emptied.
        onFailure(error)
        return kept?.text ?? last
      }
    },
    async swap(before, after) {
      const over = kept !== null && before === kept.text ? kept.over : before
      try {
        const done = await storage.swap(over, after)
        if (!done) return false
        kept = null
      } catch (error) {
        onFailure(error)
        kept = { over, text: after }
      }
      last = after
      return true
    },
  }
}

/** What a storage is named by in locks and announcements. */
export function sharedName({ name }: SessionStorage): string {
  return `baton:${name}`
}
