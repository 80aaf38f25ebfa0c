import { ConfigurationError } from '@baton/core'
import { assertClient } from '@baton/core/store'

export interface Query {
  name?: string
  text: string
  values?: unknown[]
}

/** What the store needs of `pg`: a `Pool`, or a `Client` that is connected. */
export interface Queryable {
  query(query: Query): Promise<{ readonly rows: unknown[]; readonly rowCount: number | null }>
}

const CLIENT = { option: 'db', expected: 'a Pool or a connected Client of pg', methods: ['query'] }

/** Asserts that `db` is a Pool or a connected Client of `pg`. */
export function assertQueryable(db: unknown): asserts db is Queryable {
  assertClient(db, CLIENT)
  if (('ending' in db && db.ending === true) || ('_ending' in db && db._ending === true))
    throw new ConfigurationError(
      'db',
      'must be open, got a Pool or Client that has been ended; end it when the program ends',
    )
  // A Client that is not connected queues its queries for ever.
  if ('_connected' in db && '_connecting' in db && db._connected === false && db._connecting === false)
    throw new ConfigurationError('db', 'must be connected, got a Client that is not; await client.connect() first')
}

/** Asserts that everything written through `db` is part of one transaction: it is a Client and not a Pool. */
export function assertSingleConnection(db: unknown): asserts db is Queryable {
  assertQueryable(db)
  if (isPool(db))
    throw new ConfigurationError(
      'db',
      'must be the Client that runs the transaction, got a Pool; use const client = await pool.connect()',
    )
}

/** A Pool has several connections; a Client has one, which may be in a transaction. */
export function isPool(db: Queryable): boolean {
  return 'totalCount' in db
}

/** Sends the queries of a Client one after another, because `pg` deprecates its own queue. */
export function inTurn(db: Queryable): Queryable {
  if (isPool(db)) return db
  let last: Promise<unknown> = Promise.resolve()
  return {
    query(query) {
      const answer = last.then(() => db.query(query))
      last = answer.catch(() => undefined)
      return answer
    },
  }
}

/** Runs a query. `count` is the number of rows that it returned or changed. */
export async function ask(db: Queryable, query: Query): Promise<{ rows: unknown[]; count: number }> {
  const answer: unknown = await db.query(query)
  if (typeof answer === 'object' && answer !== null && 'rows' in answer && Array.isArray(answer.rows)) {
    const count = 'rowCount' in answer ? Number(answer.rowCount) : 0
    return { rows: answer.rows as unknown[], count }
  }
  throw new ConfigurationError(
    'db',
    `must be ${CLIENT.expected}, got a client whose query() resolves with other results`,
  )
}

/** Returns the SQLSTATE of a rejected query, or an empty string for an error that does not come from the server. */
export function stateOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
