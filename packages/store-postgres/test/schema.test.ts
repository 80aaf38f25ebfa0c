import { ConfigurationError } from '@baton/core'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { migrationSql, postgresStore, type Queryable } from '../src/index.js'
import { familyOf, freshSchema, freshStore, LONG, NOW, rotationOf } from './fresh.js'

let server: PostgresServer
let pool: pg.Pool

beforeAll(async () => {
  server = await startPostgres()
  pool = server.pool()
}, LONG)
afterAll(() => server.stop())

async function tablesOf(schema: string): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT relname || ' ' || relfilenode AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) ORDER BY 1`,
    [schema],
  )
  return rows.map(({ name }) => name)
}

describe('migrate', () => {
  test('makes the tables once and changes nothing afterwards', async () => {
    const schema = freshSchema()
    const store = postgresStore(pool, { schema })
    await store.migrate()
    const made = await tablesOf(schema)
    expect(made.map((name) => name.split(' ')[0])).toEqual(
      expect.arrayContaining(['families', 'remembered', 'revocations', 'schema_versions']),
    )
    await store.migrate()
    expect(await tablesOf(schema)).toEqual(made)
    expect((await pool.query(`SELECT version FROM ${schema}.schema_versions`)).rows).toEqual([
      { version: 1 },
      { version: 2 },
      { version: 3 },
    ])
  })

  test('of 20 at once one makes the tables, and all resolve', async () => {
    for (let round = 0; round < 5; round += 1) {
      const schema = freshSchema()
      const stores = Array.from({ length: 20 }, () => postgresStore(pool, { schema }))
      await Promise.all(stores.map((store) => store.migrate()))
      expect((await pool.query(`SELECT version FROM ${schema}.schema_versions`)).rows).toEqual([
        { version: 1 },
        { version: 2 },
        { version: 3 },
      ])
      expect(await stores[0]!.create(familyOf('a'), NOW)).toEqual(familyOf('a'))
    }
  })

  test('finds what migrationSql made, and the other way round', async () => {
    const schema = freshSchema()
    await pool.query(migrationSql(schema))
    const made = await tablesOf(schema)
    await postgresStore(pool, { schema }).migrate()
    expect(await tablesOf(schema)).toEqual(made)
    await expect(pool.query(migrationSql(schema))).rejects.toThrow(/schema_versions.* already exists/)
    expect(await tablesOf(schema)).toEqual(made)
    expect(migrationSql(schema, 3)).toBe('')
    expect(() => migrationSql(schema, 4)).toThrow(/^option "from" must be a schema version from 0 to 3, got 4/)
  })

  test('leaves alone what a newer version made', async () => {
    const schema = freshSchema()
    await pool.query(
      `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.schema_versions (version int); INSERT INTO ${schema}.schema_versions VALUES (1), (2), (3), (4)`,
    )
    const made = await tablesOf(schema)
    await expect(postgresStore(pool, { schema }).migrate()).rejects.toThrow(
      /has version 4 .* knows none above 3; update the package, nothing was changed/,
    )
    expect(await tablesOf(schema)).toEqual(made)
  })

  test('leaves alone what is not its own, and makes nothing by halves', async () => {
    for (const foreign of ['remembered (mine text)', 'schema_versions (mine text)', 'families (id int)']) {
      const schema = freshSchema()
      await pool.query(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.${foreign}`)
      const made = await tablesOf(schema)
      await expect(postgresStore(pool, { schema }).migrate()).rejects.toThrow(/give Baton a separate schema/)
      expect(await tablesOf(schema)).toEqual(made)
    }
  })

  test('needs no right to make schemas where there is one, and none at all where nothing is missing', async () => {
    const [schema, role] = [freshSchema(), freshSchema()]
    await pool.query(`CREATE ROLE ${role}; CREATE SCHEMA ${schema}; GRANT ALL ON SCHEMA ${schema} TO ${role}`)
    const client = await pool.connect()
    try {
      await client.query(`SET ROLE ${role}`)
      const store = postgresStore(client, { schema })
      await store.migrate()
      await client.query('RESET ROLE')
      await client.query(`REVOKE CREATE ON SCHEMA ${schema} FROM ${role}`)
      await client.query(`SET ROLE ${role}`)
      await store.migrate()
      expect(await store.create(familyOf('a'), NOW)).toEqual(familyOf('a'))
      await expect(postgresStore(client, { schema: freshSchema() }).migrate()).rejects.toThrow(
        /permission denied.*migrate as the owner/,
      )
    } finally {
      await client.query('RESET ROLE')
      await client.query(`DROP SCHEMA ${schema} CASCADE; DROP OWNED BY ${role}; DROP ROLE ${role}`)
      client.release()
    }
  })

  test('names a server that is too old', async () => {
    // The real server's answer, with its version changed: old servers run on no machine of ours.
    const aged: Queryable = {
      async query(query) {
        const { rows, rowCount } = await pool.query(query)
        return { rowCount, rows: rows.map((row) => ('server' in row ? { ...row, server: 130_014 } : row)) }
      },
    }
    const schema = freshSchema()
    await expect(postgresStore(aged, { schema }).migrate()).rejects.toThrow(
      'the server is PostgreSQL 13; @baton/store-postgres needs 14 or newer',
    )
    expect(await tablesOf(schema)).toEqual([])
  })

  test('asks the server for its real version', async () => {
    const asked: unknown[] = []
    const watched: Queryable = {
      async query(query) {
        const answer = await pool.query(query)
        asked.push(...answer.rows)
        return answer
      },
    }
    await freshStore(watched)
    const [{ server_version_num: version }] = (await pool.query('SHOW server_version_num')).rows
    expect(asked[0]).toMatchObject({ server: Number(version) })
  })
})

