import { createRefreshTokens, type FamilyId, type ListQuery } from '@baton/core'
import { type PostgresServer, startPostgres, until } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type PostgresStore, postgresStore } from '../src/index.js'

import { rotateManyParameters, statementsOn } from '../src/statements.js'
import {
  DAY,
  familyOf,
  freshSchema,
  freshStore,
  LONG,
  NOW,
  QUICK,
  REVOCATION,
  rotationOf,
  SECRET,
  urlWith,
} from './fresh.js'

vi.setConfig({ testTimeout: LONG })

let server: PostgresServer
let pool: pg.Pool

beforeAll(async () => {
  server = await startPostgres({ settings: { shared_preload_libraries: 'pg_stat_statements', fsync: 'off' } })
  pool = server.pool({ connectionString: urlWith(server.url, QUICK) })
  await pool.query('CREATE EXTENSION pg_stat_statements')
}, LONG)
afterAll(() => server.stop())

/** What the server has executed on the tables of this schema, by the first word. */
async function executed(schema: string): Promise<Record<string, number>> {
  const { rows } = await pool.query(
    `SELECT split_part(query, ' ', 1) AS verb, sum(calls)::int AS calls FROM pg_stat_statements
      WHERE strpos(query, $1) > 0 AND query !~ '^(CREATE|ALTER)' GROUP BY 1`,
    [`"${schema}".families `],
  )
  return Object.fromEntries(rows.map(({ verb, calls }) => [verb, calls]))
}

describe('statements', () => {
  test('one per rotation, and one more for those who come second', async () => {
    const schema = freshSchema()
    const store = await freshStore(pool, { schema })
    const tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
    const first = await tokens.issue({ subject: 'a' })
    let { refreshToken } = first
    for (let count = 0; count < 50; count += 1) {
      const answer = await tokens.rotate({ refreshToken })
      if (answer.ok) ({ refreshToken } = answer)
    }
    expect(await executed(schema)).toEqual({ INSERT: 1, UPDATE: 50 })
    const late = await tokens.rotate({ refreshToken: first.refreshToken })
    expect(late).toMatchObject({ ok: false, reason: 'reuse' })
    expect(await executed(schema)).toEqual({ INSERT: 1, UPDATE: 52, SELECT: 1 })
  })

  test('one for all rotations that wait together', async () => {
    const schema = freshSchema()
    const store = await freshStore(pool, { schema })
    const records = ['a', 'b', 'c', 'd', 'e'].map((name) => familyOf(name))
    await Promise.all(records.map((record) => store.create(record, NOW)))
    const rotated = await Promise.all(records.map((record) => store.rotate(rotationOf(record))))
    expect(rotated).toMatchObject(records.map(({ id }) => ({ id, current: { generation: 1 } })))
    expect((await executed(schema))['UPDATE']).toBe(1)
  })

  test.each([
    // A hundred at a time, all over the table, as people come.
    { families: 1000, shares: 10, rounds: 100 },
    // All in one statement. In the first rounds some rows do not fit on their shared page and move, so only many rounds show the result.
    { families: 100, shares: 1, rounds: 200 },
  ])('of rotations of $families families in $shares shares at least 99 % touch no index', async (plan) => {
    const { families, shares, rounds } = plan
    const schema = freshSchema()
    const own = server.pool({ connectionString: urlWith(server.url, QUICK) })
    const store = await freshStore(own, { schema })
    const records = await Promise.all(
      Array.from({ length: families }, (_, index) =>
        store.create(familyOf(String(index), { subject: `s${index}` }), NOW),
      ),
    )
    for (let round = 0; round < rounds; round += 1)
      await Promise.all(
        records.map(async (record, index) => {
          if (index % shares === round % shares) records[index] = (await store.rotate(rotationOf(record, NOW + round)))!
        }),
      )
    // A connection that ends hands in its statistics.
    await own.end()
    const { updated, hot } = await until('the statistics are in', async () => {
      const { rows } = await pool.query(
        `SELECT n_tup_upd::int AS updated, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables
          WHERE schemaname = $1 AND relname = 'families'`,
        [schema],
      )
      return rows[0].updated === (families / shares) * rounds && rows[0]
    })
    expect(hot / updated).toBeGreaterThanOrEqual(0.99)
  })

  test('what a rotation changes is in no index', async () => {
    const schema = freshSchema()
    await freshStore(pool, { schema })
    const { rows } = await pool.query(
      `SELECT DISTINCT attname AS name FROM pg_index JOIN pg_attribute ON attrelid = indexrelid
        WHERE indrelid = $1::regclass ORDER BY 1`,
      [`${schema}.families`],
    )
    expect(rows.map(({ name }) => name)).toEqual(['absolute_expires_at', 'created_at', 'id', 'subject'])
  })
})

