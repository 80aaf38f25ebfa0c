import { isBusy, pragma, type SqliteDatabase } from './database.js'

/**
 * Each entry brings the schema from the version of its index to the next. Never edit one that was released.
 *
 * Families are ordinary rowid tables: their rows are wide, and new ones go to the end. `expires_at` is in no index, so that a
 * rotation writes one page of the table and nothing else.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE baton_families (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    verifier TEXT NOT NULL,
    nonce TEXT NOT NULL,
    key_id TEXT NOT NULL,
    rotated_at INTEGER NOT NULL,
    retry_key TEXT,
    idle_ms INTEGER,
    expires_at INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    revocation_id TEXT,
    revoked_at INTEGER,
    revocation_reason TEXT,
    created_at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    client_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    bound_key TEXT,
    offline INTEGER NOT NULL,
    metadata TEXT NOT NULL
  ) STRICT;
  CREATE INDEX baton_families_by_subject ON baton_families (subject, created_at DESC, id);
  CREATE INDEX baton_families_by_absolute_end ON baton_families (absolute_expires_at);
  CREATE TABLE baton_remembered (
    key TEXT PRIMARY KEY,
    claimed_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX baton_remembered_by_end ON baton_remembered (expires_at);
  `,
  // "current" and "grant" hold the parts of the record as JSON; the other columns are what statements compare, sort by or compute.
  `
  ALTER TABLE baton_families RENAME TO baton_families_1;
  CREATE TABLE baton_families (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    verifier TEXT NOT NULL,
    "current" TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    "grant" TEXT NOT NULL,
    idle_ms INTEGER,
    absolute_expires_at INTEGER NOT NULL,
    keep_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revocation TEXT
  ) STRICT;
  INSERT INTO baton_families
  SELECT position, id, verifier,
    json_object(
      'generation', generation, 'verifier', verifier, 'nonce', nonce, 'keyId', key_id, 'rotatedAt', rotated_at, 'retryKey', retry_key
    ),
    subject, created_at,
    json_object(
      'subject', subject, 'clientId', client_id, 'scope', scope, 'audience', json(audience), 'confirmation', CASE
        WHEN bound_key LIKE 'jkt:%' THEN json_object('jkt', substr(bound_key, 5))
        WHEN bound_key IS NOT NULL THEN json_object('x5t#S256', substr(bound_key, 10))
      END,
      'offline', json(iif(offline, 'true', 'false')), 'metadata', json(metadata), 'createdAt', created_at
    ),
    idle_ms, absolute_expires_at, keep_until, expires_at,
    CASE WHEN revocation_id IS NOT NULL
      THEN json_object('id', revocation_id, 'at', revoked_at, 'reason', revocation_reason)
    END
  FROM baton_families_1 ORDER BY position;
  DROP TABLE baton_families_1;
  CREATE INDEX baton_families_by_subject ON baton_families (subject, created_at DESC, id);
  CREATE INDEX baton_families_by_absolute_end ON baton_families (absolute_expires_at);
  `,
]

const BUSY_TIMEOUT_MS = 5000
const EXTRA = 3

/** Prepares connection and file: safe to call from any number of processes at once, and changes nothing that is newer than itself. */
export function setUp(db: SqliteDatabase): void {
  if (Number(pragma(db, 'busy_timeout')) < BUSY_TIMEOUT_MS) db.exec(`PRAGMA busy_timeout = ${String(BUSY_TIMEOUT_MS)}`)
  migrate(db)
  demandWal(db)
  // Some builds make NORMAL the default in WAL, with which a power failure takes back rotations that clients have seen.
  if (Number(pragma(db, 'synchronous')) !== EXTRA) db.exec('PRAGMA synchronous = FULL')
}

function migrate(db: SqliteDatabase): void {
  // Before anything is read, so that of several processes the second one finds the work of the first.
  db.exec('BEGIN IMMEDIATE')
  try {
    db.exec('CREATE TABLE IF NOT EXISTS baton_schema (version INTEGER NOT NULL) STRICT')
    db.exec('INSERT INTO baton_schema SELECT 0 WHERE NOT EXISTS (SELECT * FROM baton_schema)')
    const version = versionOf(db)
    if (version > MIGRATIONS.length)
      throw new Error(
        `the file has schema version ${String(version)} and this @baton/store-sqlite knows none above ${String(MIGRATIONS.length)}; update the package, nothing was changed`,
      )
    for (const migration of MIGRATIONS.slice(version)) db.exec(migration)
    db.exec(
      `UPDATE baton_schema SET version = ${String(MIGRATIONS.length)} WHERE version < ${String(MIGRATIONS.length)}`,
    )
    db.exec('COMMIT')
  } catch (error) {
    db.exec('ROLLBACK')
    throw error
  }
}

function versionOf(db: SqliteDatabase): number {
  const [row] = db.prepare('SELECT max(version) AS version FROM baton_schema').all({})
  return Number((row as { version: number | bigint }).version)
}

/** In memory there is no log, and none is needed. */
function demandWal(db: SqliteDatabase): void {
  if (['wal', 'memory'].includes(String(pragma(db, 'journal_mode')))) return
  const mode = String(switchToWal(db))
  if (mode !== 'wal')
    throw new Error(
      `the file cannot be in WAL mode, its journal_mode remains ${mode}; put it on a disk of this machine`,
    )
}

const PAUSE_MS = 10

/**
 * Where several connections do this at the same moment SQLite lets one of them go on and fails the others without waiting,
 * whatever busy_timeout says, because each has begun to read. The winner needs a moment.
 */
function switchToWal(db: SqliteDatabase): unknown {
  const givesUpAt = performance.now() + BUSY_TIMEOUT_MS
  for (;;) {
    try {
      return pragma(db, 'journal_mode = WAL')
    } catch (error) {
      if (!isBusy(error) || performance.now() >= givesUpAt) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }
}
