import { setImmediate } from 'node:timers/promises'
import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import {
  conditionalWrites,
  decodeCursor,
  decodeLogCursor,
  errorMessage,
  purgeInSteps,
  toCurrentColumns,
  toLogPage,
  toPage,
  toRow,
} from '@baton/core/store'
import {
  assertDatabase,
  retryWhileBusy,
  type SqliteDatabase,
  type SqliteParameters,
  type SqliteStatement,
} from './database.js'
import { groupCommit } from './group-commit.js'
import { setUp } from './schema.js'
import { prepareAll, toLoggedRevocation, toRecord } from './statements.js'

/** One transaction deletes at most this many rows, in a few milliseconds. */
const MAX_ROWS_PER_DELETE = 200
/** One statement reads at most this many rows, without a lock. */
const ROWS_PER_RANGE = 1000

/**
 * Stores families in a SQLite file, or in memory, through a better-sqlite3 `Database` or node:sqlite `DatabaseSync` that the app
 * closes. Creates and migrates its tables (`baton_…`) and sets the connection to WAL, `synchronous = FULL` and a busy timeout of at
 * least 5 seconds. One statement per rotation, and one commit for all writes that wait together; any number of processes may use one file.
 *
 * Throws `ConfigurationError` unless `db` is an open, writable connection, and an `Error` inside a transaction or if a newer version of
 * this package created the tables.
 *
 * @example
 * ```ts
 * import { sqliteStore } from '@baton/store-sqlite'
 * import Database from 'better-sqlite3'
 *
 * const store = sqliteStore(new Database('sessions.db'))
 * ```
 */
export function sqliteStore(db: SqliteDatabase): TokenStore {
  assertDatabase(db)
  try {
    setUp(db)
  } catch (cause) {
    throw new Error(`sqliteStore: cannot use this database: ${errorMessage(cause)}`, { cause })
  }
  const statements = prepareAll(db)
  const write = groupCommit(db)

  const read = (statement: SqliteStatement, parameters: SqliteParameters) =>
    retryWhileBusy(() => statement.all(parameters))

  const firstRecord = ([row]: unknown[]): FamilyRecord | null => (row === undefined ? null : toRecord(row))

  const find = async (id: FamilyId) => firstRecord(await read(statements.find, { id }))

  /** Deletes in a separate transaction. */
  const deleteRows =
    (statement: SqliteStatement) =>
    async (now: number, limit: number, range: SqliteParameters = {}) =>
      (await retryWhileBusy(() => statement.all({ ...range, now, limit }))).length

  const deleteInRange = deleteRows(statements.deleteInRange)

  async function* ranges(start: number, now: number) {
    for (let from = start; ;) {
      const [range] = await read(statements.findRange, { from, now, limit: ROWS_PER_RANGE })
      const { to, deletable } = range as { to: number | bigint | null; deletable: number | bigint }
      if (to === null) return
      if (Number(deletable) > 0) yield { from, to: Number(to) }
      from = Number(to)
      await setImmediate()
    }
  }

  return {
    find,

    ...conditionalWrites({
      insert: async (record) => firstRecord(await write(statements.create, toRow(record))),
      async rotate({ id, expect, next, now }) {
        const columns = next === null ? { verifier: null, current: null } : toCurrentColumns(next)
        return firstRecord(await write(statements.rotate, { id, expect, now, ...columns }))
      },
      revoke: async (id, revocation) =>
        firstRecord(await write(statements.revoke, { id, revocation: JSON.stringify(revocation) })),
      find,
      caller: 'sqliteStore',
      advice: 'is there a trigger on baton_families that ignores updates?',
    }),

    async list({ subject, cursor, limit, now }) {
      const { createdAt, id } = decodeCursor(cursor)
      const rows = await read(statements.list, { subject, createdAt, id, now, limit: limit + 1 })
      return toPage(rows.map(toRecord), limit)
    },

    async listRevoked(query) {
      const rows = await read(statements.listRevoked, { from: decodeLogCursor(query), limit: query.limit + 1 })
      return toLogPage(rows.map(toLoggedRevocation), query)
    },

    purge: purgeInSteps({
      maxRows: MAX_ROWS_PER_DELETE,
      deleteByIndex: [deleteRows(statements.deleteKeys), deleteRows(statements.deleteExpired)],
      ranges,
      deleteInRange: ({ from, to }, now, limit) => deleteInRange(now, limit, { from, to }),
    }),

    async claimOnce({ key, owner, expiresAt }, now) {
      const [row] = await write(statements.remember, { key, owner, expiresAt, now })
      return (row as { claimedBy: string }).claimedBy
    },
  }
}
