import type { FamilyId } from '@baton/core'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { PostgresStore } from '../src/index.js'
import { familyOf, freshStore, LONG, NOW, REVOCATION } from './fresh.js'

vi.setConfig({ testTimeout: LONG })

let server: PostgresServer
let pool: pg.Pool

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } })
  pool = server.pool()
}, LONG)
afterAll(() => server.stop())

async function storeWith(...names: readonly string[]) {
  const store = await freshStore(pool)
  for (const name of names) await store.create(familyOf(name), NOW)
  return store
}

const idOf = (name: string): FamilyId => familyOf(name).id

async function listFrom(store: PostgresStore, cursor?: string, limit = 100) {
  const page = await store.listRevoked({ since: 0, limit, ...(cursor === undefined ? {} : { cursor }) })
  return { ...page, ids: page.items.map(({ id }) => id) }
}

async function inTransaction(work: (client: pg.PoolClient, commit: () => Promise<unknown>) => Promise<void>) {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await work(client, () => client.query('COMMIT'))
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
}

test('a revocation that is committed after a later one was listed is listed next', async () => {
  const store = await storeWith('slow', 'fast')
  await inTransaction(async (client, commit) => {
    await store.within(client).revoke(idOf('slow'), REVOCATION)
    await store.revoke(idOf('fast'), { ...REVOCATION, at: NOW + 1 })
    const first = await listFrom(store)
    expect(first.ids).toEqual([idOf('fast')])
    await commit()
    expect((await listFrom(store, first.cursor)).ids).toEqual([idOf('slow')])
  })
})

test('a revocation that is committed between two pages is listed, and no page waits for it', async () => {
  const store = await storeWith('slow', 'a', 'b', 'c')
  await inTransaction(async (client, commit) => {
    await store.within(client).revoke(idOf('slow'), REVOCATION)
    for (const name of ['a', 'b', 'c']) await store.revoke(idOf(name), REVOCATION)
    const first = await listFrom(store, undefined, 2)
    await commit()
    const second = await listFrom(store, first.cursor, 2)
    const third = await listFrom(store, second.cursor, 2)
    expect([first.hasMore, second.hasMore, third.hasMore]).toEqual([true, false, false])
    expect(first.ids).toEqual([idOf('a'), idOf('b')])
    expect(second.ids).toEqual([idOf('c')])
    expect(third.ids).toEqual([idOf('slow')])
  })
})

test('a long transaction of the app delays no revocation and repeats none', async () => {
  const store = await storeWith('a', 'b')
  await inTransaction(async (client) => {
    await client.query('SELECT pg_current_xact_id()')
    await store.revoke(idOf('a'), REVOCATION)
    const first = await listFrom(store)
    expect(first.ids).toEqual([idOf('a')])
    await store.revoke(idOf('b'), REVOCATION)
    const second = await listFrom(store, first.cursor)
    expect(second.ids).toEqual([idOf('b')])
    expect((await listFrom(store, second.cursor)).ids).toEqual([])
  })
})

test('pages are in the order of transactions whose ids have different lengths', async () => {
  const store = await storeWith('a', 'b', 'c')
  await store.revoke(idOf('a'), REVOCATION)
  const { rows } = await pool.query('SELECT pg_current_xact_id()::text AS xid')
  const boundary = 10 ** String(rows[0].xid).length
  await pool.query(`DO $$ BEGIN
    WHILE pg_current_xact_id() < '${String(boundary)}' LOOP COMMIT; END LOOP;
  END $$`)
  for (const name of ['b', 'c']) await store.revoke(idOf(name), REVOCATION)
  const first = await listFrom(store, undefined, 1)
  const second = await listFrom(store, first.cursor, 1)
  const third = await listFrom(store, second.cursor, 1)
  expect([first.ids, second.ids, third.ids]).toEqual([[idOf('a')], [idOf('b')], [idOf('c')]])
})

test('a cursor of a server whose transactions are ahead of this one begins again', async () => {
  const store = await storeWith('a')
  await store.revoke(idOf('a'), REVOCATION)
  const ahead = Buffer.from('999999999:999999999:').toString('base64url')
  const { ids, cursor } = await listFrom(store, ahead)
  expect(ids).toEqual([idOf('a')])
  expect((await listFrom(store, cursor)).ids).toEqual([])
})

test('a cursor that is no snapshot is rejected with a ConfigurationError', async () => {
  const store = await storeWith('a')
  for (const text of ['5:3:', '3:9:7,5', '3:9:12', '0:0:', '1:1: 1:1: 1', '1:1: 5:3: 1 a', 'x'])
    await expect(listFrom(store, Buffer.from(text).toString('base64url'))).rejects.toMatchObject({
      name: 'ConfigurationError',
    })
})

test('the cursor stays short while many transactions are in progress, and misses none of them', async () => {
  const store = await storeWith('slow', 'a')
  const clients = await Promise.all(Array.from({ length: 60 }, () => server.pool({ max: 1 }).connect()))
  for (const client of clients) await client.query('BEGIN; SELECT pg_current_xact_id()')
  await store.within(clients[0]!).revoke(idOf('slow'), REVOCATION)
  await store.revoke(idOf('a'), REVOCATION)
  const { ids, cursor } = await listFrom(store)
  expect(ids).toEqual([idOf('a')])
  expect(cursor.length).toBeLessThanOrEqual(1024)
  for (const client of clients) {
    await client.query('COMMIT')
    client.release()
  }
  expect((await listFrom(store, cursor)).ids).toContain(idOf('slow'))
})
