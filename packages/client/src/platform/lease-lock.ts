import { transact } from './idb.js'
import { toText } from './json.js'
import type { Lock } from './lock.js'

const PLACE = { database: 'baton-locks', table: 'locks' }
const POLL_MS = 50
const BEAT_MS = 1000
const STALE_MS = 10_000

/**
 * A lock for browsers without Web Locks, and for pages without TLS, which get none: a lease in IndexedDB, whose transactions reach
 * all tabs and workers. Its holder shows that it lives; once it has stood still for 10 seconds, one of those who wait takes over.
 */
export function leaseLock(name: string): Lock {
  return async (signal) => {
    const holder = crypto.getRandomValues(new Uint32Array(4)).join('-')
    let seen = ''
    let stillMs = 0
    for (;;) {
      if (signal.aborted) throw new Error('no longer needed')
      const isStale = stillMs >= STALE_MS
      const found = await exchange(name, (lease) => (lease === null || (isStale && lease === seen) ? holder : lease))
      if (found === holder) return hold(name, holder)
      if (found !== seen) stillMs = 0
      seen = found ?? ''
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      // Counted by turns: whoever slept together with the holder has not seen it stand still.
      stillMs += POLL_MS
    }
  }
}

/** Shows that its holder lives, until it is given back. */
function hold(name: string, holder: string): () => void {
  const isOurs = (lease: string | null) => lease?.startsWith(holder) === true
  let beats = 0
  const beat = setInterval(() => {
    beats += 1
    exchange(name, (lease) => (isOurs(lease) ? `${holder} ${beats}` : lease)).catch(() => undefined)
  }, BEAT_MS)
  return () => {
    clearInterval(beat)
    exchange(name, (lease) => (isOurs(lease) ? null : lease)).catch(() => undefined)
  }
}

/** Stores what `revise` makes of the lease, atomically, and resolves with it. */
function exchange(name: string, revise: (lease: string | null) => string | null): Promise<string | null> {
  return transact(PLACE, (table, finish) => {
    const getting = table.get(name)
    getting.onsuccess = () => {
      const lease = toText(getting.result)
      const revised = revise(lease)
      if (revised !== lease) table.put(revised, name)
      finish(revised)
    }
  })
}
