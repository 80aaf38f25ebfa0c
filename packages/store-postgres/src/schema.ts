import { ConfigurationError } from '@baton/core'
import { matching } from '@baton/core/options'
import { errorCode, errorMessage, REVOCATION_RETENTION_MS } from '@baton/core/store'
import { type Queryable, runQuery } from './client.js'

const OLDEST_SERVER = 14

/**
 * `current` and `grant` hold the parts of the record as JSON; statements compare, sort by or compute the other columns. A rotation
 * changes no indexed column, such as `expires_at`, and the fill factor leaves room for the next version of the row on its page: so no
 * index is written (a HOT update). Texts are compared as bytes, so that new locale data of the server corrupt no index.
 */
const tables = (schema: string) => `CREATE TABLE ${schema}.families (
  id text COLLATE "C" PRIMARY KEY,
  verifier text COLLATE "C" NOT NULL,
  "current" text NOT NULL,
  subject text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  "grant" text NOT NULL,
  idle_ms bigint,
  absolute_expires_at bigint NOT NULL,
  keep_until bigint NOT NULL,
  expires_at bigint NOT NULL,
  revocation text
) WITH (fillfactor = 70);
CREATE INDEX families_by_subject ON ${schema}.families (subject, created_at DESC, id DESC);
CREATE INDEX families_by_absolute_end ON ${schema}.families (absolute_expires_at);
CREATE TABLE ${schema}.remembered (
  key text COLLATE "C" PRIMARY KEY,
  claimed_by text NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX remembered_by_end ON ${schema}.remembered (expires_at);
`

/**
 * The log of revocations, which a trigger writes: so it cannot differ from the families, whichever statement revokes one. `xid` is the
 * transaction that revoked: readers find by it what has been committed since their last snapshot, in whatever order.
 */
const revocations = (schema: string) => `CREATE TABLE ${schema}.revocations (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  family_id text COLLATE "C" NOT NULL,
  revoked_at bigint NOT NULL,
  PRIMARY KEY (xid, family_id)
);
CREATE INDEX revocations_by_instant ON ${schema}.revocations (revoked_at);
CREATE FUNCTION ${schema}.log_revocation() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
  at bigint := (NEW.revocation::json->>'at')::bigint;
BEGIN
  INSERT INTO ${schema}.revocations (family_id, revoked_at) VALUES (NEW.id, at) ON CONFLICT DO NOTHING;
  DELETE FROM ${schema}.revocations WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${schema}.revocations WHERE revoked_at < at - ${String(REVOCATION_RETENTION_MS)} LIMIT 100
    FOR UPDATE SKIP LOCKED));
  RETURN NULL;
END
$body$;
CREATE TRIGGER log_revocation AFTER UPDATE OF revocation ON ${schema}.families FOR EACH ROW
  WHEN (OLD.revocation IS NULL AND NEW.revocation IS NOT NULL) EXECUTE FUNCTION ${schema}.log_revocation();
CREATE TRIGGER log_revocation_of_new AFTER INSERT ON ${schema}.families FOR EACH ROW
  WHEN (NEW.revocation IS NOT NULL) EXECUTE FUNCTION ${schema}.log_revocation();
`

/** The first entry upgrades version 1 to 2, the next one version 2 to 3, and so on. Never edit one that was released. */
const UPGRADES: readonly ((schema: string) => string)[] = [
  // Version 1 had a column for each member of the record. One ALTER TABLE with USING rewrites the table once: an UPDATE would leave
  // a dead version of every row, and a new table would lose its privileges.
  (schema) => `ALTER TABLE ${schema}.families
  ALTER COLUMN nonce TYPE text USING json_build_object('generation', generation, 'verifier', verifier, 'nonce', nonce,
    'keyId', key_id, 'rotatedAt', rotated_at, 'retryKey', retry_key)::text,
  ALTER COLUMN metadata TYPE text USING json_build_object('subject', subject, 'clientId', client_id, 'scope', scope,
    'audience', audience::json, 'confirmation', CASE
      WHEN bound_key LIKE 'jkt:%' THEN json_build_object('jkt', substr(bound_key, 5))
      WHEN bound_key IS NOT NULL THEN json_build_object('x5t#S256', substr(bound_key, 10))
    END, 'offline', offline, 'metadata', metadata::json, 'createdAt', created_at)::text,
  ALTER COLUMN revocation_reason TYPE text USING CASE WHEN revocation_id IS NOT NULL
    THEN json_build_object('id', revocation_id, 'at', revoked_at, 'reason', revocation_reason)::text END;
ALTER TABLE ${schema}.families RENAME COLUMN nonce TO "current";
ALTER TABLE ${schema}.families RENAME COLUMN metadata TO "grant";
ALTER TABLE ${schema}.families RENAME COLUMN revocation_reason TO revocation;
ALTER TABLE ${schema}.families DROP COLUMN generation, DROP COLUMN key_id, DROP COLUMN rotated_at, DROP COLUMN retry_key,
  DROP COLUMN client_id, DROP COLUMN scope, DROP COLUMN audience, DROP COLUMN bound_key, DROP COLUMN offline,
  DROP COLUMN revocation_id, DROP COLUMN revoked_at;
`,
  // Version 2 had no log of revocations.
  (schema) => `${revocations(schema)}INSERT INTO ${schema}.revocations (family_id, revoked_at)
  SELECT id, (revocation::json->>'at')::bigint FROM ${schema}.families WHERE revocation IS NOT NULL;
`,
]

