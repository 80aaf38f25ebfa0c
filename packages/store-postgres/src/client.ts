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

const mustBe = (rest: string) => new ConfigurationError('db', `must be ${rest}`)

/** Asserts that `db` is a Pool or a connected Client of `pg`. */
export function assertQueryable(db: unknown): asserts db is Queryable {
  assertClient(db, CLIENT)
  if (('ending' in db && db.ending === true) || ('_ending' in db && db._ending === true))
    throw mustBe('open, got a Pool or Client that has been ended; end it when the program ends')
  // A Client that is not connected queues its queries without a limit.
  if ('_connected' in db && '_connecting' in db && db._connected === false && db._connecting === false)
    throw mustBe('connected, got a Client that is not; await client.connect() first')
}

/** A Pool has several connections; a Client has one, which may be in a transaction. */
export function isPool(db: Queryable): boolean {
  return 'totalCount' in db
}

/** Sends the queries of a Client one after another, because `pg` deprecates its own queue. */
export function queueQueries(db: Queryable): Queryable {
  if (isPool(db)) return db
  let last: Promise<unknown> = Promise.resolve()
  return {
    query(query) {
      const result = last.then(() => db.query(query))
      last = result.catch(() => undefined)
      return result
    },
  }
}

/** Runs a query. `count` is the number of rows that it returned or changed. */
export async function runQuery(db: Queryable, query: Query): Promise<{ rows: unknown[]; count: number }> {
  const result: unknown = await db.query(query)
  if (typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows))
    return { rows: result.rows as unknown[], count: 'rowCount' in result ? Number(result.rowCount) : 0 }
  throw mustBe(`${CLIENT.expected}, got a client whose query() resolves with other results`)
}
