import { randomBytes } from 'node:crypto'
import { tokenStoreCases } from '@baton/store-testkit'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { postgresStore, type PostgresStoreOptions } from '../src/index.js'

let server: PostgresServer
let pool: pg.Pool
let client: pg.Client

beforeAll(async () => {
  server = await startPostgres()
  pool = server.pool()
  client = new pg.Client({ connectionString: server.url })
  client.on('error', () => undefined)
  await client.connect()
}, 60_000)
afterAll(async () => {
  await client.end()
  await server.stop()
})

async function freshStore(db: pg.Pool | pg.Client, options: PostgresStoreOptions = {}) {
  const store = postgresStore(db, { schema: `t${randomBytes(8).toString('hex')}`, ...options })
  await store.migrate()
  return store
}

describe('on a pool', () => {
  for (const { name, run } of tokenStoreCases(() => freshStore(pool))) test(name, run)
})

describe('on a single client, with named statements', () => {
  for (const { name, run } of tokenStoreCases(() => freshStore(client, { namedStatements: true }))) test(name, run)
})