const NEWEST = UPGRADES.length + 1

export const schemaName = matching(
  /^[a-z_][a-z0-9_]{0,62}$/,
  "a name of up to 63 lower-case letters, digits and _, such as 'baton'",
)

/** Returns the schema as a quoted identifier. Throws `ConfigurationError` for an invalid name. */
export function quoted(schema: unknown): string {
  return `"${schemaName.parse(schema, 'schema')}"`
}

/**
 * Returns the SQL that brings a schema from version `from` (0: no schema) to the newest one, to read or to run with your own
 * migration tool. Run it once, in one transaction: a second run fails and changes nothing. `migrate()` needs no such care.
 *
 * @example
 * ```ts
 * import { migrationSql } from '@baton/store-postgres'
 * import { writeFileSync } from 'node:fs'
 *
 * writeFileSync('migrations/001-baton.sql', migrationSql())
 * ```
 */
export function migrationSql(schema = 'baton', from = 0): string {
  const name = quoted(schema)
  if (!Number.isInteger(from) || from < 0 || from > NEWEST)
    throw new ConfigurationError('from', `must be a schema version from 0 to ${String(NEWEST)}, got ${String(from)}`)
  return (from === 0 ? `CREATE SCHEMA IF NOT EXISTS ${name};\n` : '') + migrationSteps(name, from)
}

function migrationSteps(name: string, from: number): string {
  const versions = `${name}.schema_versions`
  const table = from === 0 ? `CREATE TABLE ${versions} (version integer PRIMARY KEY);\n` : ''
  // The versions first: their primary key stops a concurrent migration before it changes anything.
  const inserts = Array.from(
    { length: NEWEST - from },
    (_, index) => `INSERT INTO ${versions} (version) VALUES (${String(from + 1 + index)});\n`,
  )
  const changes =
    from === 0 ? [tables(name), revocations(name)] : UPGRADES.slice(from - 1).map((upgrade) => upgrade(name))
  return [table, ...inserts, ...changes].join('')
}

/** One lock for all schemas. The number is arbitrary. */
const LOCK = 'SELECT pg_advisory_xact_lock(4711202700071);\n'

/** Applies the missing migrations, once, however many processes start together. If none is missing, it only reads. */
export async function migrate(db: Queryable, schema: string): Promise<void> {
  const { schemaExists, version } = await readState(db, schema)
  if (version === NEWEST) return
  const sql = schemaExists ? migrationSteps(quoted(schema), version) : migrationSql(schema, version)
  try {
    // Statements of one query are one transaction, which holds the lock: no session state, so any pooler works.
    await db.query({ text: LOCK + sql })
  } catch (cause) {
    const state = await readState(db, schema).catch(() => null)
    // Another process was first.
    if (state?.version === NEWEST) return
    throw failure(`cannot migrate schema ${schema} to version ${String(NEWEST)}, nothing was changed`, cause)
  }
}

async function readState(db: Queryable, schema: string): Promise<{ schemaExists: boolean; version: number }> {
  const text = `SELECT current_setting('server_version_num')::integer AS server, to_regnamespace($1) IS NOT NULL AS schema,
    to_regclass($1 || '.schema_versions') IS NOT NULL AS versions`
  const { rows } = await runQuery(db, { text, values: [quoted(schema)] })
  const row = rows[0] as { server: unknown; schema: boolean; versions: boolean }
  const server = Math.floor(Number(row.server) / 10_000)
  if (server < OLDEST_SERVER)
    throw new Error(
      `the server is PostgreSQL ${String(server)}; @baton/store-postgres needs ${String(OLDEST_SERVER)} or newer`,
    )
  const query = { text: `SELECT max(version) AS version FROM ${quoted(schema)}.schema_versions` }
  const found =
    row.versions &&
    (await runQuery(db, query).catch((cause: unknown) => {
      throw failure(`cannot read the version of schema ${schema}`, cause)
    }))
  const version = found ? Number((found.rows[0] as { version: unknown }).version) : 0
  if (version > NEWEST)
    throw new Error(
      `schema ${schema} has version ${String(version)} and this @baton/store-postgres knows none above ${String(NEWEST)}; update the package, nothing was changed`,
    )
  return { schemaExists: row.schema, version }
}

/** The schema has other tables, columns or rows of these names. */
const NAMES_TAKEN = ['42P07', '42703', '42804', '23505', '42809']

function failure(what: string, cause: unknown): Error {
  const code = errorCode(cause)
  const isForbidden = code === '42501'
  const fix = isForbidden
    ? 'migrate as the owner, or run migrationSql() yourself'
    : 'give Baton a separate schema, with the option schema'
  const message = `${what}: ${errorMessage(cause)}`
  return new Error(isForbidden || NAMES_TAKEN.includes(code) ? `${message}; ${fix}` : message, { cause })
}
