import { declareOptions, func, integer, listOf, required } from '../options.js'
import { nextTurn } from './batch-calls.js'

/** A part of the table between two positions, which the engine defines. A position grows from one range to the next. */
export interface TableRange {
  readonly from: number
  readonly to: number
}

export interface PurgeStatements {
  /** The largest number of rows that one statement deletes, a few milliseconds. */
  readonly maxRows: number
  /** Statements that find deletable rows by an index. Each deletes up to `limit` rows and resolves with their number. */
  readonly deleteByIndex: readonly ((now: number, limit: number) => Promise<number>)[]
  /**
   * Yields the ranges of the table from a position on. A range without deletable rows may be left out. It holds no lock: between two
   * ranges other processes write.
   */
  readonly ranges: (from: number, now: number) => AsyncIterable<TableRange>
  /** Deletes up to `limit` deletable rows of the range. Resolves with their number. */
  readonly deleteInRange: (range: TableRange, now: number, limit: number) => Promise<number>
}

const purgeStatements = declareOptions({
  maxRows: required(integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  deleteByIndex: required(listOf(func<PurgeStatements['deleteByIndex'][number]>())),
  ranges: required(func<PurgeStatements['ranges']>()),
  deleteInRange: required(func<PurgeStatements['deleteInRange']>()),
})

/**
 * Returns `purge` for SQL engines: deletes by index what it can, then walks through the table for the rest, in small steps. Families that
 * expire before their absolute end are in no index, because an index on `expires_at` would cost every rotation a second write. The
 * walk continues where the call before stopped, so that calls in a row do not read the same active families again. Throws
 * `ConfigurationError` for invalid statements.
 *
 * @example
 * ```ts
 * import { purgeInSteps, type TableRange } from '@baton/core/store'
 *
 * declare const statements: {
 *   deleteRevoked(now: number, limit: number): Promise<number>
 *   deleteBetween(range: TableRange, now: number, limit: number): Promise<number>
 * }
 *
 * const purge = purgeInSteps({
 *   maxRows: 1000,
 *   deleteByIndex: [(now, limit) => statements.deleteRevoked(now, limit)],
 *   ranges: async function* (from) {
 *     for (let start = from; start < 1_000_000; start += 10_000) yield { from: start, to: start + 10_000 }
 *   },
 *   deleteInRange: (range, now, limit) => statements.deleteBetween(range, now, limit),
 * })
 * ```
 */
export function purgeInSteps(statements: PurgeStatements) {
  const { maxRows, deleteByIndex, ranges, deleteInRange } = purgeStatements.parse('purgeInSteps', statements)
  let position = 0

  return async (now: number, limit: number): Promise<number> => {
    let purged = 0

    async function repeat(deleteUpTo: (limit: number) => Promise<number>): Promise<void> {
      for (let deleted = maxRows; deleted === maxRows && purged < limit;) {
        deleted = await deleteUpTo(Math.min(maxRows, limit - purged))
        purged += deleted
        await nextTurn()
      }
    }

    /** Returns the position at which to continue: 0 after the last range. */
    async function walk(from: number, end: number): Promise<number> {
      for await (const range of ranges(from, now)) {
        if (range.from >= end) break
        await repeat((most) => deleteInRange(range, now, most))
        if (purged === limit) return range.from
      }
      return 0
    }

    for (const deleteUpTo of deleteByIndex) await repeat((most) => deleteUpTo(now, most))
    const start = position
    if (purged < limit) position = await walk(start, Infinity)
    if (purged < limit && start > 0) position = await walk(0, start)
    return purged
  }
}
