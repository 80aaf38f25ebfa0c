import { ConfigurationError } from '@baton/core'
import { matching } from '@baton/core/options'
import { ask, type Queryable, stateOf } from './client.js'

const OLDEST_SERVER = 14

/**
 * Each entry brings the schema from the version of its index to the next. Never edit one that was released.
 *
 * `expires_at` is in no index, nor is anything else that a rotation changes: the fill factor leaves room on the page for the next
 * version of the row, and no index has to hear of it. Texts are compared as bytes, so that no update of the server's locale data
 * can spoil an index.
 */
const MIGRATIONS: readonly ((schema: string) => string)[] = [
  (schema) => `CREATE TABLE ${schema}.families (
  id text COLLATE "C" PRIMARY KEY,
  generation bigint NOT NULL,
  verifier text COLLATE "C" NOT NULL,
  nonce text NOT NULL,
  key_id text NOT NULL,
  rotated_at bigint NOT NULL,
  retry_key text,
  idle_ms bigint,
  expires_at bigint NOT NULL,
  absolute_expires_at bigint NOT NULL,
  keep_until bigint NOT NULL,
  revocation_id text,
  revoked_at bigint,
  revocation_reason text,
  subject text COLLATE "C" NOT NULL,
  client_id text NOT NULL,
  scope text NOT NULL,
  audience text NOT NULL,
  bound_key text,
  offline boolean NOT NULL,
  metadata text NOT NULL,
  created_at bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX families_by_subject ON ${schema}.families (subject, created_at DESC, id DESC);
CREATE INDEX families_by_absolute_end ON ${schema}.families (absolute_expires_at);
CREATE TABLE ${schema}.remembered (
  key text COLLATE "C" PRIMARY KEY,
  claimed_by text NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX remembered_by_end ON ${schema}.remembered (expires_at);
`,
  // "current" and "grant" hold the parts of the record as JSON, and the columns that statements do not use go. One ALTER TABLE with
  // USING writes the table anew, once: an UPDATE would leave a dead version of every row, and a new table would lose its privileges.
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
]

const NEWEST = MIGRATIONS.length

export const schemaName = matching(
  /^[a-z_][a-z0-9_]{0,62}$/,
  "a name of up to 63 lower-case letters, digits and _, such as 'baton'",
)

/** Returns the schema as a quoted identifier. Throws `ConfigurationError` for an invalid name. */
export function quoted(schema: unknown): string {
  return `"${schemaName.parse(schema, 'schema')}"`
}

/**
 * The SQL that brings a schema from version `from` (0: there is nothing yet) to the newest one, to read or to run with your own
 * migration tool. Run it once, in one transaction: a second run fails and changes nothing. `migrate()` knows what it has done.
 */
export function migrationSql(schema = 'baton', from = 0): string {
  const name = quoted(schema)
  if (!Number.isInteger(from) || from < 0 || from > NEWEST)
    throw new ConfigurationError('from', `must be a schema version from 0 to ${String(NEWEST)}, got ${String(from)}`)
  return (from === 0 ? `CREATE SCHEMA IF NOT EXISTS ${name};\n` : '') + steps(name, from)
}

function steps(name: string, from: number): string {
  const versions = `${name}.schema_versions`
  const table = from === 0 ? `CREATE TABLE ${versions} (version integer PRIMARY KEY);\n` : ''
  const migrations = MIGRATIONS.slice(from).map((migration, index) => {
    // First, so that the primary key stops whoever comes second before anything has been changed.
    const version = `INSERT INTO ${versions} (version) VALUES (${String(from + index + 1)});\n`
    return version + migration(name)
  })
  return table + migrations.join('')
}

interface State {
  readonly schemaExists: boolean
  readonly version: number
}

// Any number will do that other programs do not use, and one for all schemas.
const LOCK = 'SELECT pg_advisory_xact_lock(4711202700071);\n'

/** Applies what is missing, once, however many processes start together. Where nothing is missing it only reads. */
export async function migrate(db: Queryable, schema: string): Promise<void> {
  const { schemaExists, version } = await stateOfSchema(db, schema)
  if (version === NEWEST) return
  const name = quoted(schema)
  const sql = schemaExists ? steps(name, version) : migrationSql(schema, version)
  try {
    // Statements sent as one query are one transaction, which the lock lasts for: no session state, any pooler will do.
    await db.query({ text: LOCK + sql })
  } catch (cause) {
    const now = await stateOfSchema(db, schema).catch(() => null)
    // Another process was first.
    if (now?.version === NEWEST) return
    throw new Error(
      `cannot migrate schema ${schema} to version ${String(NEWEST)}, nothing was changed: ${mend(cause)}`,
      {
        cause,
      },
    )
  }
}

async function stateOfSchema(db: Queryable, schema: string): Promise<State> {
  const text = `SELECT current_setting('server_version_num')::integer AS server, to_regnamespace($1) IS NOT NULL AS schema,
    to_regclass($1 || '.schema_versions') IS NOT NULL AS versions`
  const { rows } = await ask(db, { text, values: [quoted(schema)] })
  const row = rows[0] as { server: unknown; schema: boolean; versions: boolean }
  const server = Math.floor(Number(row.server) / 10_000)
  if (server < OLDEST_SERVER)
    throw new Error(
      `the server is PostgreSQL ${String(server)}; @baton/store-postgres needs ${String(OLDEST_SERVER)} or newer`,
    )
  const version = row.versions ? await versionOf(db, schema) : 0
  if (version > NEWEST)
    throw new Error(
      `schema ${schema} has version ${String(version)} and this @baton/store-postgres knows none above ${String(NEWEST)}; update the package, nothing was changed`,
    )
  return { schemaExists: row.schema, version }
}

async function versionOf(db: Queryable, schema: string): Promise<number> {
  try {
    const { rows } = await ask(db, { text: `SELECT max(version) AS version FROM ${quoted(schema)}.schema_versions` })
    return Number((rows[0] as { version: unknown }).version)
  } catch (cause) {
    throw new Error(`cannot read the version of schema ${schema}: ${mend(cause)}`, { cause })
  }
}

const TAKEN = ['42P07', '42703', '42804', '23505', '42809']
const FORBIDDEN = '42501'

function mend(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  if (TAKEN.includes(stateOf(error))) return `${message}; give Baton a schema of its own, with the option schema`
  if (stateOf(error) === FORBIDDEN) return `${message}; migrate as the owner, or run migrationSql() yourself`
  return message
}
