/** A cache with a maximum number of entries, each of which expires. The least recently used entry is removed first. */
export interface BoundedCache<Value> {
  /** Returns the value of an entry that has not expired at `now` (epoch milliseconds), or undefined. */
  get(key: string, now: number): Value | undefined
  set(key: string, value: Value, expiresAt: number): void
}

export function boundedCache<Value>(maxEntries: number): BoundedCache<Value> {
  // The order of a map is the order of insertion.
  const entries = new Map<string, { readonly value: Value; readonly expiresAt: number }>()
  return {
    get(key, now) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (now >= entry.expiresAt) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value, expiresAt) {
      entries.delete(key)
      entries.set(key, { value, expiresAt })
      const [oldest] = entries.keys()
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest)
    },
  }
}
