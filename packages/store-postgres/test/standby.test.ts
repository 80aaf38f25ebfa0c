import { createRefreshTokens } from '@baton/core'
import { type PostgresServer, startPostgres, until } from '@baton/test-servers'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { freshStore, LONG, NOW, SECRET } from './fresh.js'

vi.setConfig({ testTimeout: LONG })

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } })
}, LONG)
afterAll(() => server.stop())

test('a standby answers nothing: no session counts as unknown, expired or absent because its rows are old', async () => {
  const pool = server.pool()
  const store = await freshStore(pool)
  const options = { secrets: [SECRET], now: () => NOW }
  // With this hook, a refresh reads before it writes.
  const tokens = createRefreshTokens({ store, ...options, beforeRotate: async () => ({ active: true }) })
  const { refreshToken } = await tokens.issue({ subject: 'alice' })
  // A session that the standby does not have yet.
  const elsewhere = createRefreshTokens({ store: await freshStore(pool), ...options })
  const { refreshToken: newer } = await elsewhere.issue({ subject: 'bob' })
  await server.restartAsStandby()
  await until('the pool connects again', async () => (await pool.query('SELECT 1')).rowCount === 1)

  const cause = { message: 'postgresStore: the server is a standby, whose rows may be old; connect to the primary' }
  for (const call of [
    () => tokens.rotate({ refreshToken: newer }),
    () => tokens.rotate({ refreshToken }),
    () => tokens.inspect(newer),
    () => tokens.list({ subject: 'bob' }),
    () => tokens.revokeSubject('bob'),
  ])
    await expect(call()).rejects.toMatchObject({ code: 'store_failed', cause })

  await pool.query('SELECT pg_promote()')
  expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true, outcome: 'rotated' })
  expect(await tokens.rotate({ refreshToken: newer })).toMatchObject({ ok: false, reason: 'unknown' })
})
