import { createRefreshTokens } from '@baton/core'
import { withChanges } from '@baton/store-testkit'
import { type PostgresServer, startPostgres, until } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PostgresStore, postgresStore } from '../src/index.js'
import { familyOf, freshSchema, LONG, NOW, REVOCATION, rotationOf, SECRET } from './fresh.js'

let server: PostgresServer
let pool: pg.Pool
let store: PostgresStore
const schema = freshSchema()

beforeAll(async () => {
  server = await startPostgres()
  pool = server.pool()
  store = postgresStore(pool, { schema })
  await store.migrate()
  await pool.query(`CREATE TABLE "${schema}".users (id text PRIMARY KEY)`)
}, LONG)
afterAll(() => server.stop())

async function signUp(subject: string, end: 'COMMIT' | 'ROLLBACK'): Promise<string> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(`INSERT INTO "${schema}".users VALUES ($1)`, [subject])
    const tokens = createRefreshTokens({ store: store.within(client), secrets: [SECRET], now: () => NOW })
    const { refreshToken } = await tokens.issue({ subject })
    expect((await store.list({ subject, limit: 10, now: NOW })).items).toEqual([])
    await client.query(end)
    return refreshToken
  } finally {
    client.release()
  }
}

const users = async (subject: string) =>
  (await pool.query(`SELECT FROM "${schema}".users WHERE id = $1`, [subject])).rowCount

test('a user and his first family are there together', async () => {
  const refreshToken = await signUp('committed', 'COMMIT')
  expect(await users('committed')).toBe(1)
  const tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
  expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true, family: { subject: 'committed' } })
})

test('or neither of them is', async () => {
  const refreshToken = await signUp('rolled back', 'ROLLBACK')
  expect(await users('rolled back')).toBe(0)
  const tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
  expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: false, reason: 'unknown' })
})

test('all families of a subject end within one transaction, on one connection', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `subject ${String(index)}`)
  for (const name of names) await store.create(familyOf(name, { subject: 'many' }), NOW)
  const client = await pool.connect()
  await client.query('BEGIN')
  const tokens = createRefreshTokens({ store: store.within(client), secrets: [SECRET], now: () => NOW })
  expect(await tokens.revokeSubject('many')).toBe(20)
  expect((await store.list({ subject: 'many', limit: 100, now: NOW })).items).toHaveLength(20)
  await client.query('COMMIT')
  client.release()
  expect((await store.list({ subject: 'many', limit: 100, now: NOW })).items).toEqual([])
})

test('nothing is tried again within a transaction: the caller hears of 40001 itself', async () => {
  const record = familyOf('contended')
  await store.create(record, NOW)
  const client = await pool.connect()
  try {
    for (const own of [store.within(client), postgresStore(client, { schema })]) {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
      const before = await own.find(record.id)
      await store.rotate(rotationOf(before!, NOW + 1))
      await expect(own.rotate(rotationOf(before!, NOW + 1))).rejects.toMatchObject({ code: '40001' })
      await client.query('ROLLBACK')
    }
    expect(await store.find(record.id)).toMatchObject({ current: { generation: 2 } })
  } finally {
    client.release()
  }
})

test('a write in a transaction waits only for writers of the same family', async () => {
  const [one, other] = [familyOf('one'), familyOf('other')]
  await store.create(one, NOW)
  await store.create(other, NOW)
  const client = await pool.connect()
  await client.query('BEGIN')
  await store.within(client).revoke(one.id, REVOCATION)
  expect(await store.rotate(rotationOf(other))).toMatchObject({ current: { generation: 1 } })
  expect(await store.find(one.id)).toEqual(one)
  const late = store.rotate(rotationOf(one))
  await oneBackendWaits()
  await client.query('COMMIT')
  client.release()
  expect(await late).toMatchObject({ current: { generation: 0 }, revocation: REVOCATION })
})

test('who waited for the winner of a race sees what the winner wrote, not what was there before', async () => {
  const record = familyOf('raced')
  const { verifier } = familyOf('loser').current
  const winning = rotationOf(record)
  const losing = { ...winning, next: { ...winning.next, verifier } }
  const losers = [
    () => store.rotate(losing),
    () => store.rotate({ ...losing, next: null }),
    () => store.create(withChanges(record, { verifier }), NOW),
  ]
  for (const lose of losers) {
    await pool.query(`DELETE FROM "${schema}".families WHERE id = $1`, [record.id])
    const client = await pool.connect()
    await client.query('BEGIN')
    await store.within(client).create(record, NOW)
    if (lose !== losers[2]) await client.query('COMMIT; BEGIN')
    const won = await store.within(client).rotate(winning)
    const late = lose()
    await oneBackendWaits()
    await client.query('COMMIT')
    client.release()
    expect(await late).toEqual(won)
  }
})

/** Until the server has a statement that waits for the end of another one's transaction. */
async function oneBackendWaits(): Promise<void> {
  await until('one backend waits for a lock', async () => {
    const { rowCount } = await pool.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, $1) > 0 AND pid <> pg_backend_pid()`,
      [schema],
    )
    return rowCount === 1
  })
}

test('a pool is no transaction', () => {
  expect(() => store.within(pool)).toThrow(
    /^option "client" must be the Client that runs the transaction, got a Pool.*await pool\.connect\(\)/,
  )
})
