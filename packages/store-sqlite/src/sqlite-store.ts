import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { decodeCursor, toPage } from '@baton/core/store'
import { demandDatabase, retryWhileBusy, type SqliteDatabase } from './database.js'
import { groupCommit } from './group-commit.js'
import { purgeOf } from './purge.js'
import { toRecord, toRow } from './rows.js'
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
  demandDatabase(db)
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

  return {
    async create(record) {
      const [row] = await write(statements.create, toRow(record))
      return toRecord(row)
    },

    find,

    rotate({ id, expect, next, now }) {
      return untilSettled(async () => {
        const [row] = await (next === null
          ? write(statements.renew, { id, expect, now })
          : write(statements.rotate, {
              id,
              expect,
              now,
              generation: next.generation,
              verifier: next.verifier,
              nonce: next.nonce,
              keyId: next.keyId,
              rotatedAt: next.rotatedAt,
              retryKey: next.retryKey,
            }))
        if (row !== undefined) return toRecord(row)
        const found = await find(id)
        // A renewal, or a creation, may have come in between: then the command applies after all.
        const applies = found?.verifier === expect && found.revocation === null && found.expiresAt > now
        return applies ? UNSETTLED : found
      })
    },

    revoke(id, { id: revocationId, at, reason }) {
      return untilSettled(async () => {
        const [row] = await write(statements.revoke, { id, revocationId, at, reason })
        if (row !== undefined) return toRecord(row)
        const found = await find(id)
        // A family that came in between is not revoked yet.
        return found?.revocation === null ? UNSETTLED : found
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

const UNSETTLED = Symbol('unsettled')
const MOST_LOOKS = 10

/** Looks again while the record contradicts what SQLite did, as it may for a moment when another process comes in between. */
async function untilSettled<Answer>(look: () => Promise<Answer | typeof UNSETTLED>): Promise<Answer> {
  for (let looks = 1; looks <= MOST_LOOKS; looks += 1) {
    const answer = await look()
    if (answer !== UNSETTLED) return answer
  }
  throw new Error(
    'sqliteStore: SQLite finds the family and does not change it; is there a trigger on baton_families that ignores updates?',
  )
}
