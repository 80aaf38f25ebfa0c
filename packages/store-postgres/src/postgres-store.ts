import { createHash } from 'node:crypto'
import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { boolean, declareOptions, type OptionsOf, withDefault } from '@baton/core/options'
import { batchCalls, decodeCursor, retryOnConflict, rotationApplies, toPage, writeOrFind } from '@baton/core/store'
import { ask, assertQueryable, assertSingleConnection, inTurn, isPool, type Queryable, stateOf } from './client.js'
import { purgeOf } from './purge.js'
import {
  type FamilyRow,
  isFamily,
  type ReadRow,
  recordOf,
  type Swap,
  swapsValues,
  swapValues,
  valuesOf,
} from './rows.js'
import { migrate, quoted, schemaName } from './schema.js'
import { type StatementName, statementsOn } from './statements.js'

const OPTIONS = declareOptions({
  /** The schema of the tables. Default `baton`. */
  schema: withDefault(schemaName, 'baton'),
  /**
   * True uses named prepared statements, which the server plans once per connection: for direct connections, and for poolers that
   * support them, such as PgBouncer from 1.21 on. Default false, which every pooler in transaction mode supports.
   */
  namedStatements: withDefault(boolean(), false),
})

export type PostgresStoreOptions = OptionsOf<typeof OPTIONS>

export interface PostgresStore extends TokenStore {
  /**
   * Creates or upgrades the tables, in one transaction. Safe to call at every start, from any number of processes. Rejects and
   * changes nothing if a newer version of this package created the tables, or if the server is too old.
   */
  migrate(): Promise<void>
  /**
   * Returns the same store on your client, within its transaction: your writes and those of the store commit together. No write is
   * durable before your COMMIT, so send no token to a client before it. The store does not retry: after an error, PostgreSQL requires
   * your ROLLBACK.
   */
  within(client: Queryable): PostgresStore
}

/**
 * Stores families in PostgreSQL 14 or newer, through a `pg` Pool or Client that the app closes. A rotation is one
 * `UPDATE … RETURNING`, as durable as `synchronous_commit` makes it. Needs no session state. Call `migrate()` first.
 *
 * Throws `ConfigurationError` unless `db` is a Pool or a connected Client, and for unknown or invalid options.
 */
export function postgresStore(db: Queryable, options: PostgresStoreOptions = {}): PostgresStore {
  assertQueryable(db)
  return open(db, OPTIONS.parse('postgresStore', options), retryOnSerializationFailure)
}