describe('before migrate', () => {
  test('every call says what to do, with the server’s error as its cause', async () => {
    const schema = freshSchema()
    const store = postgresStore(pool, { schema })
    const calls = [
      () => store.create(familyOf('a'), NOW),
      () => store.find(familyOf('a').id),
      () => store.rotate(rotationOf(familyOf('a'))),
      () => store.list({ subject: 'a', limit: 1, now: NOW }),
      () => store.listRevoked({ since: NOW, limit: 1 }),
      () => store.purge(NOW, 10),
      () => store.claimOnce({ key: 'key', owner: 'a', expiresAt: NOW }, NOW),
    ]
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({
        message: expect.stringMatching(new RegExp(`^schema ${schema} lacks the tables .*await store\\.migrate\\(\\)`)),
        cause: { code: expect.stringMatching(/^(42P01|3F000)$/) },
      })
    await pool.query(migrationSql(schema))
    await pool.query(`ALTER TABLE ${schema}.families DROP COLUMN keep_until`)
    await expect(store.find(familyOf('a').id)).rejects.toThrow(/lacks the tables .*"keep_until" does not exist/)
  })
})

describe('invalid arguments', () => {
  test('rejects anything but a Pool or a connected Client, with a message that says what to pass', async () => {
    const ended = new pg.Pool()
    await ended.end()
    const wrong: [unknown, RegExp][] = [
      ['postgres://localhost/app', /got a string/],
      [pg.Pool, /got a function/],
      [undefined, /got undefined/],
      [null, /got null/],
      [42, /got 42/],
      [Promise.resolve(pool), /got a promise; await it/],
      [{ connectionString: 'postgres://localhost/app' }, /got an object without query\(\)/],
      [pg, /got an object without query\(\)/],
      [new pg.Client(), /must be connected, got a Client that is not; await client\.connect\(\) first/],
      [ended, /has been ended/],
    ]
    for (const [db, message] of wrong) {
      expect(() => postgresStore(db as pg.Pool)).toThrow(message)
      expect(() => postgresStore(db as pg.Pool)).toThrow(ConfigurationError)
    }
  })

  test('a client that is still connecting will do', async () => {
    const client = new pg.Client({ connectionString: server.url })
    const connected = client.connect()
    const store = postgresStore(client, { schema: freshSchema() })
    await connected
    await store.migrate()
    await client.end()
    expect(() => postgresStore(client)).toThrow(/has been ended/)
  })

  test('a driver that answers otherwise is named at its first answer', async () => {
    const other = { query: async () => [[{ id: 1 }], []] } as unknown as Queryable
    await expect(postgresStore(other).migrate()).rejects.toThrow(/query\(\) resolves with other results/)
  })

  test('options are checked', () => {
    for (const schema of ['', 'Baton', 'a"b', 'a.b', 'x'.repeat(64), 7, null])
      expect(() => postgresStore(pool, { schema: schema as string })).toThrow(
        /^option "schema" must be a name of up to 63/,
      )
    expect(() => migrationSql('a-b')).toThrow(/^option "schema" must be a name of up to 63/)
    expect(() => postgresStore(pool, { shema: 'baton' } as object)).toThrow(/^option "shema" is not an option/)
    expect(() => postgresStore(pool, { namedStatements: 'yes' } as object)).toThrow(
      /^option "namedStatements" must be true or false/,
    )
  })

  test('rejects a cursor that list did not return', async () => {
    const store = await freshStore(pool)
    for (const cursor of ['', '-', 'x', 'MTIz', 'MTIzLg', 'LmFiYw', 'MTIzLmFiYw==', 'bmV2ZXI.', '😀', 'MS4A']) {
      const listing = store.list({ subject: 'a', cursor, limit: 1, now: NOW })
      await expect(listing).rejects.toThrow(/^option "cursor" is not one that list returned/)
      await expect(listing).rejects.toBeInstanceOf(ConfigurationError)
    }
  })
})

test('a schema name of 63 characters and named statements go together', async () => {
  const schema = `t${freshSchema()}`.padEnd(63, '_')
  const store = await freshStore(pool, { schema, namedStatements: true })
  const record = await store.create(familyOf('a'), NOW)
  expect(await store.rotate(rotationOf(record))).toMatchObject({ current: { generation: 1 } })
  await pool.query(`DROP SCHEMA ${schema} CASCADE`)
})
