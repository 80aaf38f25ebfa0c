import { ConfigurationError } from '../model/errors.js'
import type { FamilyId, FamilyRecord } from '../model/family.js'

export interface RevocationQuery {
  /** From an earlier page; absent for the first page. At most 1024 bytes. It may have come with a request. */
  readonly cursor?: string
  /** Epoch milliseconds. Revocations before this instant may be left out. */
  readonly since: number
  /** At most this many items, 1 or more. */
  readonly limit: number
}

/** A family that was revoked. */
export interface RevokedFamily {
  readonly id: FamilyId
  /** Epoch milliseconds, by the clock of the instance that revoked it. */
  readonly revokedAt: number
}

export interface RevocationPage {
  /** Oldest first. A family may be in more than one page. */
  readonly items: readonly RevokedFamily[]
  /** Pass it to the next call, now or later: it continues after this page. 1 to 1024 bytes of well-formed text without NUL. */
  readonly cursor: string
  /** True if the next page may have items already. */
  readonly hasMore: boolean
}

/**
 * How long a revocation is listed at least: longer than the longest lifetime of an access token, one day, by an hour for clock
 * differences.
 */
export const REVOCATION_RETENTION_MS = 25 * 3_600_000

/**
 * Returns the cursor of the page that follows this position.
 *
 * @example
 * ```ts
 * import { decodeLogCursor, encodeLogCursor } from '@baton/core/store'
 *
 * const cursor = encodeLogCursor(1_800_000_000_000)
 * decodeLogCursor({ cursor, since: 0 }) // 1800000000000
 * ```
 */
export function encodeLogCursor(position: number): string {
  return Buffer.from(`revoked.${String(position)}`).toString('base64url')
}

/**
 * Returns the position after which a page of revocations begins. Without a cursor it precedes all of the query: positions are not less
 * than `revokedAt`. Throws `ConfigurationError` for a cursor that `encodeLogCursor` does not return.
 *
 * @example
 * ```ts
 * import { decodeLogCursor, type RevocationQuery } from '@baton/core/store'
 *
 * // The values of a statement that reads the revocations after the cursor.
 * const toParameters = (query: RevocationQuery) => [decodeLogCursor(query), query.limit + 1]
 * ```
 */
export function decodeLogCursor({ cursor, since }: Pick<RevocationQuery, 'cursor' | 'since'>): number {
  if (cursor === undefined) return since - 1
  const position = Number(/^revoked\.(-?\d{1,16})$/.exec(Buffer.from(cursor, 'base64url').toString())?.[1] ?? NaN)
  if (Number.isSafeInteger(position) && encodeLogCursor(position) === cursor) return position
  throw invalidLogCursor()
}

/**
 * Returns the error for a cursor that the store did not return, for stores with their own cursors.
 *
 * @example
 * ```ts
 * import { invalidLogCursor } from '@baton/core/store'
 *
 * function parsePosition(cursor: string) {
 *   const position = Number(cursor)
 *   if (!Number.isSafeInteger(position)) throw invalidLogCursor()
 *   return position
 * }
 * ```
 */
export function invalidLogCursor(): ConfigurationError {
  return new ConfigurationError('cursor', 'is not one that listRevoked returned; omit it to get the first page')
}

/** A revocation and its position, which is greater than those of all earlier ones. */
export interface LoggedRevocation extends RevokedFamily {
  readonly position: number
}

/**
 * Appends the revocation of a record to a log, unless the record is not revoked, and deletes what has been listed for long enough. For
 * engines that keep the log as a list, in the order of its entries.
 *
 * A position is the instant of the revocation, or one more than the position before it if that is greater. So positions increase
 * although the clocks of two instances differ, and they also increase after the log was lost.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { appendRevocation, type LoggedRevocation } from '@baton/core/store'
 *
 * const log: LoggedRevocation[] = []
 *
 * const onRevoked = (record: FamilyRecord) => appendRevocation(log, record)
 * ```
 */
export function appendRevocation(log: LoggedRevocation[], { id, revocation }: FamilyRecord): void {
  if (revocation === null) return
  const { at } = revocation
  log.push({ id, revokedAt: at, position: Math.max(at, (log.at(-1)?.position ?? -Infinity) + 1) })
  const kept = log.findIndex(({ revokedAt }) => revokedAt >= at - REVOCATION_RETENTION_MS)
  if (kept > 0) log.splice(0, kept)
}

/**
 * Returns the page of a query from a log that `appendRevocation` wrote.
 *
 * @example
 * ```ts
 * import { type LoggedRevocation, pageOfLog, type RevocationQuery } from '@baton/core/store'
 *
 * const log: LoggedRevocation[] = []
 *
 * const listRevoked = async (query: RevocationQuery) => pageOfLog(log, query)
 * ```
 */
export function pageOfLog(log: readonly LoggedRevocation[], query: RevocationQuery): RevocationPage {
  const from = decodeLogCursor(query)
  let start = log.length
  // From the end, where the callers that continue are.
  while ((log[start - 1]?.position ?? -Infinity) > from) start -= 1
  return toLogPage(log.slice(start, start + query.limit + 1), query)
}

/**
 * Returns the page of entries that an engine has read in the order of their positions, from the position of the cursor on: `limit + 1` entries.
 *
 * @example
 * ```ts
 * import { type LoggedRevocation, type RevocationQuery, toLogPage } from '@baton/core/store'
 *
 * declare function select(query: RevocationQuery, rows: number): Promise<readonly LoggedRevocation[]>
 *
 * const listRevoked = async (query: RevocationQuery) => toLogPage(await select(query, query.limit + 1), query)
 * ```
 */
export function toLogPage(entries: readonly LoggedRevocation[], query: RevocationQuery): RevocationPage {
  const listed = entries.slice(0, query.limit)
  return {
    items: listed.map(({ id, revokedAt }) => ({ id, revokedAt })),
    cursor: encodeLogCursor(listed.at(-1)?.position ?? decodeLogCursor(query)),
    hasMore: entries.length > listed.length,
  }
}
