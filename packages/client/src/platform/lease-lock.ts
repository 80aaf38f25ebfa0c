import { transact } from './idb.js'
import { toText } from './json.js'
import type { Lock } from './lock.js'

const PLACE = { database: 'baton-locks', table: 'locks' }
const POLL_MS = 50
const BEAT_MS = 1000
const STALE_MS = 10_000

/**
 * Returns a lock for browsers without Web Locks, and for pages without TLS: a lease in IndexedDB, shared by all tabs and workers. The
 * holder renews its lease. A lease that was not renewed for 10 seconds is taken over.
 */
export function leaseLock(name: string): Lock {
  return async (signal) => {
    const holder = crypto.getRandomValues(new Uint32Array(4)).join('-')
    let seen = ''
    let stillMs = 0
    for (;;) {
      if (signal.aborted) throw new Error('aborted')
      const isStale = stillMs >= STALE_MS
      const found = await exchange(name, (lease) => (lease === null || (isStale && lease === seen) ? holder : lease))
      if (found === holder) return hold(name, holder)
      if (found !== seen) stillMs = 0
      seen = found ?? ''
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      // Counts polls instead of time: after sleep the holder has had no chance to renew its lease.
      stillMs += POLL_MS
    }
  }
}

/** Renews the lease until the lock is released. */
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

/** Replaces the lease with the result of `revise` in one transaction, and resolves with it. */
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
