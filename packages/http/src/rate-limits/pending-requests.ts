/**
 * Tracks the requests of each key whose outcome is not known yet, and those that wait for an outcome. A request that finds no point
 * left waits while pending requests hold points that they may give back: otherwise some of many legitimate requests in parallel would
 * be rejected.
 */
export interface PendingRequests<Rejection> {
  /** Registers a pending request. Call the result once, when the outcome is known. */
  add(key: string): Settle
  /** Returns how many requests of the key are pending. */
  count(key: string): number
  /** Waits until the request can try again. It is pending again then. After ten seconds it is rejected with `rejection`. */
  wait(key: string, rejection: Rejection): Promise<WaitResult<Rejection>>
  /** Lets one waiting request try again. */
  wake(key: string): void
  /** Rejects all waiting requests. */
  rejectWaiting(key: string, rejection: Rejection): void
}

type WaitResult<Rejection> = { readonly settle: Settle } | { readonly settle: null; readonly rejection: Rejection }

/** `released`: the point is free again. `kept`: the point stays spent. `waits`: the request will wait for others that are pending. */
export type Settle = (outcome: 'released' | 'kept' | 'waits') => void

interface Entry<Rejection> {
  pending: number
  /** Undefined until a request waits, which is rare. */
  waiting: Set<(result: WaitResult<Rejection>) => void> | undefined
}

const MAX_WAIT_MS = 10_000
/** The maximum number of requests that wait for one key. */
const MAX_WAITING = 1000

export function createPendingRequests<Rejection>(): PendingRequests<Rejection> {
  const entries = new Map<string, Entry<Rejection>>()

  function findOrCreate(key: string): Entry<Rejection> {
    const existing = entries.get(key)
    if (existing !== undefined) return existing
    const entry: Entry<Rejection> = { pending: 0, waiting: undefined }
    entries.set(key, entry)
    return entry
  }

  function add(key: string): Settle {
    const entry = findOrCreate(key)
    entry.pending += 1
    return (outcome) => {
      entry.pending -= 1
      // The last pending request wakes a waiting one even if its point stays spent: the woken request decides for all waiting ones.
      if (outcome === 'released' || entry.pending === 0) wake(key)
      if (entry.pending === 0) entries.delete(key)
    }
  }

  function wake(key: string): void {
    const [first] = entries.get(key)?.waiting ?? []
    first?.({ settle: add(key) })
  }

  return {
    add,
    count: (key) => entries.get(key)?.pending ?? 0,
    wait(key, rejection) {
      const waiting = (findOrCreate(key).waiting ??= new Set())
      if (waiting.size >= MAX_WAITING) return Promise.resolve({ settle: null, rejection })
      return new Promise((resolve) => {
        const finish = (result: WaitResult<Rejection>) => {
          clearTimeout(timer)
          waiting.delete(finish)
          resolve(result)
        }
        const timer = setTimeout(() => finish({ settle: null, rejection }), MAX_WAIT_MS)
        waiting.add(finish)
      })
    },
    wake,
    rejectWaiting(key, rejection) {
      for (const finish of [...(entries.get(key)?.waiting ?? [])]) finish({ settle: null, rejection })
    },
  }
}
