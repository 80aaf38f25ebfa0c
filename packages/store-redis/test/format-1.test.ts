import { readFileSync } from 'node:fs'
import { createRefreshTokens, type FamilyRecord, type RotateRequest } from '@baton/core'
import { rotationOf } from '@baton/store-testkit'
import { type RedisServer, startRedis } from '@baton/test-servers'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { redisStore } from '../src/index.js'
import { singleDrivers } from './drivers.js'

/** What a server held that the version before filled, and what must become of its refresh tokens. */
interface Contents {
  readonly secret: string
  readonly now: number
  readonly families: readonly {
    readonly name: string
    readonly record: FamilyRecord
    readonly requests: readonly (RotateRequest & { readonly outcome: string; readonly successor?: string })[]
  }[]
  /** The keys that were there, as commands that make them. */
  readonly commands: readonly (readonly [string, ...string[]])[]
  readonly usedOnce: { readonly purpose: string; readonly key: string; readonly expiresAt: number }
}

const fixture = new URL('fixtures/version-1.json', import.meta.url)
const { secret, now, families, usedOnce, commands } = JSON.parse(readFileSync(fixture, 'utf8')) as Contents

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis({})
  redis = server.connect()
})
afterAll(() => server.stop())
beforeEach(async () => {
  await redis.flushall()
  for (const [name, ...args] of commands) await redis.call(name, ...args)
})

const keyOf = (record: FamilyRecord) => `baton:f:${record.id}`
const formatOf = async (record: FamilyRecord) => (await redis.get(keyOf(record)))?.slice(0, 2)

describe.each(Object.entries(singleDrivers))('%s: records in the format of the version before', (_name, connect) => {
  async function opened() {
    const { client } = await connect(server)
    const store = redisStore(client)
    return { store, tokens: createRefreshTokens({ store, secrets: [secret], now: () => now }) }
  }

  test.each(families)('are read as they were: $name', async ({ record }) => {
    const { store } = await opened()
    expect(await formatOf(record)).toBe('1|')
    expect(await store.find(record.id)).toEqual(record)
    const active = record.revocation === null && record.expiresAt > now
    const { items } = await store.list({ subject: record.grant.subject, limit: 10, now })
    expect(items.filter(({ id }) => id === record.id)).toEqual(active ? [record] : [])
    // Reading changes nothing.
    expect(await formatOf(record)).toBe('1|')
  })

  test.each(families)('keep their refresh tokens: $name', async ({ record, requests }) => {
    const { tokens } = await opened()
    for (const { outcome, successor, ...request } of requests) {
      const answer = await tokens.rotate(request)
      expect(answer.ok ? answer.outcome : answer.reason).toBe(outcome)
      if (successor !== undefined) expect(answer).toMatchObject({ refreshToken: successor })
    }
    if (requests.some(({ outcome }) => outcome === 'rotated')) expect(await formatOf(record)).toBe('2|')
  })

  test('keep the time to live when they are replaced without being rotated', async () => {
    const { store } = await opened()
    const { record } = families.find(({ name }) => name === 'expired')!
    const before = await redis.pttl(keyOf(record))
    expect(await store.rotate(rotationOf(record, now))).toEqual(record)
    expect(await formatOf(record)).toBe('2|')
    expect(await redis.pttl(keyOf(record))).toBeGreaterThan(before - 60_000)
    expect(await redis.pttl(keyOf(record))).toBeLessThanOrEqual(before)
  })

  test('are rotated once by many at a time, while others revoke and create', async () => {
    const { store } = await opened()
    const [{ record }, { record: doomed }] = families as [(typeof families)[0], (typeof families)[0]]
    const rotations = Array.from({ length: 20 }, (_, index) =>
      rotationOf(record, now, { nonce: `nonce-${String(index)}` }),
    )
    const revocation = { id: 'r', at: now, reason: 'logout' } as const
    const [revoked, created, ...rotated] = await Promise.all([
      store.revoke(doomed.id, revocation),
      store.create(doomed, now),
      ...rotations.map((command) => store.rotate(command)),
    ])
    const winner = rotations.find(({ next }) => next?.nonce === rotated[0]?.current.nonce)
    for (const after of rotated)
      expect(after).toMatchObject({ ...record, current: winner?.next, expiresAt: after?.expiresAt })
    expect(await store.find(record.id)).toEqual(rotated[0])
    expect(revoked).toEqual({ ...doomed, revocation })
    expect(created.current).toEqual(doomed.current)
    expect(await store.find(doomed.id)).toEqual({ ...doomed, revocation })
  })

  test('leave one-time keys unchanged', async () => {
    const { tokens } = await opened()
    expect(await tokens.consumeOnce(usedOnce)).toBe(false)
  })
})
