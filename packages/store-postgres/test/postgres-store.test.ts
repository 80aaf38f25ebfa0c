import { tokenStoreCases } from '@baton/store-testkit'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Queryable } from '../src/index.js'
import { freshStore, LONG, QUICK, urlWith } from './fresh.js'

let server: PostgresServer
const clients: pg.Client[] = []

beforeAll(async () => {
  server = await startPostgres()
}, LONG)
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await server.stop()
})

async function connect(config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlWith(server.url, QUICK), ...config })
  client.on('error', () => undefined)
  clients.push(client)
  await client.connect()
  return client
}

describe('on a pool', () => {
  let pool: pg.Pool
  beforeAll(() => {
    pool = server.pool({ connectionString: urlWith(server.url, QUICK) })
  })
  for (const { name, run } of tokenStoreCases(() => freshStore(pool))) test(name, run)
})

describe('on a single client, with named statements, where the app reads int8 as bigint', () => {
  let client: pg.Client
  beforeAll(async () => {
    client = await connect({ types: int8As(BigInt) })
  })
  for (const { name, run } of tokenStoreCases(() => freshStore(client, { namedStatements: true }))) test(name, run)

  test('int8 is a bigint there', async () => {
    expect((await client.query('SELECT 1::int8 AS one')).rows).toEqual([{ one: 1n }])
  })
})

describe('behind a pooler: every statement on another connection, DISCARD ALL after each', () => {
  let pooler: Queryable
  beforeAll(async () => {
    pooler = roundRobin(await Promise.all([1, 2, 3, 4].map(() => connect({ types: int8As(Number) }))))
  })
  for (const { name, run } of tokenStoreCases(() => freshStore(pooler))) test(name, run)
})

describe.each(['repeatable read', 'serializable'])('where the default isolation is %s', (level) => {
  let pool: pg.Pool
  beforeAll(() => {
    pool = server.pool({ connectionString: urlWith(server.url, { ...QUICK, default_transaction_isolation: level }) })
  })
  const contended = tokenStoreCases(() => freshStore(pool)).filter(({ name }) => /^(races|purge|remember):/.test(name))
  for (const { name, run } of contended) test(name, run)

  test('it is', async () => {
    expect((await pool.query('SHOW transaction_isolation')).rows).toEqual([{ transaction_isolation: level }])
  })
})

function int8As(parse: (text: string) => unknown): pg.CustomTypesConfig {
  const { getTypeParser, builtins } = pg.types
  const changed = (...type: Parameters<typeof getTypeParser>) =>
    type[0] === builtins.INT8 ? parse : (getTypeParser(...type) as unknown)
  return { getTypeParser: changed as typeof getTypeParser }
}

/** As a pooler in transaction mode: sessions are nobody's, and nothing in them lasts. */
function roundRobin(connections: readonly pg.Client[]): Queryable {
  const lines = connections.map((connection) => ({ connection, last: Promise.resolve<unknown>(undefined) }))
  let turn = 0
  return {
    query(query) {
      turn += 1
      const line = lines[turn % lines.length]!
      const answer = line.last.then(() => line.connection.query(query))
      line.last = answer.then(
        () => line.connection.query('DISCARD ALL'),
        () => line.connection.query('DISCARD ALL'),
      )
      return answer
    },
  }
}
