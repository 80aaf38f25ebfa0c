import { createRefreshTokens } from '@baton/core'
import { postgresStore } from '@baton/store-postgres'
import { redisStore } from '@baton/store-redis'
import { startPostgres, startRedis } from '@baton/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Baton, buildBaton } from './baton.js'

const SECRET = 'the secret of the command line tests; 48 bytes long'
const env = { BATON_SECRET: SECRET }

let baton: Baton

beforeAll(async () => {
  baton = await buildBaton(import.meta.url)
})
afterAll(() => {
  baton.remove()
})

it('checks the settings and clock of Redis, and lists and ends sessions in it', async () => {
  const server = await startRedis({ maxmemoryPolicy: 'allkeys-lru' })
  try {
    const tokens = createRefreshTokens({ store: redisStore(server.connect(), { prefix: 'app:' }), secrets: [SECRET] })
    const { family } = await tokens.issue({ subject: 'alice' })
    const store = ['--store', server.url, '--prefix', 'app:']
    const found = await baton.run(['doctor', ...store, '--json'], { env })
    expect(found.code).toBe(0)
    const { checks } = JSON.parse(found.stdout)
    expect(checks).toContainEqual({ check: 'clock', verdict: 'ok', message: expect.any(String) })
    expect(checks).toContainEqual({
      check: 'settings',
      verdict: 'warning',
      message: expect.stringMatching(/^maxmemory-policy is allkeys-lru: /),
    })
    const listed = await baton.run(['sessions', 'alice', ...store, '--json'])
    expect(JSON.parse(listed.stdout)).toMatchObject([{ id: family.id }])
    expect((await baton.run(['sessions', 'alice', '--store', server.url])).stdout).toBe('No active session.\n')
    expect((await baton.run(['revoke', '--subject', 'alice', ...store])).stdout).toBe('Outcome 1 session.\n')
    expect((await baton.run(['migrate', ...store])).stdout).toBe('Redis needs no tables.\n')
  } finally {
    await server.stop()
  }
})

it('reports missing tables of PostgreSQL, creates them, and lists, ends and purges sessions', async () => {
  const server = await startPostgres()
  try {
    const schema = 'baton_cli_test'
    const store = ['--store', server.url, '--schema', schema]
    const before = await baton.run(['doctor', ...store, '--json'], { env })
    expect([before.code, JSON.parse(before.stdout).checks.at(-1)]).toMatchObject([
      1,
      { check: 'store', verdict: 'problem', message: expect.stringMatching(/migrate/) },
    ])
    expect((await baton.run(['migrate', ...store])).stdout).toBe('The tables are up to date.\n')
    expect((await baton.run(['doctor', ...store], { env })).code).toBe(0)

    const tokens = createRefreshTokens({ store: postgresStore(server.pool(), { schema }), secrets: [SECRET] })
    const { family } = await tokens.issue({ subject: 'alice' })
    expect((await baton.run(['sessions', 'alice', ...store])).stdout).toContain(family.id)
    expect((await baton.run(['revoke', family.id, ...store])).code).toBe(0)
    expect((await baton.run(['purge', ...store])).stdout).toBe('Deleted 1; no ended session is left.\n')
    await server.pool().query(`DROP SCHEMA ${schema} CASCADE`)
  } finally {
    await server.stop()
  }
})
