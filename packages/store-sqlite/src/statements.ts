import type { FamilyRecord } from '@baton/core'
import { FAMILY_COLUMNS } from '@baton/core/store'
import type { SqliteDatabase, SqliteStatement } from './database.js'

/**
 * Selects a family as one JSON text in the order of `Parts`, because a driver takes longer to make an object of several columns than
 * SQLite to find and change the row. The parts that are JSON already are inserted as they are.
 */
const RECORD = `'[' || json_quote(id) || ',' || "current" || ',' || "grant" || ',' || coalesce(idle_ms, 'null') || ','
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

/** Returns the record of a row with the column `RECORD`. Its contents have the types that this package wrote. */
export function toRecord(row: unknown): FamilyRecord {
  const { record } = row as { readonly record: string }
  const parts = JSON.parse(record) as Parts
  const [id, current, grant, idleMs, absoluteExpiresAt, keepUntil, expiresAt, revocation] = parts
  return { id, current, grant, lifetime: { idleMs, absoluteExpiresAt, keepUntil }, expiresAt, revocation }
}

const ALIVE = 'revocation IS NULL AND expires_at > :now'
const DELETABLE = 'keep_until <= :now AND (revocation IS NOT NULL OR expires_at <= :now)'
const RENEW = 'expires_at = coalesce(min(:now + idle_ms, absolute_expires_at), absolute_expires_at)'

/*
 * Each write is one statement, so that SQLite never has to upgrade a read lock. `all` runs it: with `get` drivers stop at the first
 * row, and an error of the commit that follows would be lost.
 */
const SQL = {
  // The update changes nothing: RETURNING returns only rows that the statement wrote.
  create: `
    INSERT INTO baton_families (${FAMILY_COLUMNS.map((name) => `"${name}"`).join(', ')})
    VALUES (${FAMILY_COLUMNS.map((name) => `:${name}`).join(', ')})
    ON CONFLICT (id) DO UPDATE SET id = id
    RETURNING ${RECORD}`,

  find: `SELECT ${RECORD} FROM baton_families WHERE id = :id`,

  rotate: `
    UPDATE baton_families SET verifier = :verifier, "current" = :current, ${RENEW}
    WHERE id = :id AND verifier = :expect AND ${ALIVE}
    RETURNING ${RECORD}`,

  renew: `
    UPDATE baton_families SET ${RENEW}
    WHERE id = :id AND verifier = :expect AND ${ALIVE}
    RETURNING ${RECORD}`,

  revoke: `
    UPDATE baton_families SET revocation = :revocation
    WHERE id = :id AND revocation IS NULL
    RETURNING ${RECORD}`,

  list: `
    SELECT ${RECORD} FROM baton_families
    WHERE subject = :subject AND created_at <= :createdAt AND (created_at < :createdAt OR id > :id) AND ${ALIVE}
    ORDER BY created_at DESC, id LIMIT :limit`,

  // As in create, a key that is taken is written with its own values.
  remember: `
    INSERT INTO baton_remembered (key, claimed_by, expires_at) VALUES (:key, :by, :expiresAt)
    ON CONFLICT (key) DO UPDATE SET
      claimed_by = CASE WHEN expires_at <= :now THEN excluded.claimed_by ELSE claimed_by END,
      expires_at = CASE WHEN expires_at <= :now THEN excluded.expires_at ELSE expires_at END
    RETURNING claimed_by AS claimedBy`,

  deleteKeys: `
    DELETE FROM baton_remembered
    WHERE key IN (SELECT key FROM baton_remembered WHERE expires_at <= :now LIMIT :limit)
    RETURNING key`,

  deleteExpired: `
    DELETE FROM baton_families
    WHERE position IN (
      SELECT position FROM baton_families WHERE absolute_expires_at <= :now AND ${DELETABLE} LIMIT :limit
    )
    RETURNING position`,

  // A read, which does not block writers.
  findRange: `
    SELECT max(position) AS "to", count(*) FILTER (WHERE ${DELETABLE}) AS deletable
    FROM (
      SELECT position, keep_until, revocation, expires_at FROM baton_families
      WHERE position > :from ORDER BY position LIMIT :limit
    )`,

  deleteInRange: `
    DELETE FROM baton_families
    WHERE position IN (
      SELECT position FROM baton_families WHERE position > :from AND position <= :to AND ${DELETABLE} LIMIT :limit
    )
    RETURNING position`,
} as const

/** Prepares every statement of the store, once for the life of the connection. */
export function prepareAll(db: SqliteDatabase): Readonly<Record<keyof typeof SQL, SqliteStatement>> {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)])
  return Object.fromEntries(prepared) as Record<keyof typeof SQL, SqliteStatement>
}
