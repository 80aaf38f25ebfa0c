import { createHash } from 'node:crypto'
import { ConfigurationError, type FamilyId, type FamilyRecord, type TokenStore } from '@baton/core'
import { boolean, declareOptions, type OptionsOf, withDefault } from '@baton/core/options'
import {
  batchCalls,
  conditionalWrites,
  decodeCursor,
  errorCode,
  errorMessage,
  type FamilyRow,
  fromRow,
  invalidLogCursor,
  purgeInSteps,
  retryOnConflict,
  type RevocationPage,
  type RevocationQuery,
  type RotateCommand,
  toPage,
  toValues,
} from '@baton/core/store'
import { assertQueryable, isPool, type Queryable, queueQueries, runQuery } from './client.js'
import { decodeCursorOfLog, parametersOfLog, type RevocationRow, toRevocationPage } from './revocations.js'
import { migrate, quoted, schemaName } from './schema.js'
import { rotateManyParameters, type StatementName, statementsOn, type Swap } from './statements.js'

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
 *
 * @example
 * ```ts
 * import { postgresStore } from '@baton/store-postgres'
 * import pg from 'pg'
 *
 * const store = postgresStore(new pg.Pool({ connectionString: process.env['DATABASE_URL'] }))
 * await store.migrate()
 * ```
 */
export function postgresStore(db: Queryable, options: PostgresStoreOptions = {}): PostgresStore {
  assertQueryable(db)
  return createStore(db, OPTIONS.parse('postgresStore', options), retryOnSerializationFailure)
}

/** A statement of this size takes a few milliseconds. */
const MAX_SWAPS_PER_STATEMENT = 128
const MAX_ROWS_PER_DELETE = 500
const PAGES_PER_RANGE = 256