function open(db: Queryable, options: ReturnType<typeof OPTIONS.parse>, retry: Retry): PostgresStore {
  const { schema, namedStatements } = options
  const sql = statementsOn(quoted(schema))
  const queue = inTurn(db)

  async function run(
    name: StatementName,
    values: unknown[],
    attempts = retry,
  ): Promise<{ rows: unknown[]; count: number }> {
    const text = sql[name]
    const query = namedStatements ? { name: nameOf(text), text, values } : { text, values }
    try {
      return await attempts(() => ask(queue, query))
    } catch (error) {
      throw TABLES_MISSING.includes(stateOf(error)) ? withoutTables(schema, error) : error
    }
  }

  async function family(name: StatementName, values: unknown[]): Promise<FamilyRecord | null> {
    const { rows } = await run(name, values)
    return rows[0] === undefined ? null : recordOf(rows[0] as FamilyRow)
  }

  const count = async (name: StatementName, values: unknown[]) => (await run(name, values)).count

  /** Rejects on a standby, whose rows may be old: what it lacks would count as unknown and sign a user out. */
  async function readOnPrimary(name: 'find' | 'list', values: unknown[]): Promise<FamilyRecord[]> {
    const { rows } = await run(name, values)
    const found = rows as ReadRow[]
    if (found[0]?.is_standby !== false)
      throw new Error('postgresStore: the server is a standby, whose rows may be old; connect to the primary')
    return found.filter(isFamily).map(recordOf)
  }

  const find = async (id: FamilyId) => (await readOnPrimary('find', [id]))[0] ?? null

  const rotateOne = (swap: Swap) => family('rotate', swapValues(swap))

  /** Returns null for swaps that do not apply, and for those of rows that another transaction is writing. */
  async function rotateMany(swaps: readonly Swap[]): Promise<PromiseSettledResult<FamilyRecord | null>[]> {
    const { rows } = await run('rotateMany', swapsValues(swaps), once)
    const applied = new Map(rows.map((row) => [(row as FamilyRow).verifier, recordOf(row as FamilyRow)]))
    return swaps.map(({ next }) => ({ status: 'fulfilled', value: applied.get(next.verifier) ?? null }))
  }

  const rotateInBatch = batchCalls(rotateMany, {
    max: MAX_SWAPS_PER_STATEMENT,
    runOne: rotateOne,
    // An error of the server's rolled the statement back, and any of the swaps may have caused it.
    isRetryable: (error) => stateOf(error) !== '',
  })
  const rotateFirst = isPool(db) ? rotateInBatch : rotateOne

  return {
    create(record) {
      return writeOrFind({
        write: () => family('create', valuesOf(record)),
        find: () => find(record.id),
        // The record that was there has been purged since.
        applies: (found) => found === null,
        ...CONTEXT,
      })
    },

    find,

    rotate({ id, expect, next, now }) {
      return writeOrFind({
        write(attempt) {
          if (next === null) return family('renew', [id, expect, now])
          return attempt === 1 ? rotateFirst({ id, expect, next, now }) : rotateOne({ id, expect, next, now })
        },
        find: () => find(id),
        applies: (found) => rotationApplies(found, { expect, now }),
        ...CONTEXT,
      })
    },

    revoke(id, revocation) {
      return writeOrFind({
        write: () => family('revoke', [id, JSON.stringify(revocation)]),
        find: () => find(id),
        applies: (found) => found?.revocation === null,
        ...CONTEXT,
      })
    },

    async list({ subject, cursor, limit, now }) {
      const { createdAt, id } = cursor === undefined ? START : decodeCursor(cursor)
      const families = await readOnPrimary('list', [subject, createdAt, id, now, limit + 1])
      // SQL promises an order for the inner SELECT only.
      return toPage(families.sort(compareInListOrder), limit)
    },

    purge: purgeOf({
      forget: (now, most) => count('forget', [now, most]),
      deleteEnded: (now, most) => count('deleteEnded', [now, most]),
      deleteDead: (now, most, from, to) => count('deleteDead', [now, most, from, to]),
      async pages() {
        const { rows } = await run('pages', [])
        return Number((rows[0] as { pages: unknown }).pages)
      },
    }),

    async remember({ key, by, expiresAt }, now) {
      const { rows } = await run('remember', [key, by, expiresAt, now])
      return (rows[0] as { claimed_by: string }).claimed_by
    },

    migrate: () => migrate(queue, schema),

    within(client) {
      assertSingleConnection(client)
      return open(client, options, once)
    },
  }
}

/** A statement of this size takes a few milliseconds. */
const MAX_SWAPS_PER_STATEMENT = 128

/** As the statement sorts: newest first, ties by descending id. Ids are ASCII, which sorts as the collation C does. */
function compareInListOrder(one: FamilyRecord, other: FamilyRecord): number {
  if (one.grant.createdAt !== other.grant.createdAt) return other.grant.createdAt - one.grant.createdAt
  return one.id < other.id ? 1 : -1
}

/** Before every position of a list. */
const START = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

const SERIALIZATION_FAILURE = '40001'
const TRANSACTION_ABORTED = '25P02'
const MAX_ATTEMPTS = 10

type Retry = <Result>(run: () => Promise<Result>) => Promise<Result>

/** Runs a statement again that the server rolled back because of a concurrent write. */
const retryOnSerializationFailure: Retry = async (run) => {
  let conflict: unknown
  try {
    return await retryOnConflict(run, {
      maxAttempts: MAX_ATTEMPTS,
      isConflict(error) {
        if (stateOf(error) !== SERIALIZATION_FAILURE) return false
        conflict ??= error
        return true
      },
    })
  } catch (error) {
    // A Client may be in a transaction of the caller's, which the conflict has ended.
    throw stateOf(error) === TRANSACTION_ABORTED ? (conflict ?? error) : error
  }
}

/** Inside a transaction of the caller's only the whole transaction could run again. */
const once: Retry = (run) => run()

const CONTEXT = {
  caller: 'postgresStore',
  advice: 'let the role write all rows (row-level security, triggers, rules), and send reads to the primary too',
}

/** No such table, schema or column. */
const TABLES_MISSING = ['42P01', '3F000', '42703']

function withoutTables(schema: string, cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new Error(
    `schema ${schema} lacks the tables of this @baton/store-postgres (${message}); call await store.migrate() once, or run migrationSql()`,
    { cause },
  )
}

/** The same text has the same name on every connection and in every version of this package, and no other text has it. */
function nameOf(text: string): string {
  return `baton_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
}
