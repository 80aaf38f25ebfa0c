import type { FamilyId } from '@baton/core'
import { invalidLogCursor, type RevocationPage, type RevocationQuery } from '@baton/core/store'

/** A row of `listRevoked`; without a family if there is none. */
export interface RevocationRow {
  /** The snapshot in which the row was read, as text. */
  readonly snapshot: string
  readonly xid: string | null
  readonly family_id: FamilyId | null
  readonly revoked_at: string | number | bigint | null
}

/**
 * Where a reader of the log is. Transactions commit in another order than that of their ids, so a position would skip some: the reader
 * keeps the snapshot of its last read, and reads what was not visible in it.
 */
interface LogCursor {
  readonly known: string
  /** Of the second page on: the snapshot of the first page, which the following pages must not exceed, and the last row. */
  readonly page: { readonly snapshot: string; readonly xid: string; readonly familyId: string } | null
}

/** No transaction is visible in it. */
const START: LogCursor = { known: '1:1:', page: null }

const SNAPSHOT = '\\d{1,20}:\\d{1,20}:[\\d,]{0,300}'
const CURSOR = new RegExp(`^(${SNAPSHOT})(?: (${SNAPSHOT}) (\\d{1,20}) ([\\w-]{1,64}))?$`)

/** Two snapshots and a row fit into a cursor of 1024 bytes. */
const MAX_SNAPSHOT_LENGTH = 340

/** Returns the snapshot, or an older one if many transactions were in progress: then the next page repeats some families. */
function shorten(snapshot: string): string {
  const [xmin = ''] = snapshot.split(':')
  return snapshot.length <= MAX_SNAPSHOT_LENGTH ? snapshot : `${xmin}:${xmin}:`
}

function encode({ known, page }: LogCursor): string {
  const parts = page === null ? [known] : [known, page.snapshot, page.xid, page.familyId]
  return Buffer.from(parts.join(' ')).toString('base64url')
}

/** Throws `ConfigurationError` for a cursor that is not of this store. */
export function decodeCursorOfLog(cursor: string | undefined): LogCursor {
  if (cursor === undefined) return START
  const [, known, snapshot, xid, familyId] = CURSOR.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (known === undefined) throw invalidLogCursor()
  const isPage = snapshot !== undefined && xid !== undefined && familyId !== undefined
  const decoded = { known, page: isPage ? { snapshot, xid, familyId } : null }
  if (encode(decoded) !== cursor) throw invalidLogCursor()
  return decoded
}

/** Returns the parameters of `listRevoked`. */
export function parametersOfLog({ known, page }: LogCursor, { since, limit }: RevocationQuery): unknown[] {
  return [known, page?.snapshot ?? null, page?.xid ?? '0', page?.familyId ?? '', since, limit + 1]
}

export function toRevocationPage(rows: readonly RevocationRow[], from: LogCursor, limit: number): RevocationPage {
  const found = rows.flatMap(({ xid, family_id: id, revoked_at: at }) =>
    xid === null || id === null ? [] : [{ xid, id, revokedAt: Number(at) }],
  )
  // SQL promises no order for an outer SELECT.
  found.sort(
    (one, other) =>
      compareText(one.xid.padStart(20, '0'), other.xid.padStart(20, '0')) || compareText(one.id, other.id),
  )
  const listed = found.slice(0, limit)
  const snapshot = from.page?.snapshot ?? shorten(rows[0]?.snapshot ?? from.known)
  const last = listed.at(-1)
  const hasMore = last !== undefined && found.length > limit
  return {
    items: listed.map(({ id, revokedAt }) => ({ id, revokedAt })),
    cursor: encode(
      hasMore
        ? { known: from.known, page: { snapshot, xid: last.xid, familyId: last.id } }
        : { known: snapshot, page: null },
    ),
    hasMore,
  }
}

function compareText(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
