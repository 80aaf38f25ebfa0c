import { createHash } from 'node:crypto'
import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { batchCalls, decodeCursor, toPage } from '@baton/core/store'
import { ask, demandClient, demandQueryable, inTurn, isPool, type Queryable, stateOf } from './client.js'
import { purgeOf } from './purge.js'
import { type FamilyRow, recordOf, type Swap, swapsValues, swapValues, valuesOf } from './rows.js'
import { migrate, quoted } from './schema.js'
import { type StatementName, statementsOn } from './statements.js'

export interface PostgresStoreOptions {
  /** Where the tables are. Default `baton`. */
  readonly schema?: string
  /**
   * True uses named prepared statements, which the server plans once per connection: for direct connections, and for poolers that
   * know them, such as PgBouncer from 1.21 on. Default false, which every pooler in transaction mode understands.
   */
  readonly namedStatements?: boolean
}

export interface PostgresStore extends TokenStore {
  /**
   * Creates or upgrades the tables, in one transaction. Safe to call at every start, from any number of processes. Rejects, and
   * changes nothing, where a newer version of this package has been, or where the server is too old.
   */
  migrate(): Promise<void>
  /**
   * The same store on a client of yours, inside whatever transaction it is in: what you write and what the store writes commit
   * together. Nothing is durable, and no token should leave the house, before your COMMIT. Nothing is tried again: after an error
   * PostgreSQL wants your ROLLBACK.
   */
  within(client: Queryable): PostgresStore
}

/**
 * Keeps families in PostgreSQL 14 or newer, through a `pg` Pool or Client that stays yours to close. A rotation is one
 * `UPDATE … RETURNING`, as durable as `synchronous_commit` makes it. Needs no session state. Call `migrate()` first.
 *
 * Throws `TypeError` for anything but a Pool or a Client that is connected.
 */
export function postgresStore(db: Queryable, options: PostgresStoreOptions = {}): PostgresStore {
  demandQueryable('postgresStore', db)
  demandOptions(options)
  return open(db, options, patiently)
}

function open(db: Queryable, options: PostgresStoreOptions, persistently: typeof patiently): PostgresStore {
  const { schema = 'baton', namedStatements = false } = options
  const sql = statementsOn(quoted(schema))
  const queue = inTurn(db)

  async function run(
    name: StatementName,
    values: unknown[],
    attempts = persistently,
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

  const find = (id: FamilyId) => family('find', [id])

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
      // The family that was in the way may be purged before it is read; then there is room.
      return untilSettled(
        async () => (await family('create', valuesOf(record))) ?? (await find(record.id)) ?? UNSETTLED,
      )
    },

    find,

    rotate({ id, expect, next, now }) {
      return untilSettled(async (attempt) => {
        const swap = attempt === 1 ? rotateFirst : rotateOne
        const applied = await (next === null ? family('renew', [id, expect, now]) : swap({ id, expect, next, now }))
        if (applied !== null) return applied
        // A statement of its own: within the UPDATE's, a loser would be shown the row as it was before the winner.
        const found = await find(id)
        // A renewal, or a creation, may have come in between: then the command applies after all.
        const applies = found?.verifier === expect && found.revocation === null && found.expiresAt > now
        return applies ? UNSETTLED : found
      })
    },

    revoke(id, { id: revocationId, at, reason }) {
      return untilSettled(async () => {
        const applied = await family('revoke', [id, revocationId, at, reason])
        if (applied !== null) return applied
        const found = await find(id)
        // A family that came in between is not revoked yet.
        return found?.revocation === null ? UNSETTLED : found
      })
    },

    async list({ subject, cursor, limit, now }) {
      const { createdAt, id } = cursor === undefined ? START : decodeCursor(cursor)
      const { rows } = await run('list', [subject, createdAt, id, now, limit + 1])
      return toPage(
        rows.map((row) => recordOf(row as FamilyRow)),
        limit,
      )
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
      demandClient('within', client)
      return open(client, options, once)
    },
  }
}

/** A statement of this size takes a few milliseconds. */
const MAX_SWAPS_PER_STATEMENT = 128

/** Before every position of a list. */
const START = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

const SERIALIZATION_FAILURE = '40001'
const TRANSACTION_ABORTED = '25P02'
const MOST_ATTEMPTS = 10

/** Runs again what the server has rolled back because others were writing the same. */
async function patiently<Answer>(run: () => Promise<Answer>): Promise<Answer> {
  let first: Error | undefined
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run()
    } catch (error) {
      // A Client may be in a transaction of the caller's, who wants to hear what ended it.
      if (first !== undefined && stateOf(error) === TRANSACTION_ABORTED) throw first
      if (stateOf(error) !== SERIALIZATION_FAILURE || attempt === MOST_ATTEMPTS) throw error
      first = error as Error
    }
  }
}

const UNSETTLED = Symbol('unsettled')

/** Looks again while the record contradicts what the server did, as it may for a moment when another writer comes in between. */
async function untilSettled<Answer>(look: (attempt: number) => Promise<Answer | typeof UNSETTLED>): Promise<Answer> {
  for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt += 1) {
    const answer = await look(attempt)
    if (answer !== UNSETTLED) return answer
  }
  throw new Error(
    'postgresStore: the server finds the family and does not change it; let the role write all rows (row-level security, triggers, rules), and send reads to the primary too',
  )
}

/** Inside a caller's transaction only the whole of it could be run again. */
function once<Answer>(run: () => Promise<Answer>): Promise<Answer> {
  return run()
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

const KNOWN_OPTIONS = ['schema', 'namedStatements']

function demandOptions(options: PostgresStoreOptions): void {
  for (const name of Object.keys(options)) {
    if (!KNOWN_OPTIONS.includes(name))
      throw new TypeError(`${name}: is not an option of postgresStore; known are ${KNOWN_OPTIONS.join(', ')}`)
  }
  const { namedStatements }: { namedStatements?: unknown } = options
  if (namedStatements !== undefined && typeof namedStatements !== 'boolean')
    throw new TypeError(`namedStatements: expected true or false, got ${typeof namedStatements}`)
}
