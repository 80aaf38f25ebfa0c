import { createRefreshTokens, type RefreshEvent } from '@baton/core'
import { type RedisSentinel, startRedisSentinel, until } from '@baton/test-servers'
import { afterEach, describe, expect, test } from 'vitest'
import { redisStore } from '../src/index.js'
import { sentinelDrivers } from './drivers.js'
import { familyOf, NOW, rotationOf } from './records.js'
import { issueMany, refresh } from './sessions.js'

const SECRET = 'a secret of at least thirty-two bytes'
const SESSIONS = 40
const LONG = 120_000
const PATIENCE = 60_000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startGroup(settings: Record<string, string> = {}): Promise<RedisSentinel> {
  const group = await startRedisSentinel({ appendonly: 'everysec', settings })
  cleanups.push(() => group.stop())
  return group
}

const drivers = Object.entries(sentinelDrivers)
/** Fail-overs take their time, and the Sentinel client of ioredis is the same in both versions. */
const failingOver = drivers.filter(([name]) => name !== 'ioredis 5')

test.each(drivers)(
  '%s with Sentinel serves every method of the store, waits for replicas, and is checked',
  async (_name, connect) => {
    const group = await startGroup({ 'min-replicas-to-write': '1' })
    const { client, end } = await connect(group)
    cleanups.push(end)
    const store = redisStore(client, { waitForReplicas: { count: 1, timeoutSeconds: 20 } })
    expect(await store.check()).toEqual([])
    const record = await store.create(familyOf('a'), NOW)
    expect((await store.rotate(rotationOf(record)))?.current.generation).toBe(1)
    expect(await store.list({ subject: record.grant.subject, limit: 5, now: NOW })).toMatchObject({
      items: [{ id: record.id }],
      cursor: null,
    })
    const revocation = { id: 'r', at: NOW, reason: 'logout' } as const
    expect((await store.revoke(record.id, revocation))?.revocation).toEqual(revocation)
    expect(await store.purge(NOW, 10)).toBe(0)
  },
  LONG,
)

describe.each(failingOver)('%s with Sentinel', (_name, connect) => {
  async function sessionsOn(group: RedisSentinel) {
    const { client, end } = await connect(group)
    cleanups.push(end)
    const events: RefreshEvent[] = []
    const tokens = createRefreshTokens({
      store: redisStore(client),
      secrets: [SECRET],
      storeTimeoutSeconds: 1,
      onEvent: (event) => events.push(event),
    })
    return { tokens, events, sessions: await issueMany(tokens, SESSIONS) }
  }

  test(
    'no session is lost when the primary becomes a replica',
    async () => {
      const group = await startGroup()
      const { tokens, sessions, events } = await sessionsOn(group)
      const refreshAll = () => Promise.all(sessions.map((session) => refresh(tokens, session)))
      await refreshAll()
      await group.caughtUp()
      await group.failOver()
      const seen = new Set<string>()
      const settled = async () => {
        const outcomes = await refreshAll()
        for (const outcome of outcomes) seen.add(outcome)
        return outcomes.every((outcome) => !outcome.startsWith('store_'))
      }
      await until('every session is refreshed', settled, PATIENCE)
      for (const outcome of seen) expect(['rotated', 'retried', 'store_failed', 'store_timeout']).toContain(outcome)
      expect(events.filter(({ type }) => ['reuse', 'rollback', 'revoked', 'rejected'].includes(type))).toEqual([])
    },
    LONG,
  )

  test(
    'no session is lost when the primary is isolated and replaced, with min-replicas-to-write 1',
    async () => {
      const group = await startGroup({ 'min-replicas-to-write': '1', 'min-replicas-max-lag': '2' })
      const { tokens, sessions, events } = await sessionsOn(group)
      const refreshAll = () => Promise.all(sessions.map((session) => refresh(tokens, session)))
      expect(new Set(await refreshAll())).toEqual(new Set(['rotated']))
      await group.caughtUp()
      await group.isolate()
      const seen = new Set<string>()
      const settled = await until(
        'every session is refreshed at the new primary',
        async () => {
          const outcomes = await refreshAll()
          for (const outcome of outcomes) seen.add(outcome)
          return outcomes.every((outcome) => !outcome.startsWith('store_'))
        },
        PATIENCE,
      )
      expect(settled).toBe(true)
      // It rejected the writes that it could not replicate, so nothing was lost.
      expect(
        [...seen].filter((outcome) => !['rotated', 'retried', 'store_failed', 'store_timeout'].includes(outcome)),
      ).toEqual([])
      expect(seen).toContain('store_failed')

      await group.promoted()
      await group.rejoin()
      await until(
        'the old primary follows',
        async () => {
          const outcomes = await refreshAll()
          for (const outcome of outcomes) expect(['rotated', 'retried']).toContain(outcome)
          return (await group.servers[0]!.connect().role())[0] === 'slave'
        },
        PATIENCE,
      )
      expect(events.filter(({ type }) => ['reuse', 'rollback', 'revoked'].includes(type))).toEqual([])
    },
    LONG,
  )
})

test.each(drivers)(
  'check names what %s and its servers need with Sentinel',
  async (name, connect) => {
    const group = await startGroup()
    const { client, end } = await connect(group, { failoverDetector: false })
    cleanups.push(end)
    const findings = await redisStore(client).check()
    const expected = name.startsWith('ioredis')
      ? ['failoverDetector', 'min-replicas-to-write']
      : ['min-replicas-to-write']
    expect(findings.map(({ setting }) => setting)).toEqual(expected)
    for (const { advice } of findings) expect(advice).toMatch(/^set /)

    // Also a primary that has lost its replicas needs the setting: they will be back.
    for (const replica of group.servers.slice(1)) await replica.kill9()
    expect((await redisStore(client).check()).map(({ setting }) => setting)).toEqual(expected)
  },
  LONG,
)
