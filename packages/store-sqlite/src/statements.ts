import type { FamilyRecord } from '@baton/core'
import { FAMILY_COLUMNS, type LoggedRevocation } from '@baton/core/store'
import type { SqliteDatabase, SqliteStatement } from './database.js'

/**
 * Selects a family as the JSON of its record, because a driver takes longer to make an object of several columns than SQLite to find and
 * change the row. `current`, `grant` and `revocation` are JSON already.
 */
const RECORD = `'{"id":' || json_quote(id) || ',"current":' || "current" || ',"grant":' || "grant"
  || ',"lifetime":{"idleMs":' || coalesce(idle_ms, 'null') || ',"absoluteExpiresAt":' || absolute_expires_at
  || ',"keepUntil":' || keep_until || '},"expiresAt":' || expires_at || ',"revocation":' || coalesce(revocation, 'null')
  || '}' AS record`

/** Returns the record of a row with the column `RECORD`. Its contents have the types that this package wrote. */
export function toRecord(row: unknown): FamilyRecord {
  return JSON.parse((row as { readonly record: string }).record) as FamilyRecord
}

/** Returns the revocation of a row. Drivers may return integers as bigints. */
export function toLoggedRevocation(row: unknown): LoggedRevocation {
  const { id, revokedAt, position } = row as {
    id: FamilyRecord['id']
    revokedAt: number | bigint
    position: number | bigint
  }
  return { id, revokedAt: Number(revokedAt), position: Number(position) }
}

const ALIVE = 'revocation IS NULL AND expires_at > :now'
const DELETABLE = 'keep_until <= :now AND (revocation IS NOT NULL OR expires_at <= :now)'

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
    UPDATE baton_families SET
      verifier = coalesce(:verifier, verifier),
      "current" = coalesce(:current, "current"),
      expires_at = coalesce(min(:now + idle_ms, absolute_expires_at), absolute_expires_at)
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

  listRevoked: `
    SELECT position, family_id AS id, revoked_at AS revokedAt FROM baton_revocations
    WHERE position > :from ORDER BY position LIMIT :limit`,

  // As in create, a key that is taken is written with its own values.
  remember: `
    INSERT INTO baton_remembered (key, claimed_by, expires_at) VALUES (:key, :owner, :expiresAt)
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
