import { setImmediate } from 'node:timers/promises'
import { retryWhileBusy, type SqliteParameters, type SqliteStatement } from './database.js'
import type { Statements } from './statements.js'

/** At most this many rows go in one transaction, a few milliseconds; others get their turn in between. */
const ROWS_PER_DELETE = 200
/** At most this many rows are looked at in one go, without a lock. */
const ROWS_PER_LOOK = 1000

/** The purge of one store. It remembers where it stopped, so that calls in a row do not look at the same living families again. */
export function purgeOf(statements: Statements): (now: number, limit: number) => Promise<number> {
  let stoppedAt = 0

  return async (now, limit) => {
    let purged = 0

    async function drain(statement: SqliteStatement, parameters: SqliteParameters): Promise<void> {
      for (let found = ROWS_PER_DELETE; found === ROWS_PER_DELETE && purged < limit;) {
        const most = Math.min(ROWS_PER_DELETE, limit - purged)
        found = (await retryWhileBusy(() => statement.all({ ...parameters, now, most }))).length
        purged += found
        await setImmediate()
      }
    }

    /** Looks at every family after `from` up to `end` at least, and returns how far it came. */
    async function walk(from: number, end: number): Promise<number> {
      for (let at = from; at < end;) {
        const [seen] = statements.look.all({ from: at, now, most: ROWS_PER_LOOK })
        const { upTo, dead } = seen as { upTo: number | bigint | null; dead: number | bigint }
        if (upTo === null) return at
        if (Number(dead) > 0) await drain(statements.deleteDead, { from: at, upTo: Number(upTo) })
        if (purged === limit) return at
        at = Number(upTo)
        await setImmediate()
      }
      return end
    }

    await drain(statements.forget, {})
    await drain(statements.deleteEnded, {})
    // Who died before the absolute end is in no index, because one on expiresAt would cost every rotation a second write.
    const start = stoppedAt
    if (purged < limit) stoppedAt = await walk(start, Infinity)
    if (purged < limit) stoppedAt = await walk(0, start)
    return purged
  }
}
