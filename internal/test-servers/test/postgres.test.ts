import { chmodSync, mkdtempSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startPostgres, type PostgresServer } from '@baton/test-servers'

// A busy machine starts servers slowly.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({ settings: { shared_preload_libraries: 'pg_stat_statements' } })
})

afterAll(() => server.stop())

test('what was committed is there after kill -9 of the postmaster and its children', async () => {
  const pool = server.pool()
  await pool.query('CREATE TABLE kept (value text)')
  await pool.query("INSERT INTO kept VALUES ('yes')")
  const before = server.pid

  await server.kill9()
  await expect(server.pool().query('SELECT 1')).rejects.toThrow('ECONNREFUSED')
  await server.restart()

  expect(server.pid).not.toBe(before)
  expect((await pool.query('SELECT value FROM kept')).rows).toEqual([{ value: 'yes' }])
})

test('a restart in good order keeps the data and the port', async () => {
  const pool = server.pool()
  await pool.query('CREATE TABLE ordered (value text)')
  await server.restart()
  expect((await pool.query('SELECT count(*) FROM ordered')).rows).toEqual([{ count: '0' }])
})

test('a paused server answers when it is resumed', async () => {
  const pool = server.pool({ max: 1 })
  await pool.query('SELECT 1')
  server.pause()
  const answer = pool.query('SELECT 2 AS two')
  await expect(server.pool({ connectionTimeoutMillis: 100 }).query('SELECT 1')).rejects.toThrow('timeout')

  server.resume()

  expect((await answer).rows).toEqual([{ two: 2 }])
})

test('statements can be counted, and the server listens on loopback only', async () => {
  const pool = server.pool()
  await pool.query('CREATE EXTENSION pg_stat_statements')
  for (const size of [1, 2, 3]) await pool.query(`SELECT relname FROM pg_class LIMIT ${size}`)
  const counted = await pool.query("SELECT calls FROM pg_stat_statements WHERE query LIKE '%pg_class%'")
  expect(counted.rows).toEqual([{ calls: '3' }])
  expect((await pool.query('SHOW listen_addresses')).rows).toEqual([{ listen_addresses: '127.0.0.1' }])
})

test('a setting that the server does not know fails with the words of the server and leaves nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'baton-nothing-'))
  chmodSync(folder, 0o755)
  vi.stubEnv('TMPDIR', folder)
  await expect(startPostgres({ settings: { no_such_setting: '1' } })).rejects.toThrow('no_such_setting')
  expect(readdirSync(folder)).toEqual([])
  vi.unstubAllEnvs()
  rmdirSync(folder)
})

test('DATABASE_URL stands in for a plain server, in its own schema, and is not ours to kill', async () => {
  vi.stubEnv('DATABASE_URL', server.url)
  try {
    const borrowed = await startPostgres()
    await borrowed.pool().query('CREATE TABLE ours (value text)')
    const schemas = 'SELECT table_schema FROM information_schema.tables WHERE table_name = $1'
    const owner = server.pool()
    expect((await owner.query(schemas, ['ours'])).rows).toEqual([{ table_schema: borrowed.schema }])
    await expect(borrowed.kill9()).rejects.toThrow('DATABASE_URL')
    await expect(borrowed.restart()).rejects.toThrow('DATABASE_URL')
    expect(() => borrowed.pause()).toThrow('DATABASE_URL')

    await borrowed.stop()
    expect((await owner.query(schemas, ['ours'])).rows).toEqual([])
  } finally {
    vi.unstubAllEnvs()
  }
})
