import type { SqliteDatabase } from './database.js'
import { RECORD } from './rows.js'

/*
 * Everything that writes is one statement, so that no lock is taken for reading and upgraded later, and is run with `all`: with
 * `get` drivers stop at the first row, and an error of the commit that follows it would be lost.
 */

const ALIVE = 'revocation IS NULL AND expires_at > :now'
const MAY_GO = 'keep_until <= :now AND (revocation IS NOT NULL OR expires_at <= :now)'
const NEW_END = 'expires_at = coalesce(min(:now + idle_ms, absolute_expires_at), absolute_expires_at)'

const TEXTS = {
  // The update changes nothing: it makes the row that is there come back, in the same step.
  create: `
    INSERT INTO baton_families (
      id, verifier, "current", subject, created_at, "grant", idle_ms, absolute_expires_at, keep_until, expires_at, revocation
    ) VALUES (
      :id, :verifier, :current, :subject, :created_at, :grant, :idle_ms, :absolute_expires_at, :keep_until, :expires_at, :revocation
    )
    ON CONFLICT (id) DO UPDATE SET id = id
    RETURNING ${RECORD}`,

  find: `SELECT ${RECORD} FROM baton_families WHERE id = :id`,

  rotate: `
    UPDATE baton_families SET verifier = :verifier, "current" = :current, ${NEW_END}
    WHERE id = :id AND verifier = :expect AND ${ALIVE}
    RETURNING ${RECORD}`,

  renew: `
    UPDATE baton_families SET ${NEW_END}
    WHERE id = :id AND verifier = :expect AND ${ALIVE}
    RETURNING ${RECORD}`,

  revoke: `
    UPDATE baton_families SET revocation = :revocation
    WHERE id = :id AND revocation IS NULL
    RETURNING ${RECORD}`,

  list: `
    SELECT ${RECORD} FROM baton_families
    WHERE subject = :subject AND created_at <= :createdAt AND (created_at < :createdAt OR id > :id) AND ${ALIVE}
    ORDER BY created_at DESC, id LIMIT :most`,

  // As with create, a claim that stands is written as it is, so that it comes back.
  remember: `
    INSERT INTO baton_remembered (key, claimed_by, expires_at) VALUES (:key, :by, :expiresAt)
    ON CONFLICT (key) DO UPDATE SET
      claimed_by = CASE WHEN expires_at <= :now THEN excluded.claimed_by ELSE claimed_by END,
      expires_at = CASE WHEN expires_at <= :now THEN excluded.expires_at ELSE expires_at END
    RETURNING claimed_by AS claimedBy`,

  forget: `
    DELETE FROM baton_remembered
    WHERE key IN (SELECT key FROM baton_remembered WHERE expires_at <= :now LIMIT :most)
    RETURNING key`,

  deleteEnded: `
    DELETE FROM baton_families
    WHERE position IN (
      SELECT position FROM baton_families WHERE absolute_expires_at <= :now AND ${MAY_GO} LIMIT :most
    )
    RETURNING position`,

  // Only reads, so it keeps nobody from writing.
  look: `
    SELECT max(position) AS upTo, count(*) FILTER (WHERE ${MAY_GO}) AS dead
    FROM (
      SELECT position, keep_until, revocation, expires_at FROM baton_families
      WHERE position > :from ORDER BY position LIMIT :most
    )`,

  deleteDead: `
    DELETE FROM baton_families
    WHERE position IN (
      SELECT position FROM baton_families WHERE position > :from AND position <= :upTo AND ${MAY_GO} LIMIT :most
    )
    RETURNING position`,
} as const

export type Statements = ReturnType<typeof prepareAll>

/** Prepares every statement of the store, once for the life of the connection. */
export function prepareAll(db: SqliteDatabase) {
  return {
    create: db.prepare(TEXTS.create),
    find: db.prepare(TEXTS.find),
    rotate: db.prepare(TEXTS.rotate),
    renew: db.prepare(TEXTS.renew),
    revoke: db.prepare(TEXTS.revoke),
    list: db.prepare(TEXTS.list),
    remember: db.prepare(TEXTS.remember),
    forget: db.prepare(TEXTS.forget),
    deleteEnded: db.prepare(TEXTS.deleteEnded),
    look: db.prepare(TEXTS.look),
    deleteDead: db.prepare(TEXTS.deleteDead),
  }
}
