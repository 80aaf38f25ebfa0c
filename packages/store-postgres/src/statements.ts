import type { CurrentToken } from '@baton/core'
import { FAMILY_COLUMNS, type RotateCommand, toCurrentColumns } from '@baton/core/store'

export type StatementName = keyof ReturnType<typeof statementsOn>

/** Every statement of the store but those of migrations, on tables in this quoted schema. */
export function statementsOn(schema: string) {
  const families = `${schema}.families`
  const oneTimeKeys = `${schema}.remembered`
  const names = FAMILY_COLUMNS.map((name) => `"${name}"`)
  const columns = names.join(', ')
  const places = names.map((_, index) => `$${String(index + 1)}`).join(', ')
  const renewedAt = (now: string) =>
    `expires_at = LEAST(${now} + coalesce(idle_ms, absolute_expires_at), absolute_expires_at)`
  // Always returns a row, which says whether the server is a standby: a standby may lack a family that exists.
  const onPrimary = (rows: string) =>
    `SELECT pg_is_in_recovery() AS is_standby, ${columns} FROM (SELECT) AS server LEFT JOIN ${rows}`
  const deletable = '(revocation IS NOT NULL OR expires_at <= $1::bigint) AND keep_until <= $1::bigint'

  // An array, because a join might read the whole table. SKIP LOCKED skips rows that another transaction writes.
  const deleteSome = (table: string, key: string, which: string) =>
    `DELETE FROM ${table} WHERE ${key} = ANY (ARRAY(
      SELECT ${key} FROM ${table} WHERE ${which} LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`

  return {
    insert: `INSERT INTO ${families} (${columns}) VALUES (${places}) ON CONFLICT (id) DO NOTHING RETURNING ${columns}`,
    find: onPrimary(`${families} ON id = $1`),
    rotate: `UPDATE ${families} SET ${renewedAt('$3::bigint')}, verifier = coalesce($4, verifier), "current" = coalesce($5, "current")
      WHERE id = $1 AND verifier = $2 AND revocation IS NULL AND expires_at > $3::bigint RETURNING ${columns}`,
    // Skips rows that another transaction writes, so that no rotation waits for the writer of another family.
    rotateMany: `UPDATE ${families} SET ${renewedAt('swap.now')}, verifier = swap.verifier, "current" = swap."current"
      FROM json_to_recordset($1) AS swap (id text, expect text, now bigint, verifier text, "current" text)
      WHERE ${families}.id = swap.id AND ${families}.verifier = swap.expect AND revocation IS NULL AND expires_at > swap.now
        AND ${families}.id = ANY (ARRAY(
          SELECT id FROM ${families} WHERE id = ANY ($2::text[]) FOR NO KEY UPDATE SKIP LOCKED))
      RETURNING ${names.map((name) => `${families}.${name}`).join(', ')}`,
    revoke: `UPDATE ${families} SET revocation = $2
      WHERE id = $1 AND revocation IS NULL RETURNING ${columns}`,
    list: onPrimary(`(SELECT ${columns} FROM ${families} WHERE subject = $1 AND (created_at, id) < ($2::bigint, $3)
      AND revocation IS NULL AND expires_at > $4::bigint ORDER BY created_at DESC, id DESC LIMIT $5::bigint) AS page ON true`),
    // $1: the snapshot up to which the reader knows all; of another server, whose transactions are ahead of this one, it says nothing.
    // $2 to $4: of the second page on, the snapshot of the first one, and the last row. ORDER BY names the column of the table, because
    // the text of a transaction id sorts otherwise.
    listRevoked: `SELECT pg_is_in_recovery() AS is_standby, server.snapshot::text, page.*
      FROM (SELECT pg_current_snapshot() AS snapshot, CASE
        WHEN pg_snapshot_xmax($1::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()) THEN '1:1:' ELSE $1::pg_snapshot
      END AS known OFFSET 0) AS server LEFT JOIN LATERAL (
        SELECT xid::text, family_id, revoked_at FROM ${schema}.revocations AS log
        WHERE xid >= pg_snapshot_xmin(known) AND NOT pg_visible_in_snapshot(xid, known)
          AND ($2::pg_snapshot IS NULL OR pg_visible_in_snapshot(xid, $2::pg_snapshot))
          AND (xid, family_id) > ($3::text::xid8, $4) AND revoked_at >= $5::bigint
        ORDER BY log.xid, log.family_id LIMIT $6::bigint
      ) AS page ON true`,
    // A key that is taken is written with its own values: RETURNING returns only rows that the statement wrote.
    remember: `INSERT INTO ${oneTimeKeys} AS held (key, claimed_by, expires_at) VALUES ($1, $2, $3)
      ON CONFLICT (key) DO UPDATE SET
        claimed_by = CASE WHEN held.expires_at <= $4::bigint THEN excluded.claimed_by ELSE held.claimed_by END,
        expires_at = CASE WHEN held.expires_at <= $4::bigint THEN excluded.expires_at ELSE held.expires_at END
      RETURNING claimed_by`,
    deleteKeys: deleteSome(oneTimeKeys, 'key', 'expires_at <= $1::bigint'),
    deleteExpired: deleteSome(families, 'id', 'absolute_expires_at <= $1::bigint AND keep_until <= $1::bigint'),
    deleteInPages: deleteSome(families, 'id', `ctid >= $3::tid AND ctid < $4::tid AND ${deletable}`),
    countPages: `SELECT pg_relation_size('${families}'::regclass) / current_setting('block_size')::bigint AS pages`,
  }
}

/** A rotation that makes a successor. */
export interface Swap extends RotateCommand {
  readonly next: CurrentToken
}

/** Returns the parameters of `rotateMany`: the swaps as JSON, and their families. */
export function rotateManyParameters(swaps: readonly Swap[]): unknown[] {
  const rows = swaps.map(({ id, expect, next, now }) => ({ id, expect, now, ...toCurrentColumns(next) }))
  return [JSON.stringify(rows), swaps.map(({ id }) => id)]
}
