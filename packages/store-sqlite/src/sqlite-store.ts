import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { decodeCursor, rotationApplies, toPage, writeOrFind } from '@baton/core/store'
import {
  assertDatabase,
  retryWhileBusy,
  type SqliteDatabase,
  type SqliteParameters,
  type SqliteStatement,
} from './database.js'
import { groupCommit } from './group-commit.js'
import { purgeOf } from './purge.js'
import { toCurrent, toRecord, toRow } from './rows.js'
import { setUp } from './schema.js'
import { prepareAll } from './statements.js'

/**
 * Keeps families in a SQLite file, or in memory, through a connected better-sqlite3 `Database` or node:sqlite `DatabaseSync`, which
 * stays yours to close. Creates and migrates its own tables (`baton_…`) and sets the connection to WAL, `synchronous = FULL` and a
 * busy timeout of at least 5 seconds. One statement per rotation, and one commit for all that wait together; safe for any number of
 * processes on one file.
 *
 * Throws at once for anything but an open, writable connection outside of a transaction, and for a file whose tables a newer
 * version of this package made.
 */
export function sqliteStore(db: SqliteDatabase): TokenStore {
  assertDatabase(db)
  try {
    setUp(db)
  } catch (cause) {
    throw new Error(
      `sqliteStore: cannot use this database: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    )
  }
  const statements = prepareAll(db)
  const write = groupCommit(db)

  async function find(id: FamilyId): Promise<FamilyRecord | null> {
    const [row] = await retryWhileBusy(() => statements.find.all({ id }))
    return row === undefined ? null : toRecord(row)
  }

  async function writeFamily(statement: SqliteStatement, parameters: SqliteParameters): Promise<FamilyRecord | null> {
    const [row] = await write(statement, parameters)
    return row === undefined ? null : toRecord(row)
  }

  return {
    async create(record) {
      const [row] = await write(statements.create, toRow(record))
      return toRecord(row)
    },

    find,

    rotate({ id, expect, next, now }) {
      return writeOrFind({
        write: () =>
          next === null
            ? writeFamily(statements.renew, { id, expect, now })
            : writeFamily(statements.rotate, { id, expect, now, ...toCurrent(next) }),
        find: () => find(id),
        applies: (found) => rotationApplies(found, { expect, now }),
        ...CONTEXT,
      })
    },

    revoke(id, revocation) {
      return writeOrFind({
        write: () => writeFamily(statements.revoke, { id, revocation: JSON.stringify(revocation) }),
        find: () => find(id),
        applies: (found) => found?.revocation === null,
        ...CONTEXT,
      })
    },

    async list({ subject, cursor, limit, now }) {
      const { createdAt, id } = cursor === undefined ? START : decodeCursor(cursor)
      const rows = await retryWhileBusy(() => statements.list.all({ subject, createdAt, id, now, most: limit + 1 }))
      return toPage(rows.map(toRecord), limit)
    },

    purge: purgeOf(statements),

    async remember({ key, by, expiresAt }, now) {
      const [row] = await write(statements.remember, { key, by, expiresAt, now })
      return (row as { claimedBy: string }).claimedBy
    },
  }
}

/** Before every position of a list. */
const START = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

const CONTEXT = { caller: 'sqliteStore', advice: 'is there a trigger on baton_families that ignores updates?' }
