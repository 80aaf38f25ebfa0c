import { readFileSync } from 'node:fs'
import type { FamilyRecord, RotateRequest } from '@baton/core'
import { createRefreshTokens } from '@baton/core'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { migrationSql, postgresStore } from '../src/index.js'
import { freshSchema, LONG } from './fresh.js'

/** What a database of schema version 1 held when it was filled, and what must become of its refresh tokens. */
interface Contents {
  readonly secret: string
  readonly now: number
  readonly families: readonly {
    readonly name: string
    readonly record: FamilyRecord
    readonly requests: readonly (RotateRequest & { readonly outcome: string; readonly successor?: string })[]
  }[]
  readonly usedOnce: { readonly purpose: string; readonly key: string; readonly expiresAt: number }
}

const read = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')
const { secret, now, families, usedOnce } = JSON.parse(read('version-1.json')) as Contents

let server: PostgresServer
let pool: pg.Pool

beforeAll(async () => {
  server = await startPostgres()
  pool = server.pool()
}, LONG)
afterAll(() => server.stop())

async function filled(): Promise<string> {
  const schema = freshSchema()
  await pool.query(read('version-1.sql').replaceAll('"baton"', schema).replaceAll('baton.', `${schema}.`))
  return schema
}

/** The columns and indexes of all tables, without the order of the columns. */
async function definition(schema: string): Promise<unknown[]> {
  const { rows: columns } = await pool.query(
    `SELECT table_name, column_name, data_type, is_nullable, collation_name FROM information_schema.columns
      WHERE table_schema = $1 ORDER BY 1, 2`,
    [schema],
  )
  const { rows: indexes } = await pool.query(
    `SELECT replace(indexdef, $1, 'schema') AS definition FROM pg_indexes WHERE schemaname = $1 ORDER BY 1`,
    [schema],
  )
  return [columns, indexes]
}

describe('a schema of version 1', () => {
  async function migrated() {
    const schema = await filled()
    const store = postgresStore(pool, { schema })
    await store.migrate()
    return { schema, store, tokens: createRefreshTokens({ store, secrets: [secret], now: () => now }) }
  }

  test.each(families)('keeps the record of a family that is $name', async ({ record }) => {
    const { store } = await migrated()
    expect(await store.find(record.id)).toEqual(record)
    const active = record.revocation === null && record.expiresAt > now
    const { items } = await store.list({ subject: record.grant.subject, limit: 10, now })
    expect(items.filter(({ id }) => id === record.id)).toEqual(active ? [record] : [])
  })

  test.each(families)('keeps the refresh tokens of a family that is $name', async ({ requests }) => {
    const { tokens } = await migrated()
    for (const { outcome, successor, ...request } of requests) {
      const answer = await tokens.rotate(request)
      expect(answer.ok ? answer.outcome : answer.reason).toBe(outcome)
      if (successor !== undefined) expect(answer).toMatchObject({ refreshToken: successor })
    }
  })

  test('keeps one-time keys, purges, and is migrated once', async () => {
    const { schema, store, tokens } = await migrated()
    expect(await tokens.consumeOnce(usedOnce)).toBe(false)
    expect(await store.purge(now, 100)).toBe(2)
    await store.migrate()
    const { rows } = await pool.query(`SELECT version FROM ${schema}.schema_versions ORDER BY version`)
    expect(rows).toEqual([{ version: 1 }, { version: 2 }, { version: 3 }])
  })

  test('lists the families that were revoked before the migration', async () => {
    const { store } = await migrated()
    const { items } = await store.listRevoked({ since: 0, limit: 100 })
    const revoked = families.flatMap(({ record: { id, revocation } }) =>
      revocation ? [{ id, revokedAt: revocation.at }] : [],
    )
    expect(revoked.length).toBeGreaterThan(0)
    expect(new Set(items)).toEqual(new Set(revoked))
  })

  test('has the columns and indexes of a new schema after the migration', async () => {
    const schema = freshSchema()
    await postgresStore(pool, { schema }).migrate()
    expect(await definition((await migrated()).schema)).toEqual(await definition(schema))
  })

  test('keeps its privileges, its free space and its indexes, and leaves no dead rows', async () => {
    const schema = await filled()
    await pool.query(`GRANT SELECT ON ${schema}.families TO PUBLIC`)
    await pool.query(migrationSql(schema, 1))
    const { rows } = await pool.query(
      `SELECT reloptions, relacl::text, (SELECT count(*)::int FROM pg_index WHERE indrelid = pg_class.oid) AS indexes
        FROM pg_class WHERE oid = '${schema}.families'::regclass`,
    )
    expect(rows).toEqual([
      { reloptions: ['fillfactor=70'], relacl: expect.stringContaining('=r/') as string, indexes: 3 },
    ])
    // Item pointers are numbered from 1 without a gap: the table was rewritten.
    const { rows: places } = await pool.query(`SELECT count(*)::int, max(ctid)::text FROM ${schema}.families`)
    expect(places).toEqual([{ count: families.length, max: `(0,${String(families.length)})` }])
  })
})