describe('plans, among 20 000 families', () => {
  const schema = freshSchema()
  const sql = statementsOn(`"${schema}"`)
  let store: PostgresStore

  beforeAll(async () => {
    store = await freshStore(pool, { schema })
    const { id } = await store.create(familyOf('pattern'), NOW)
    const { rows } = await pool.query(
      `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns,
          string_agg(CASE attname WHEN 'id' THEN '''family '' || n' WHEN 'subject' THEN '''subject '' || n / 4' ELSE quote_ident(attname) END,
            ', ' ORDER BY attnum) AS expressions
        FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`,
      [`${schema}.families`],
    )
    const [{ columns, expressions }] = rows
    await pool.query(
      `INSERT INTO ${schema}.families (${columns}) SELECT ${expressions} FROM ${schema}.families, generate_series(1, 20000) AS n WHERE id = '${id}'`,
    )
  }, LONG)

  async function planOf(text: string, values: unknown[]): Promise<string> {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      const { rows } = await client.query(`EXPLAIN ${text}`, values)
      await client.query('ROLLBACK')
      return rows.map((row) => row['QUERY PLAN']).join('\n')
    } finally {
      client.release()
    }
  }

  test.each(['before', 'after'])('use indexes, %s ANALYZE', async (when) => {
    if (when === 'after') await pool.query(`ANALYZE ${schema}.families`)
    const id = 'family 77'
    const manySwaps = Array.from({ length: 128 }, (_, index) => rotationOf(familyOf(String(index + 1))))
    const plans = {
      find: await planOf(sql.find, [id]),
      rotate: await planOf(sql.rotate, [id, 'verifier pattern', NOW, 'v', '{}']),
      rotateMany: await planOf(sql.rotateMany, rotateManyParameters(manySwaps)),
      revoke: await planOf(sql.revoke, [id, '{}']),
      list: await planOf(sql.list, ['subject 77', Number.MAX_SAFE_INTEGER, '', NOW, 51]),
      deleteExpired: await planOf(sql.deleteExpired, [NOW, 500]),
      deleteInPages: await planOf(sql.deleteInPages, [NOW, 500, '(0,0)', '(256,0)']),
    }
    expect(plans.find).toMatch(/Index Scan using families_pkey/)
    expect(plans.rotate).toMatch(/Index Scan using families_pkey/)
    expect(plans.rotateMany).toMatch(/Index Scan (using|on) families_pkey/)
    expect(plans.revoke).toMatch(/Index Scan using families_pkey/)
    expect(plans.list).toMatch(/families_by_subject.*\n\s+Index Cond:.*subject.*ROW\(created_at/)
    expect(plans.deleteInPages).toMatch(/Tid Range Scan/)
    expect(`${plans.list}${plans.deleteInPages}${plans.rotateMany}`).not.toMatch(/Seq Scan/)
    // Without statistics the server sorts the few rows that it expects.
    if (when === 'before') return
    expect(plans.list).not.toMatch(/Sort/)
    expect(plans.deleteExpired).toMatch(/families_by_absolute_end/)
    expect(plans.deleteExpired).not.toMatch(/Seq Scan/)
  })

  test('all of them die of idleness, and three purges find every one on its page', async () => {
    const counts = []
    for (let call = 0; call < 4; call += 1) counts.push(await store.purge(NOW + DAY, 7000))
    expect(counts).toEqual([7000, 7000, 6001, 0])
  })
})

