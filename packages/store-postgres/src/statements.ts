import { COLUMNS } from './rows.js'

export type StatementName = keyof ReturnType<typeof statementsOn>

/** Every statement of the store but those of migrations, on tables in this quoted schema. */
export function statementsOn(schema: string) {
  const families = `${schema}.families`
  const remembered = `${schema}.remembered`
  const columns = COLUMNS.join(', ')
  const places = COLUMNS.map((_, index) => `$${String(index + 1)}`).join(', ')
  const living = 'id = $1 AND verifier = $2 AND revocation IS NULL AND expires_at > $3::bigint'
  const renewedAt = (now: string) =>
    `expires_at = LEAST(${now} + coalesce(idle_ms, absolute_expires_at), absolute_expires_at)`
  const renewed = renewedAt('$3::bigint')
  // One row in any case, which says whether the server is a standby: what a standby does not have yet is not unknown.
  const onPrimary = (rows: string) =>
    `SELECT pg_is_in_recovery() AS is_standby, ${columns} FROM (SELECT) AS server LEFT JOIN ${rows}`
  const dead = '(revocation IS NOT NULL OR expires_at <= $1::bigint) AND keep_until <= $1::bigint'

  // As an array, because a join might read the whole table. Rows that somebody is writing are passed over, not waited for.
  const deleteSome = (table: string, key: string, which: string) =>
    `DELETE FROM ${table} WHERE ${key} = ANY (ARRAY(
      SELECT ${key} FROM ${table} WHERE ${which} LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`

  return {
    create: `INSERT INTO ${families} (${columns}) VALUES (${places}) ON CONFLICT (id) DO NOTHING RETURNING ${columns}`,
    find: onPrimary(`${families} ON id = $1`),
    rotate: `UPDATE ${families} SET ${renewed}, verifier = $4, "current" = $5 WHERE ${living} RETURNING ${columns}`,
    // Rows that somebody is writing are passed over: nobody waits for the writers of another family.
    rotateMany: `UPDATE ${families} SET ${renewedAt('swap.now')}, verifier = swap.verifier, "current" = swap."current"
      FROM json_to_recordset($1) AS swap (id text, expect text, now bigint, verifier text, "current" text)
      WHERE ${families}.id = swap.id AND ${families}.verifier = swap.expect AND revocation IS NULL AND expires_at > swap.now
        AND ${families}.id = ANY (ARRAY(
          SELECT id FROM ${families} WHERE id = ANY ($2::text[]) FOR NO KEY UPDATE SKIP LOCKED))
      RETURNING ${COLUMNS.map((column) => `${families}.${column}`).join(', ')}`,
    renew: `UPDATE ${families} SET ${renewed} WHERE ${living} RETURNING ${columns}`,
    revoke: `UPDATE ${families} SET revocation = $2
      WHERE id = $1 AND revocation IS NULL RETURNING ${columns}`,
    list: onPrimary(`(SELECT ${columns} FROM ${families} WHERE subject = $1 AND (created_at, id) < ($2::bigint, $3)
      AND revocation IS NULL AND expires_at > $4::bigint ORDER BY created_at DESC, id DESC LIMIT $5::bigint) AS page ON true`),
    // A claim that stands is written as it is: nothing else shows it as it stands in the same step.
    remember: `INSERT INTO ${remembered} AS held (key, claimed_by, expires_at) VALUES ($1, $2, $3)
      ON CONFLICT (key) DO UPDATE SET
        claimed_by = CASE WHEN held.expires_at <= $4::bigint THEN excluded.claimed_by ELSE held.claimed_by END,
        expires_at = CASE WHEN held.expires_at <= $4::bigint THEN excluded.expires_at ELSE held.expires_at END
      RETURNING claimed_by`,
    forget: deleteSome(remembered, 'key', 'expires_at <= $1::bigint'),
    deleteEnded: deleteSome(families, 'id', 'absolute_expires_at <= $1::bigint AND keep_until <= $1::bigint'),
    deleteDead: deleteSome(families, 'id', `ctid >= $3::tid AND ctid < $4::tid AND ${dead}`),
    pages: `SELECT pg_relation_size('${families}'::regclass) / current_setting('block_size')::bigint AS pages`,
  }
}
