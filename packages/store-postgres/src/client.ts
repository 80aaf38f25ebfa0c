export interface Query {
  name?: string
  text: string
  values?: unknown[]
}

/** What the store needs of `pg`: a `Pool`, or a `Client` that is connected. */
export interface Queryable {
  query(query: Query): Promise<{ readonly rows: unknown[]; readonly rowCount: number | null }>
}

const ADVICE = 'give a pg Pool, or a Client that is connected, such as postgresStore(new Pool({ connectionString }))'

/** Throws unless this looks like a Pool or a connected Client of `pg`, saying what it is instead and what to do. */
export function demandQueryable(caller: string, db: unknown): asserts db is Queryable {
  if (typeof db === 'string' || typeof db === 'function')
    throw new TypeError(`${caller}: got a ${typeof db}; ${ADVICE}`)
  if (typeof db !== 'object' || db === null) throw new TypeError(`${caller}: got ${String(db)}; ${ADVICE}`)
  if ('then' in db) throw new TypeError(`${caller}: got a promise; await it, and ${ADVICE}`)
  if (!('query' in db) || typeof db.query !== 'function')
    throw new TypeError(`${caller}: got an object without query(); ${ADVICE}`)
  if (('ending' in db && db.ending === true) || ('_ending' in db && db._ending === true))
    throw new TypeError(`${caller}: this Pool or Client has been ended; end it only when the program ends`)
  // A Client that nobody connects queues its queries for ever.
  if ('_connected' in db && '_connecting' in db && db._connected === false && db._connecting === false)
    throw new TypeError(`${caller}: this Client is not connected; await client.connect() first`)
}

/** Throws where what is written through `db` could not be part of one transaction. */
export function demandClient(caller: string, db: unknown): asserts db is Queryable {
  demandQueryable(caller, db)
  if (isPool(db))
    throw new TypeError(
      `${caller}: got a Pool, whose queries go to any connection; give the Client that runs your transaction, const client = await pool.connect()`,
    )
}

/** A Pool has a connection for each query; anything else may have but one, and that in a transaction. */
export function isPool(db: Queryable): boolean {
  return 'totalCount' in db
}

/** On a Client, one query after another: `pg` deprecates queueing them there. */
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

/** One query, and how many rows it returned or changed. */
export async function ask(db: Queryable, query: Query): Promise<{ rows: unknown[]; count: number }> {
  const answer: unknown = await db.query(query)
  if (typeof answer === 'object' && answer !== null && 'rows' in answer && Array.isArray(answer.rows)) {
    const count = 'rowCount' in answer ? Number(answer.rowCount) : 0
    return { rows: answer.rows as unknown[], count }
  }
  throw new TypeError(`postgresStore: query() does not answer as that of pg does; ${ADVICE}`)
}

/** The SQLSTATE of a rejected query; empty for an error that is not the server's. */
export function stateOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
