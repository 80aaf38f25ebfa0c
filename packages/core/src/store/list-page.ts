import { ConfigurationError } from '../model/errors.js'
import { type FamilyRecord, isFamilyId } from '../model/family.js'
import { isAlive } from './apply.js'

/** A page of `list`. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** Pass it to `list` for the next page; null if this is the last one. 1 to 1024 bytes of well-formed text without NUL. */
  readonly cursor: string | null
}

/** The position of a family in the list of its subject. */
export interface ListPosition {
  readonly createdAt: number
  readonly id: string
}

/** Precedes every position. */
const START: ListPosition = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

/**
 * Sorts positions as `list` does: newest first, then by id.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { compareNewestFirst, positionOf } from '@baton/core/store'
 *
 * const sorted = (records: readonly FamilyRecord[]) =>
 *   [...records].sort((one, other) => compareNewestFirst(positionOf(one), positionOf(other)))
 * ```
 */
export function compareNewestFirst(one: ListPosition, other: ListPosition): number {
  if (one.createdAt !== other.createdAt) return other.createdAt - one.createdAt
  if (one.id === other.id) return 0
  return one.id < other.id ? -1 : 1
}

/**
 * Returns the cursor of the page that follows this position.
 *
 * @example
 * ```ts
 * import { decodeCursor, encodeCursor } from '@baton/core/store'
 *
 * const cursor = encodeCursor({ createdAt: 1_800_000_000_000, id: 'AAAAAAAAAAAAAAAAAAAAAA' })
 * decodeCursor(cursor) // { createdAt: 1800000000000, id: 'AAAAAAAAAAAAAAAAAAAAAA' }
 * ```
 */
export function encodeCursor({ createdAt, id }: ListPosition): string {
  return Buffer.from(`${String(createdAt)}.${id}`).toString('base64url')
}

/**
 * Returns the position after which a page begins. Without a cursor, the position precedes all others. Throws `ConfigurationError` for a cursor that
 * `encodeCursor` does not return.
 *
 * @example
 * ```ts
 * import type { ListQuery } from '@baton/core'
 * import { decodeCursor } from '@baton/core/store'
 *
 * // The values of a statement that reads the families after the cursor.
 * function toParameters({ subject, cursor, limit, now }: ListQuery) {
 *   const { createdAt, id } = decodeCursor(cursor)
 *   return [subject, now, createdAt, id, limit + 1]
 * }
 * ```
 */
export function decodeCursor(cursor?: string): ListPosition {
  if (cursor === undefined) return START
  const [, createdAt, id] = /^(-?\d{1,16})\.(.+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (isFamilyId(id)) {
    const position = { createdAt: Number(createdAt), id }
    // Buffer ignores invalid characters, so several strings decode to one position. Only the encoder's is accepted.
    if (Number.isSafeInteger(position.createdAt) && encodeCursor(position) === cursor) return position
  }
  throw new ConfigurationError('cursor', 'is not one that list returned; omit it to get the first page')
}

/**
 * Returns the position of a family in the list of its subject.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { encodeCursor, positionOf } from '@baton/core/store'
 *
 * const cursorAfter = (record: FamilyRecord) => encodeCursor(positionOf(record))
 * ```
 */
export function positionOf({ id, grant }: FamilyRecord): ListPosition {
  return { createdAt: grant.createdAt, id }
}

/**
 * Returns the page of records that an engine has read in list order, from the position of the cursor on. The engine reads `limit + 1` records,
 * because one more than `limit` means that another page follows.
 *
 * @example
 * ```ts
 * import type { FamilyRecord, ListQuery, Page } from '@baton/core'
 * import { toPage } from '@baton/core/store'
 *
 * declare function select(query: ListQuery, rows: number): Promise<readonly FamilyRecord[]>
 *
 * async function list(query: ListQuery): Promise<Page<FamilyRecord>> {
 *   return toPage(await select(query, query.limit + 1), query.limit)
 * }
 * ```
 */
export function toPage(records: readonly FamilyRecord[], limit: number): Page<FamilyRecord> {
  const items = records.slice(0, limit)
  const last = items.at(-1)
  return { items, cursor: last !== undefined && records.length > limit ? encodeCursor(positionOf(last)) : null }
}

/**
 * Returns the page of a `list` query from all records of the subject, in any order, for engines that do not sort.
 *
 * @example
 * ```ts
 * import type { FamilyRecord, ListQuery, Page } from '@baton/core'
 * import { pageOf } from '@baton/core/store'
 *
 * declare function recordsOf(subject: string): Promise<readonly FamilyRecord[]>
 *
 * async function list(query: ListQuery): Promise<Page<FamilyRecord>> {
 *   return pageOf(await recordsOf(query.subject), query)
 * }
 * ```
 */
export function pageOf(
  records: readonly FamilyRecord[],
  { cursor, limit, now }: { readonly cursor?: string; readonly limit: number; readonly now: number },
): Page<FamilyRecord> {
  const after = decodeCursor(cursor)
  const rest = records
    .filter((record) => isAlive(record, now) && compareNewestFirst(after, positionOf(record)) < 0)
    .sort((one, other) => compareNewestFirst(positionOf(one), positionOf(other)))
  return toPage(rest, limit)
}
