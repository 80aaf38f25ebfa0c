import { ConfigurationError } from '@baton/core'
import { randomBytes } from 'node:crypto'
import { redisStore } from '@baton/store-redis'
import { memoryStore } from '@baton/store-memory'
import { type RedisServer, startRedis } from '@baton/test-servers'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisTokens, type RedisTokensOptions } from '../src/index.js'
import { createApp, expectReuse, expectImportedOnce, expectSuccess, waitForCall } from './world.js'

let server: RedisServer
let redis: ReturnType<RedisServer['connect']>

beforeAll(async () => {
  server = await startRedis()
  redis = server.connect()
})
afterAll(() => server.stop())

/** As an app would have written it, by hand. */
async function signIn(value = 'user-7', seconds: number | null = 3600) {
  const token = randomBytes(40).toString('hex')
  if (seconds === null) await redis.set(`refresh:${token}`, value)
  else await redis.set(`refresh:${token}`, value, 'EX', seconds)
  return token
}

const matches = /^[0-9a-f]{80}$/

describe('tokens under refresh:<token>', () => {
  it('imports a token with ioredis once despite 50 parallel requests, a lost response and a restart, and detects reuse', async () => {
    const token = await signIn()
    const store = redisStore(redis)
    const moved = await expectImportedOnce(token, {
      start: () => createApp(store, redisTokens({ client: redis, matches })),
    })
    expect(moved.family.subject).toBe('user-7')
    await waitForCall(async () => {
      expect(await redis.exists(`refresh:${token}`)).toBe(0)
    })
    await expectReuse(token, { moved })
  })

  it('imports a token with node-redis', async () => {
    const client = createClient({ url: server.url })
    client.on('error', () => undefined)
    await client.connect()
    try {
      const token = await signIn()
      const key = (name: string) => `${server.keyPrefix}refresh:${name}`
      const store = memoryStore()
      const moved = await expectImportedOnce(token, {
        start: () => createApp(store, redisTokens({ client, key, matches })),
      })
      expect(moved.family.subject).toBe('user-7')
      await expectReuse(token, { moved })
    } finally {
      await client.close()
    }
  })

  it('imports the members of a JSON value', async () => {
    const token = await signIn(JSON.stringify({ userId: 7, clientId: 'app', loggedInAt: '2026-01-01 12:00:00' }))
    const accept = redisTokens({
      client: redis,
      matches,
      grant(value) {
        const { userId, clientId, loggedInAt } = JSON.parse(value)
        return { subject: userId, clientId, createdAt: loggedInAt }
      },
    })
    const now = () => Date.UTC(2026, 0, 2)
    const { family } = expectSuccess(
      await createApp(memoryStore(), accept, { now }).rotate({ refreshToken: token, clientId: 'app' }),
    )
    expect(family).toMatchObject({ subject: '7', createdAt: Date.UTC(2026, 0, 1, 12) })
  })

  it('rejects a token that was signed out, and text of another form', async () => {
    const token = await signIn()
    await redis.del(`refresh:${token}`)
    const here = createApp(memoryStore(), redisTokens({ client: redis, matches }))
    expect(await here.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'malformed' })
    await redis.set('refresh:short', 'user-7', 'EX', 3600)
    expect(await here.rotate({ refreshToken: 'short' })).toEqual({ ok: false, reason: 'malformed' })
  })

  it('keeps the record until the key would have expired', async () => {
    const token = await signIn('user-7', 3600)
    const store = memoryStore()
    const now = Date.now()
    const accept = redisTokens({ client: redis, matches, moved: 'keep', now: () => now })
    const here = createApp(store, accept, { now: () => now })
    const { family } = expectSuccess(await here.rotate({ refreshToken: token }))
    const record = await store.find(family.id)
    expect(record!.lifetime.keepUntil).toBeGreaterThan(now + 3560 * 1000)
    expect(record!.lifetime.keepUntil).toBeLessThanOrEqual(now + 3660 * 1000)
    expect(await redis.exists(`refresh:${token}`)).toBe(1)
  })

  it('requires `until` for a key without an expiry', async () => {
    const token = await signIn('user-7', null)
    await expect(
      createApp(memoryStore(), redisTokens({ client: redis, matches })).rotate({ refreshToken: token }),
    ).rejects.toMatchObject({ code: 'hook_failed' })
    const until = Date.now() + 86_400_000
    const here = createApp(memoryStore(), redisTokens({ client: redis, matches, until }))
    expect(expectSuccess(await here.rotate({ refreshToken: token })).outcome).toBe('imported')
  })

  it('reports an unavailable Redis as an error and signs no user out', async () => {
    const refreshToken = await signIn()
    const client = server.connect()
    await client.quit()
    const here = createApp(memoryStore(), redisTokens({ client, matches }))
    await expect(here.rotate({ refreshToken })).rejects.toMatchObject({ code: 'hook_failed' })
  })

  it('rejects other keys of any type without a fault event', async () => {
    await redis.set('refresh:count', '12', 'EX', 3600)
    await redis.hset('refresh:settings', 'a', '1')
    const here = createApp(memoryStore(), redisTokens({ client: redis, matches }))
    for (const refreshToken of ['count', 'settings'])
      expect(await here.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
    expect(here.events.filter(({ type }) => type === 'fault')).toEqual([])
  })

  it('reports tokens that are stored as Redis hashes as an error', async () => {
    const token = randomBytes(40).toString('hex')
    await redis.hset(`refresh:${token}`, 'user', '7')
    const here = createApp(memoryStore(), redisTokens({ client: redis, matches }))
    await expect(here.rotate({ refreshToken: token })).rejects.toMatchObject({ code: 'hook_failed' })
  })

  it.each([
    [{ client: 'redis://' }, /^option "client" must be a connected client of ioredis or node-redis/],
    [{ matches: undefined }, /^option "matches" is missing; it must be a regular expression/],
    [{ matches: '^[0-9a-f]{80}$' }, /^option "matches" must be a regular expression/],
  ])('rejects the options %o', (wrong, message) => {
    const options = { client: redis, matches, ...wrong } as unknown as RedisTokensOptions
    expect(() => redisTokens(options)).toThrow(message)
    expect(() => redisTokens(options)).toThrow(ConfigurationError)
  })
})
