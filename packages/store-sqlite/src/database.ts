import { ConfigurationError } from '@baton/core'
import { assertClient, errorCode, retryOnConflict } from '@baton/core/store'

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

const mustBe = (rest: string) => new ConfigurationError('db', `must be ${rest}`)

/** Asserts that `db` is an open connection for writing whose driver is synchronous. */
export function assertDatabase(db: unknown): asserts db is SqliteDatabase {
  assertClient(db, CLIENT)
  // better-sqlite3 has a property `open`, node:sqlite a method of that name and a property `isOpen`.
  if (('open' in db && db.open === false) || ('isOpen' in db && db.isOpen === false))
    throw mustBe('open, got a closed database; close it when the program ends')
  if ('readonly' in db && db.readonly === true) throw mustBe('open for writing, got a read-only database')
  // Drivers with callbacks or promises have the same method names. This pragma reads no file, which may be locked.
  const statement: Partial<SqliteStatement> | undefined = (db as SqliteDatabase).prepare('PRAGMA busy_timeout')
  const rows: unknown = statement.all?.({})
  const [row] = Array.isArray(rows) ? (rows as unknown[]) : []
  if (typeof row !== 'object' || row === null || !('timeout' in row))
    throw mustBe(`${CLIENT.expected}, got a driver that does not return rows synchronously`)
}

/** Reads a pragma, or sets it and reads its new value. */
export function pragma(db: SqliteDatabase, text: string): unknown {
  const [row] = db.prepare(`PRAGMA ${text}`).all({})
  return Object.values(row ?? {})[0]
}

const BUSY = 5
/** SQLite does not wait for busy_timeout if the log is being recovered (1), or if the connection still reads an older state (2). */
const BUSY_AT_ONCE = [BUSY | (1 << 8), BUSY | (2 << 8), 'SQLITE_BUSY_RECOVERY', 'SQLITE_BUSY_SNAPSHOT']

/** Returns true if another connection held the file for all of busy_timeout, or if SQLite did not wait because waiting is useless. */
export function isBusy(error: unknown): boolean {
  return errorCode(error).startsWith('SQLITE_BUSY') || (errorNumber(error) & 0xff) === BUSY
}

/**
 * Runs a statement again if SQLite rejected it without waiting. A statement that failed after all of busy_timeout does not run again:
 * this process was blocked meanwhile.
 */
export function retryWhileBusy<Result>(run: () => Result): Promise<Result> {
  return retryOnConflict(run, {
    maxAttempts: 3,
    isConflict: (error) => BUSY_AT_ONCE.includes(errorCode(error)) || BUSY_AT_ONCE.includes(errorNumber(error)),
  })
}

/** better-sqlite3 gives its errors a `code`, node:sqlite a number. */
function errorNumber(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0
}
