import type { FamilyRecord } from '@baton/core'
import type { SqliteParameters } from './database.js'

/**
 * Selects a family as one JSON text in the order of `Parts`, because a driver takes longer to make an object of several columns than
 * SQLite to find and change the row. The parts that are JSON already are inserted as they are.
 */
export const RECORD = `'[' || json_quote(id) || ',' || "current" || ',' || "grant" || ',' || coalesce(idle_ms, 'null') || ','
  || absolute_expires_at || ',' || keep_until || ',' || expires_at || ',' || coalesce(revocation, 'null') || ']' AS record`

type Parts = [
  id: FamilyRecord['id'],
  current: FamilyRecord['current'],
  grant: FamilyRecord['grant'],
  idleMs: number | null,
  absoluteExpiresAt: number,
  keepUntil: number,
  expiresAt: number,
  revocation: FamilyRecord['revocation'],
]

/** Only for rows that a statement of this package selected as `RECORD`: their contents were written by `toRow`. */
export function toRecord(selected: unknown): FamilyRecord {
  const { record } = selected as { readonly record: string }
  const parts = JSON.parse(record) as Parts
  const [id, current, grant, idleMs, absoluteExpiresAt, keepUntil, expiresAt, revocation] = parts
  return { id, current, grant, lifetime: { idleMs, absoluteExpiresAt, keepUntil }, expiresAt, revocation }
}

/** The columns of a new row, by their names. */
export function toRow({ id, current, grant, lifetime, expiresAt, revocation }: FamilyRecord): SqliteParameters {
  return {
    id,
    ...toCurrent(current),
    grant: JSON.stringify(grant),
    subject: grant.subject,
    created_at: grant.createdAt,
    idle_ms: lifetime.idleMs,
    absolute_expires_at: lifetime.absoluteExpiresAt,
    keep_until: lifetime.keepUntil,
    expires_at: expiresAt,
    revocation: revocation === null ? null : JSON.stringify(revocation),
  }
}

/** The columns that a rotation replaces, by their names. */
export function toCurrent(current: FamilyRecord['current']) {
  return { verifier: current.verifier, current: JSON.stringify(current) }
}
