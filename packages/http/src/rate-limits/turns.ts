/**
 * Tracks the requests of each key whose outcome is not known yet, and those that wait for an outcome. A request that finds no point
 * left waits while others hold points that they may give back: otherwise some of many legitimate requests in parallel would be
 * rejected.
 */
export interface Turns<Rejection> {
  /** Registers a pending request. Call the result once, when the outcome is known. */
  begin(key: string): Settle
  /** How many requests of the key are pending. */
  pending(key: string): number
  /** Waits until it is worth trying again, and is pending again then. Resolves with `late` after ten seconds. */
  wait(key: string, late: Rejection): Promise<Turn<Rejection>>
  /** Lets one waiting request try again. */
  wake(key: string): void
  /** Rejects all waiting requests. */
  rejectWaiting(key: string, rejection: Rejection): void
}

type Turn<Rejection> = { readonly settle: Settle } | { readonly settle: null; readonly rejection: Rejection }

/** `released`: the point is free again. `kept`: the point stays spent. `waits`: the request will wait for others that are pending. */
export type Settle = (outcome: 'released' | 'kept' | 'waits') => void

interface Lane<Rejection> {
  pending: number
  /** Undefined until a request waits, which is rare. */
  waiting: Set<(turn: Turn<Rejection>) => void> | undefined
}

const MAX_WAIT_MS = 10_000
/** The most requests that wait for one key. */
const MAX_WAITING = 1000

export function createTurns<Rejection>(): Turns<Rejection> {
  const lanes = new Map<string, Lane<Rejection>>()

  function laneOf(key: string): Lane<Rejection> {
    const existing = lanes.get(key)
    if (existing !== undefined) return existing
    const lane: Lane<Rejection> = { pending: 0, waiting: undefined }
    lanes.set(key, lane)
    return lane
  }

  function begin(key: string): Settle {
    const lane = laneOf(key)
    lane.pending += 1
    return (outcome) => {
      lane.pending -= 1
      // The last one wakes a request even if its point is spent: that request finds out for all others.
      if (outcome === 'released' || lane.pending === 0) wake(key)
      if (lane.pending === 0) lanes.delete(key)
    }
  }

  function wake(key: string): void {
    const [first] = lanes.get(key)?.waiting ?? []
    first?.({ settle: begin(key) })
  }

  return {
    begin,
    pending: (key) => lanes.get(key)?.pending ?? 0,
    wait(key, late) {
      const waiting = (laneOf(key).waiting ??= new Set())
      if (waiting.size >= MAX_WAITING) return Promise.resolve({ settle: null, rejection: late })
      return new Promise((resolve) => {
        const done = (turn: Turn<Rejection>) => {
          clearTimeout(timer)
          waiting.delete(done)
          resolve(turn)
        }
        const timer = setTimeout(() => done({ settle: null, rejection: late }), MAX_WAIT_MS)
        waiting.add(done)
      })
    },
    wake,
    rejectWaiting(key, rejection) {
      for (const done of [...(lanes.get(key)?.waiting ?? [])]) done({ settle: null, rejection })
    },
  }
}
