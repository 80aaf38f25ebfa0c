import { linearizabilityCases, type OpenStore, type StoreCase, tokenStoreCases } from '@baton/store-testkit'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { postgresStore, type PostgresStoreOptions, type Queryable } from '../src/index.js'
import { freshSchema, LONG, QUICK, urlWith } from './fresh.js'

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

/** Opens stores on tables that are made once and emptied for each case, over as many connections as there are. */
function onOneSchema(connections: () => readonly Queryable[], options: PostgresStoreOptions = {}) {
  const schema = freshSchema()
  let migrated: Promise<unknown> | undefined
  return async () => {
    const stores = connections().map((connection) => postgresStore(connection, { ...options, schema }))
    await (migrated ??= stores[0]!.migrate())
    for (const table of ['families', 'remembered', 'revocations'])
      await connections()[0]!.query({ text: `DELETE FROM ${schema}.${table}`, values: [] })
    return { store: stores[0]!, another: () => stores.at(-1)!, stores }
  }
}

/** What depends on how the server is reached: whatever is contended, or seen by others. */
function contended(openStore: OpenStore): StoreCase[] {
  return tokenStoreCases(openStore).filter(({ name }) =>
    /(races|purge|remember|connections|torn writes|listRevoked):/.test(name),
  )
}

const connectionsOf = (many: number, config: pg.ClientConfig = {}) =>
  Promise.all(Array.from({ length: many }, () => connect(config)))

describe('on pools', () => {
  let pools: pg.Pool[]
  beforeAll(() => {
    pools = [1, 2, 3].map(() => server.pool({ connectionString: urlWith(server.url, QUICK) }))
  })
  const open = onOneSchema(() => pools)
  for (const { name, run } of tokenStoreCases(open)) test(name, run)
  for (const { name, run } of linearizabilityCases(open)) test(name, run)
})

describe('on single clients, with named statements, where the app reads int8 as bigint', () => {
  let connected: pg.Client[]
  beforeAll(async () => {
    connected = await connectionsOf(2, { types: int8As(BigInt) })
  })
  const open = onOneSchema(() => connected, { namedStatements: true })
  for (const { name, run } of tokenStoreCases(open)) test(name, run)
  for (const { name, run } of linearizabilityCases(open, { histories: 25 })) test(name, run)

  test('int8 is a bigint there', async () => {
    expect((await connected[0]!.query('SELECT 1::int8 AS one')).rows).toEqual([{ one: 1n }])
  })
})

describe('behind a pooler: every statement on another connection, DISCARD ALL after each', () => {
  let pooler: Queryable
  beforeAll(async () => {
    pooler = roundRobin(await connectionsOf(4, { types: int8As(Number) }))
  })
  const open = onOneSchema(() => [pooler, pooler])
  for (const { name, run } of tokenStoreCases(open)) test(name, run)
  for (const { name, run } of linearizabilityCases(open, { histories: 25 })) test(name, run)
})

describe.each(['repeatable read', 'serializable'])('where the default isolation is %s', (level) => {
  let pools: pg.Pool[]
  beforeAll(() => {
    const connectionString = urlWith(server.url, { ...QUICK, default_transaction_isolation: level })
    pools = [1, 2].map(() => server.pool({ connectionString }))
  })
  const open = onOneSchema(() => pools)
  for (const { name, run } of contended(open)) test(name, run)
  for (const { name, run } of linearizabilityCases(open, { histories: 25 })) test(name, run)

  test('it is', async () => {
    expect((await pools[0]!.query('SHOW transaction_isolation')).rows).toEqual([{ transaction_isolation: level }])
  })
})

function int8As(parse: (text: string) => unknown): pg.CustomTypesConfig {
  const { getTypeParser, builtins } = pg.types
  const changed = (...type: Parameters<typeof getTypeParser>) =>
    type[0] === builtins.INT8 ? parse : (getTypeParser(...type) as unknown)
  return { getTypeParser: changed as typeof getTypeParser }
}

/** Like a pooler in transaction mode: a session belongs to no client, and its state is discarded after each transaction. */
function roundRobin(connections: readonly pg.Client[]): Queryable {
  const lines = connections.map((connection) => ({ connection, last: Promise.resolve<unknown>(undefined) }))
  let turn = 0
  return {
    query(query) {
      turn += 1
      const line = lines[turn % lines.length]!
      const answer = line.last.then(() => line.connection.query(query))
      const discard = () => line.connection.query('DISCARD ALL')
      // The last DISCARD may still be running when the server is stopped; its error is ignored.
      line.last = answer.then(discard, discard).catch(() => undefined)
      return answer
    },
  }
}
