import { ConfigurationError } from '@baton/core'
import { assertClient, retryOnConflict } from '@baton/core/store'

/** Values by the names that they have in the statement. */
export type SqliteParameters = Readonly<Record<string, string | number | null>>

/** What the store needs of a prepared statement: rows as objects, returned at once. */
export interface SqliteStatement {
  all(parameters: SqliteParameters): unknown[]
}

/** What the store needs of a connection: a `Database` of better-sqlite3 11 or newer, or a `DatabaseSync` of node:sqlite. */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
}

const CLIENT = {
  option: 'db',
  expected: 'an open Database of better-sqlite3 or DatabaseSync of node:sqlite',
  methods: ['exec', 'prepare'],
}

/** Asserts that `db` is an open connection for writing whose driver is synchronous. */
export function assertDatabase(db: unknown): asserts db is SqliteDatabase {
  assertClient(db, CLIENT)
  // better-sqlite3 has a property `open`, node:sqlite a method of that name and a property `isOpen`.
  if (('open' in db && db.open === false) || ('isOpen' in db && db.isOpen === false))
    throw new ConfigurationError('db', 'must be open, got a closed database; close it when the program ends')
  if ('readonly' in db && db.readonly === true)
    throw new ConfigurationError('db', 'must be open for writing, got a read-only database')
  assertSynchronous(db as SqliteDatabase)
}

/**
 * Drivers with callbacks or promises have the same method names. This pragma does not read the file, which another process may have
 * locked while the connection has no busy timeout yet.
 */
function assertSynchronous(db: SqliteDatabase): void {
  const statement: Partial<SqliteStatement> | undefined = db.prepare('PRAGMA busy_timeout')
  const rows: unknown = statement.all?.({})
  const [row] = Array.isArray(rows) ? (rows as unknown[]) : []
  if (typeof row === 'object' && row !== null && 'timeout' in row) return
  throw new ConfigurationError('db', `must be ${CLIENT.expected}, got a driver that does not return rows synchronously`)
}

/** Reads a pragma, or sets it and reads what it has become. */
export function pragma(db: SqliteDatabase, text: string): unknown {
  const [row] = db.prepare(`PRAGMA ${text}`).all({})
  return Object.values(row ?? {})[0]
}

const BUSY = 5
const BUSY_RECOVERY = BUSY | (1 << 8)
const BUSY_SNAPSHOT = BUSY | (2 << 8)

/** Returns true if another connection held the file for all of busy_timeout, or if SQLite did not wait because waiting is useless. */
export function isBusy(error: unknown): boolean {
  return codeOf(error).startsWith('SQLITE_BUSY') || (numberOf(error) & 0xff) === BUSY
}

/**
 * Runs a statement again if SQLite rejected it without waiting. A statement that failed after all of busy_timeout does not run again:
 * this process was blocked meanwhile.
 */
export function retryWhileBusy<Result>(run: () => Result): Promise<Result> {
  return retryOnConflict(run, { maxAttempts: 3, isConflict: isBusyAtOnce })
}

/** The connection still reads an older state, or the log is being recovered. */
function isBusyAtOnce(error: unknown): boolean {
  const [code, number] = [codeOf(error), numberOf(error)]
  return (
    code === 'SQLITE_BUSY_SNAPSHOT' ||
    code === 'SQLITE_BUSY_RECOVERY' ||
    number === BUSY_SNAPSHOT ||
    number === BUSY_RECOVERY
  )
}

/** better-sqlite3 names its errors. */
function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** node:sqlite numbers them. */
function numberOf(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0
}
