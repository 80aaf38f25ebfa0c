import { REVOCATION_RETENTION_MS } from '@baton/core/store'
import { isBusy, pragma, type SqliteDatabase } from './database.js'
import { runInTransaction } from './group-commit.js'

/**
 * `current` and `grant` hold the parts of the record as JSON; statements compare, sort by or compute the other columns. An ordinary rowid
 * table, because its rows are wide and new ones go to the end. No index has `expires_at`, so that a rotation writes one page.
 */
const FAMILIES = `
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
`
const FAMILY_INDEXES = `
  CREATE INDEX baton_families_by_subject ON baton_families (subject, created_at DESC, id);
  CREATE INDEX baton_families_by_absolute_end ON baton_families (absolute_expires_at);
`
const ONE_TIME_KEYS = `
  CREATE TABLE baton_remembered (
    key TEXT PRIMARY KEY,
    claimed_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX baton_remembered_by_end ON baton_remembered (expires_at);
`

/**
 * The log of revocations, which triggers write: so it cannot differ from the families, whichever statement revokes one. Positions increase
 * in the order of the commits, because SQLite has one writer; a position is at least the instant of the revocation, so that positions
 * increase also after the file was replaced by an older copy.
 */
const REVOCATIONS = `
  CREATE TABLE baton_revocations (
    position INTEGER PRIMARY KEY,
    family_id TEXT NOT NULL,
    revoked_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX baton_revocations_by_instant ON baton_revocations (revoked_at);
  ${['INSERT', 'UPDATE OF revocation'].map(logTrigger).join('')}
`

function logTrigger(event: string): string {
  const [kind = ''] = event.toLowerCase().split(' ')
  const old = kind === 'update' ? 'OLD.revocation IS NULL AND ' : ''
  return `
  CREATE TRIGGER baton_families_log_${kind} AFTER ${event} ON baton_families
  WHEN ${old}NEW.revocation IS NOT NULL
  BEGIN
    INSERT INTO baton_revocations (position, family_id, revoked_at)
    SELECT max(at, coalesce((SELECT max(position) + 1 FROM baton_revocations), at)), NEW.id, at
    FROM (SELECT json_extract(NEW.revocation, '$.at') AS at);
    DELETE FROM baton_revocations
    WHERE revoked_at < json_extract(NEW.revocation, '$.at') - ${String(REVOCATION_RETENTION_MS)};
  END;
`
}

/** The first entry upgrades version 1 to 2, the next one version 2 to 3, and so on. Never edit one that was released. */
const UPGRADES: readonly string[] = [
  // Version 1 had a column for each member of the record.
  `
  ALTER TABLE baton_families RENAME TO baton_families_1;
  ${FAMILIES}
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
  ${FAMILY_INDEXES}
  `,
  // Version 2 had no log of revocations.
  `
  ${REVOCATIONS}
  INSERT INTO baton_revocations (position, family_id, revoked_at)
  SELECT at + row_number() OVER (ORDER BY at), id, at
  FROM (SELECT id, json_extract(revocation, '$.at') AS at FROM baton_families WHERE revocation IS NOT NULL);
  `,
]

const NEWEST = UPGRADES.length + 1
const BUSY_TIMEOUT_MS = 5000
const EXTRA = 3

/** Prepares connection and file. Any number of processes may call it at once. It changes nothing in a file of a newer version. */
export function setUp(db: SqliteDatabase): void {
  if (Number(pragma(db, 'busy_timeout')) < BUSY_TIMEOUT_MS) db.exec(`PRAGMA busy_timeout = ${String(BUSY_TIMEOUT_MS)}`)
  runInTransaction(db, () => {
    migrate(db)
  })
  assertWal(db)
  // In WAL some builds default to NORMAL, with which a power failure undoes rotations that clients have received.
  if (Number(pragma(db, 'synchronous')) !== EXTRA) db.exec('PRAGMA synchronous = FULL')
}

function migrate(db: SqliteDatabase): void {
  db.exec('CREATE TABLE IF NOT EXISTS baton_schema (version INTEGER NOT NULL) STRICT')
  db.exec('INSERT INTO baton_schema SELECT 0 WHERE NOT EXISTS (SELECT * FROM baton_schema)')
  const [row] = db.prepare('SELECT max(version) AS version FROM baton_schema').all({})
  const version = Number((row as { version: number | bigint }).version)
  if (version > NEWEST)
    throw new Error(
      `the file has schema version ${String(version)} and this @baton/store-sqlite knows none above ${String(NEWEST)}; update the package, nothing was changed`,
    )
  const steps = version === 0 ? [FAMILIES, FAMILY_INDEXES, ONE_TIME_KEYS, REVOCATIONS] : UPGRADES.slice(version - 1)
  for (const sql of steps) db.exec(sql)
  db.exec(`UPDATE baton_schema SET version = ${String(NEWEST)} WHERE version < ${String(NEWEST)}`)
}

/** A database in memory has no log and needs none. */
function assertWal(db: SqliteDatabase): void {
  if (['wal', 'memory'].includes(String(pragma(db, 'journal_mode')))) return
  const mode = String(switchToWal(db))
  if (mode !== 'wal')
    throw new Error(
      `the file cannot be in WAL mode, its journal_mode remains ${mode}; put it on a disk of this machine`,
    )
}

const PAUSE_MS = 10

/**
 * Switches to WAL. If several connections do so at once, SQLite fails all but one without waiting for busy_timeout, because each has
 * begun to read.
 */
function switchToWal(db: SqliteDatabase): unknown {
  const deadline = performance.now() + BUSY_TIMEOUT_MS
  for (;;) {
    try {
      return pragma(db, 'journal_mode = WAL')
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }
}