function createStore(db: Queryable, options: ReturnType<typeof OPTIONS.parse>, retry: Retry): PostgresStore {
  const { schema, namedStatements } = options
  const sql = statementsOn(quoted(schema))
  const queue = queueQueries(db)

  async function run(name: StatementName, values: unknown[], policy = retry) {
    const text = sql[name]
    const query = namedStatements ? { name: nameOf(text), text, values } : { text, values }
    try {
      return await policy(() => runQuery(queue, query))
    } catch (error) {
      if (!TABLES_MISSING.includes(errorCode(error))) throw error
      const message = `schema ${schema} lacks the tables of this @baton/store-postgres (${errorMessage(error)})`
      throw new Error(`${message}; call await store.migrate() once, or run migrationSql()`, { cause: error })
    }
  }

  async function runForRecord(name: StatementName, values: unknown[]): Promise<FamilyRecord | null> {
    const { rows } = await run(name, values)
    return rows[0] === undefined ? null : fromRow(rows[0] as FamilyRow)
  }

  const runForCount = async (name: StatementName, values: unknown[]) => (await run(name, values)).count

  async function listRevoked(query: RevocationQuery): Promise<RevocationPage> {
    const from = decodeCursorOfLog(query.cursor)
    const { rows } = await run('listRevoked', parametersOfLog(from, query)).catch((error: unknown) => {
      // The server parses the snapshots of a cursor.
      throw INVALID_TEXT.includes(errorCode(error)) ? invalidLogCursor() : error
    })
    assertPrimary(rows)
    return toRevocationPage(rows as RevocationRow[], from, query.limit)
  }

  /** Rejects on a standby, whose rows may be old: a family that it lacks would be unknown, and its user signed out. */
  async function readOnPrimary(name: 'find' | 'list', values: unknown[]): Promise<FamilyRecord[]> {
    const { rows } = await run(name, values)
    assertPrimary(rows)
    const found = rows as (FamilyRow | { id: null })[]
    return found.filter((row): row is typeof row & FamilyRow => row.id !== null).map(fromRow)
  }

  const find = async (id: FamilyId) => (await readOnPrimary('find', [id]))[0] ?? null

  const rotateOne = ({ id, expect, next, now }: RotateCommand) =>
    runForRecord('rotate', [id, expect, now, next?.verifier, next === null ? null : JSON.stringify(next)])

  /** Returns null for swaps that do not apply, and for those of rows that another transaction is writing. */
  async function rotateMany(swaps: readonly Swap[]): Promise<PromiseSettledResult<FamilyRecord | null>[]> {
    const { rows } = await run('rotateMany', rotateManyParameters(swaps), runOnce)
    const applied = new Map((rows as FamilyRow[]).map((row) => [row.verifier, fromRow(row)]))
    return swaps.map(({ next }) => ({ status: 'fulfilled', value: applied.get(next.verifier) ?? null }))
  }

  const rotateInBatch = batchCalls(rotateMany, {
    max: MAX_SWAPS_PER_STATEMENT,
    runOne: rotateOne,
    // The server rolled the statement back, and any of the swaps may have caused the error.
    isRetryable: (error) => errorCode(error) !== '',
  })

  async function* pageRanges(from: number) {
    const { rows } = await run('countPages', [])
    const count = Number((rows[0] as { pages: unknown }).pages)
    for (let page = from; page < count; page += PAGES_PER_RANGE) yield { from: page, to: page + PAGES_PER_RANGE }
  }

  return {
    find,

    ...conditionalWrites({
      insert: (record) => runForRecord('insert', toValues(record)),
      rotate: ({ next, ...command }, attempt) =>
        next !== null && attempt === 1 && isPool(db)
          ? rotateInBatch({ ...command, next })
          : rotateOne({ ...command, next }),
      revoke: (id, revocation) => runForRecord('revoke', [id, JSON.stringify(revocation)]),
      find,
      caller: 'postgresStore',
      advice: 'let the role write all rows (row-level security, triggers, rules), and send reads to the primary too',
    }),

    async list({ subject, cursor, limit, now }) {
      const { createdAt, id } = decodeCursor(cursor)
      const families = await readOnPrimary('list', [subject, createdAt, id, now, limit + 1])
      // Sorted as in the statement, because SQL promises no order for an outer SELECT. Ids are ASCII, so JavaScript sorts them as "C".
      families.sort((a, b) => b.grant.createdAt - a.grant.createdAt || (a.id < b.id ? 1 : -1))
      return toPage(families, limit)
    },

    listRevoked,

    purge: purgeInSteps({
      maxRows: MAX_ROWS_PER_DELETE,
      deleteByIndex: (['deleteKeys', 'deleteExpired'] as const).map(
        (name) => (now, limit) => runForCount(name, [now, limit]),
      ),
      ranges: pageRanges,
      deleteInRange: ({ from, to }, now, limit) =>
        runForCount('deleteInPages', [now, limit, `(${String(from)},0)`, `(${String(to)},0)`]),
    }),

    async claimOnce({ key, owner, expiresAt }, now) {
      const { rows } = await run('remember', [key, owner, expiresAt, now])
      return (rows[0] as { claimed_by: string }).claimed_by
    },

    migrate: () => migrate(queue, schema),

    within(client) {
      assertQueryable(client)
      const fix = 'use const client = await pool.connect()'
      if (isPool(client))
        throw new ConfigurationError('client', `must be the Client that runs the transaction, got a Pool; ${fix}`)
      return createStore(client, options, runOnce)
    },
  }
}

function assertPrimary([row]: readonly unknown[]): void {
  if ((row as { is_standby: unknown } | undefined)?.is_standby !== false)
    throw new Error('postgresStore: the server is a standby, whose rows may be old; connect to the primary')
}

/** Text that is no value of its type. */
const INVALID_TEXT = ['22P02', '22003']

type Retry = <Result>(run: () => Promise<Result>) => Promise<Result>

/** Runs a statement again that the server rolled back because of a concurrent write. */
const retryOnSerializationFailure: Retry = (run) =>
  retryOnConflict(run, {
    maxAttempts: 10,
    isConflict: (error) => errorCode(error) === '40001',
    // A Client may be in a transaction of the caller, which the conflict has ended.
    isConsequence: (error) => errorCode(error) === '25P02',
  })

/** In a transaction of the caller, only the whole transaction could run again. */
const runOnce: Retry = (run) => run()

/** No such table, schema or column. */
const TABLES_MISSING = ['42P01', '3F000', '42703']

/** Returns a name that stands for this text only, on every connection and in every version of this package. */
const nameOf = (text: string) => `baton_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