describe('purging', () => {
  async function filled(many: number): Promise<PostgresStore> {
    const store = await freshStore(pool)
    await createMany(store, many)
    return store
  }

  async function createMany(store: PostgresStore, many: number): Promise<void> {
    await Promise.all(
      Array.from({ length: many }, (_, index) =>
        store.create(familyOf(String(index), { idleMs: null, expiresAt: NOW + 10 * DAY }), NOW),
      ),
    )
  }

  const revoke = (store: PostgresStore, index: number) => store.revoke(familyOf(String(index)).id, REVOCATION)

  test('in small calls finds all of the dead, wherever they are, and leaves the living', async () => {
    const store = await filled(3500)
    const dead = Array.from({ length: 3500 }, (_, index) => index).filter((index) => index % 3 === 0)
    await Promise.all(dead.map((index) => revoke(store, index)))
    let purged = 0
    for (let found = 250; found === 250; purged += found) found = await store.purge(NOW + 1, 250)
    expect(purged).toBe(1167)
    for (const index of [1, 2, 1699, 1700, 3497, 3499]) await revoke(store, index)
    expect(await store.purge(NOW + 1, 4)).toBe(4)
    expect(await store.purge(NOW + 1, 4)).toBe(2)
    expect(await store.purge(NOW + 1, 4)).toBe(0)
    expect(await store.purge(NOW + 10 * DAY, 1_000_000)).toBe(3500 - 1167 - 6)
  })

  test('three purges at once count every family once', async () => {
    const schema = freshSchema()
    const store = await freshStore(pool, { schema })
    await createMany(store, 1500)
    await Promise.all(Array.from({ length: 750 }, (_, index) => revoke(store, index * 2)))
    const purges = [store, postgresStore(pool, { schema }), postgresStore(server.pool(), { schema })]
    const counts = await Promise.all(purges.map((each) => each.purge(NOW + 1, 1000)))
    expect(counts.reduce((sum, count) => sum + count)).toBe(750)
    expect(await store.purge(NOW + 1, 1000)).toBe(0)
  })

  test('skips an expired row that another transaction has locked', async () => {
    const schema = freshSchema()
    const store = await freshStore(pool, { schema })
    await createMany(store, 3)
    for (const index of [0, 1]) await revoke(store, index)
    const client = await pool.connect()
    await client.query('BEGIN')
    await client.query(`SELECT FROM ${schema}.families WHERE id = $1 FOR UPDATE`, [familyOf('0').id])
    expect(await store.purge(NOW + 1, 10)).toBe(1)
    await client.query('ROLLBACK')
    client.release()
    expect(await store.purge(NOW + 1, 10)).toBe(1)
  })

  test('holds up no rotation: with the locks of a purge still held, the living rotate and are issued', async () => {
    const store = await filled(300)
    for (const index of [0, 1, 2]) await revoke(store, index)
    const client = await pool.connect()
    await client.query('BEGIN')
    expect(await store.within(client).purge(NOW + 1, 1000)).toBe(3)
    const living = Array.from({ length: 297 }, (_, index) => familyOf(String(index + 3)))
    const answers = await Promise.all(living.map((record) => store.rotate(rotationOf(record))))
    expect(answers.every((answer) => answer?.current.generation === 1)).toBe(true)
    expect(await store.create(familyOf('new'), NOW)).toEqual(familyOf('new'))
    await client.query('COMMIT')
    client.release()
  })

  test('amid rotations and revocations takes only what is dead', async () => {
    const store = await filled(200)
    const rotating = new AbortController()
    let records = Array.from({ length: 50 }, (_, index) => familyOf(String(index)))
    const rotations = (async () => {
      while (!rotating.signal.aborted)
        records = await Promise.all(records.map(async (record) => (await store.rotate(rotationOf(record)))!))
    })()
    let purged = 0
    for (let index = 100; index < 200; index += 1) {
      await revoke(store, index)
      if (index % 5 === 0) purged += await store.purge(NOW + 1, 1000)
    }
    rotating.abort()
    await rotations
    // A look that meets a page whose row has just moved may pass it by; the next one does not.
    purged += await store.purge(NOW + 1, 1000)
    expect(purged).toBe(100)
    for (const record of records) expect(await store.find(record.id)).toMatchObject({ current: record.current })
    expect(Math.min(...records.map(({ current }) => current.generation))).toBeGreaterThan(1)
  })
})

describe('a subject of 1 000 families', () => {
  test('has all of them ended by one call, while they rotate', async () => {
    const store = await freshStore(pool)
    const tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
    const issued = await Promise.all(Array.from({ length: 1000 }, () => tokens.issue({ subject: 'many' })))
    const rotations = Promise.all(issued.map(({ refreshToken }) => tokens.rotate({ refreshToken })))
    expect(await tokens.revokeSubject('many')).toBe(1000)
    for (const answer of await rotations)
      expect(answer).toMatchObject(answer.ok ? { outcome: 'rotated' } : { reason: 'revoked' })
    expect(await tokens.list({ subject: 'many' })).toEqual({ items: [], cursor: null })
  })

  test('is listed page by page, each once, while others come, rotate and end', async () => {
    const store = await freshStore(pool)
    const records = Array.from({ length: 1000 }, (_, index) =>
      familyOf(String(index), {
        id: String(index).padStart(22, '0') as FamilyId,
        createdAt: NOW - Math.floor(index / 7),
      }),
    )
    await Promise.all(records.map((record) => store.create(record, NOW)))
    const stay = new Set(records.filter((_, index) => index % 2 === 0).map(({ id }) => id))
    const seen: string[] = []
    let cursor: string | undefined
    for (let page = 0; page === 0 || cursor !== undefined; page += 1) {
      const query: ListQuery = { subject: 'user-1', limit: 50, now: NOW, ...(cursor === undefined ? {} : { cursor }) }
      const [answer] = await Promise.all([
        store.list(query),
        ...records.slice(page * 40, page * 40 + 40).map(async (record, index) => {
          if (!stay.has(record.id)) await store.revoke(record.id, REVOCATION)
          else if (index % 4 === 0) await store.rotate(rotationOf(record))
        }),
        store.create(
          familyOf(`late ${String(page)}`, {
            id: String(page).padStart(22, 'l') as FamilyId,
            createdAt: NOW - page * 3,
          }),
          NOW,
        ),
      ])
      seen.push(...answer.items.map(({ id }) => id))
      cursor = answer.cursor ?? undefined
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect([...stay].every((id) => seen.includes(id))).toBe(true)
  })
})
