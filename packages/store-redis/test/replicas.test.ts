import { createRefreshTokens, StoreError } from '@baton/core'
import {
  type RedisCluster,
  type RedisPair,
  type RedisServer,
  startFaultProxy,
  startRedis,
  startRedisCluster,
  startRedisPair,
  until,
} from '@baton/test-servers'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { redisStore, type RedisStoreOptions } from '../src/index.js'
import { clusterDrivers, singleDrivers } from './drivers.js'
import { familyOf, NOW, rotationOf } from './records.js'

const LONG = 120_000
/** The first is for writes that a replica confirms, also on a busy machine. The second is for writes that no replica can confirm. */
const longWait = { count: 1, timeoutSeconds: 20 }
const shortWait = { count: 1, timeoutSeconds: 0.1 }
const revocation = { id: 'r', at: NOW, reason: 'logout' } as const
const tooFew = /^the write was made, but only 0 of 1 replicas confirmed it within 100 ms \(waitForReplicas\)$/

let opened = 0
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function calls(server: RedisServer, command: string): Promise<number> {
  const redis = new Redis(server.url)
  const stats = await redis.info('commandstats')
  redis.disconnect()
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0)
}

describe.each(Object.entries(singleDrivers))('waitForReplicas with %s', (_name, connect) => {
  let pair: RedisPair
  beforeAll(async () => {
    pair = await startRedisPair()
  }, LONG)
  afterAll(() => pair.stop())

  async function open() {
    const { client, end } = await connect(pair.primary)
    cleanups.push(end)
    const prefix = `${String((opened += 1))}:`
    const hasty = redisStore(client, { waitForReplicas: shortWait, prefix })
    return { store: redisStore(client, { waitForReplicas: longWait, prefix }), hasty }
  }

  test('waits after issue and revoke, and never for a rotation', async () => {
    const { store } = await open()
    // The server gets to know the scripts.
    await store.revoke((await store.create(familyOf('first'), NOW)).id, revocation)
    const before = await calls(pair.primary, 'wait')
    const record = await store.create(familyOf('a'), NOW)
    const issued = await calls(pair.primary, 'wait')
    expect(issued).toBe(before + 2)
    const after = await store.rotate(rotationOf(record))
    expect(after?.current.generation).toBe(1)
    expect(await calls(pair.primary, 'wait')).toBe(issued)
    expect((await store.revoke(record.id, revocation))?.revocation).toEqual(revocation)
    // Once for the family and once for the log of revocations, which may be on another node of a cluster.
    expect(await calls(pair.primary, 'wait')).toBe(issued + 2)
  })

  test('works after SCRIPT FLUSH', async () => {
    const { store } = await open()
    const redis = new Redis(pair.primary.url)
    await redis.script('FLUSH')
    const record = await store.create(familyOf('a'), NOW)
    await redis.script('FLUSH')
    expect((await store.revoke(record.id, revocation))?.revocation).toEqual(revocation)
    redis.disconnect()
  })

  test('rejects while no replica confirms, though the write was made and called again: core answers with a StoreError', async () => {
    const { store, hasty } = await open()
    const tokens = createRefreshTokens({ store: hasty, secrets: ['a secret of at least thirty-two bytes'] })
    const record = await store.create(familyOf('a'), NOW)
    const patient = createRefreshTokens({ store, secrets: ['a secret of at least thirty-two bytes'] })
    const { refreshToken } = await patient.issue({ subject: 'user-1' })
    pair.replica.pause()
    cleanups.push(() => pair.replica.resume())
    for (let time = 0; time < 2; time += 1) {
      await expect(hasty.create(familyOf('b'), NOW)).rejects.toThrow(tooFew)
      await expect(hasty.revoke(record.id, revocation)).rejects.toThrow(tooFew)
    }
    expect((await store.find(record.id))?.revocation).toEqual(revocation)
    await expect(tokens.revoke({ refreshToken })).rejects.toBeInstanceOf(StoreError)
    expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: false, reason: 'revoked' })
    pair.replica.resume()
    await pair.caughtUp()
    expect((await store.revoke(record.id, revocation))?.revocation).toEqual(revocation)
  })

  test(
    'rejects also where the connection is lost before the confirmation: a new one would confirm anything',
    async () => {
      const proxy = await startFaultProxy({ target: pair.primary })
      cleanups.push(() => proxy.stop())
      const { client, end } = await connect({ url: proxy.through(pair.primary.url) })
      cleanups.push(end)
      const store = redisStore(client, { waitForReplicas: { count: 1, timeoutSeconds: 1.5 }, prefix: 'lost:' })
      const record = await redisStore(client, { prefix: 'lost:', waitForReplicas: longWait }).create(familyOf('a'), NOW)
      pair.replica.pause()
      cleanups.push(() => pair.replica.resume())
      const sent = proxy.connections.at(-1)!.answers
      const revoking = store.revoke(record.id, revocation).then(
        () => 'confirmed',
        () => 'rejected',
      )
      // The script has answered and WAIT has not.
      await until('the answer to the script', () => proxy.connections.at(-1)!.answers > sent)
      proxy.cutAll()
      expect(await revoking).toBe('rejected')
      pair.replica.resume()
      await pair.caughtUp()
    },
    LONG,
  )
})

describe('on a cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster({ nodes: 6 })
  }, LONG)
  afterAll(() => cluster.stop())

  const drivers = Object.entries(clusterDrivers).filter(([name]) => !name.endsWith('pipelines'))
  describe.each(drivers)('%s', (name, connect) => {
    const prefix = `${name}:`
    async function open(options: RedisStoreOptions = {}) {
      const { client, end } = await connect(cluster)
      cleanups.push(end)
      return redisStore(client, { prefix, ...options })
    }

    test(
      'WAIT reaches the node that has the key',
      async () => {
        const store = await open({ waitForReplicas: longWait })
        const hasty = await open({ waitForReplicas: shortWait })
        const records = Array.from({ length: 30 }, (_, index) => familyOf(String(index), { subject: String(index) }))
        for (const record of records) await store.create(record, NOW)
        for (const primary of cluster.nodes.slice(0, 3)) expect(await calls(primary, 'wait')).toBeGreaterThan(5)
        const onFirst = new Redis(cluster.nodes[0]!.url)
        const keys = await onFirst.keys(`${prefix}f:*`)
        onFirst.disconnect()
        // One replica hangs: exactly the families of its primary cannot be confirmed, and no other.
        cluster.nodes[3]!.pause()
        cleanups.push(() => cluster.nodes[3]!.resume())
        const [held, free] = [true, false].map((isHeld) =>
          records.filter(({ id }) => keys.includes(`${prefix}f:${id}`) === isHeld),
        )
        expect(Math.min(held!.length, free!.length)).toBeGreaterThan(2)
        await Promise.all(held!.map(({ id }) => expect(hasty.revoke(id, revocation)).rejects.toThrow(tooFew)))
        await Promise.all(free!.map(({ id }) => store.revoke(id, revocation)))
      },
      LONG,
    )

    test('reads see what was just written, also where the client sends plain reads to replicas', async () => {
      const store = await open()
      const replicas = cluster.nodes.slice(3)
      cleanups.push(() => replicas.forEach((replica) => replica.resume()))
      for (const replica of replicas) replica.pause()
      for (let index = 0; index < 30; index += 1) {
        const record = familyOf(`read ${String(index)}`)
        await store.create(record, NOW)
        expect((await store.rotate(rotationOf(record)))?.current.generation).toBe(1)
        expect((await store.find(record.id))?.current.generation).toBe(1)
      }
    })

    test('check names each node', async () => {
      // Nodes that a test before has paused may still count as dead.
      await cluster.healthy()
      const findings = await (await open()).check()
      expect(new Set(findings.map(({ node }) => node)).size).toBe(6)
      const primaries = findings.filter(({ setting }) => setting === 'min-replicas-to-write')
      expect(primaries).toHaveLength(3)
      expect(findings.filter(({ setting }) => setting === 'role')).toEqual([])
    })
  })
})

describe('check', () => {
  async function started(options: Parameters<typeof startRedis>[0]) {
    const server = await startRedis(options)
    cleanups.push(() => server.stop())
    return server
  }
  const summary = (findings: Awaited<ReturnType<ReturnType<typeof redisStore>['check']>>) =>
    Object.fromEntries(findings.map(({ setting, value }) => [setting, value]))

  test.each(Object.entries(singleDrivers))(
    'finds nothing to say about a safe server, through %s',
    async (_name, connect) => {
      const server = await started({ appendonly: 'everysec' })
      const { client, end } = await connect(server)
      cleanups.push(end)
      expect(await redisStore(client).check()).toEqual([])
    },
  )

  test.each(Object.entries(singleDrivers))(
    'names what is unsafe, and what to do, through %s',
    async (_name, connect) => {
      const server = await started({ maxmemoryPolicy: 'allkeys-lru', settings: { save: '3600 1' } })
      const { client, end } = await connect(server)
      cleanups.push(end)
      const findings = await redisStore(client).check()
      expect(summary(findings)).toEqual({ 'maxmemory-policy': 'allkeys-lru', appendonly: 'no, save "3600 1"' })
      for (const { node, advice } of findings) {
        expect(node).toBe(null)
        expect(advice).toMatch(/^set /)
      }
    },
  )

  test('names unsafe syncing, and a client that does not send again', async () => {
    const server = await started({ appendonly: 'everysec', settings: { appendfsync: 'no' } })
    const redis = server.connect({ autoResendUnfulfilledCommands: false })
    expect(summary(await redisStore(redis).check())).toEqual({
      autoResendUnfulfilledCommands: 'false',
      appendfsync: 'no',
    })
  })

  test('names a replica, and a primary that writes without any', async () => {
    const pair = await startRedisPair({ appendonly: 'everysec', settings: { 'replica-read-only': 'no' } })
    cleanups.push(() => pair.stop())
    const [primary, replica] = [redisStore(pair.primary.connect()), redisStore(pair.replica.connect())]
    expect(summary(await primary.check())).toEqual({ 'min-replicas-to-write': '0' })
    expect(summary(await replica.check())).toEqual({ role: 'replica', 'replica-read-only': 'no' })
  })

  test('says that it could not look where CONFIG or INFO is forbidden, and still tells the rest', async () => {
    const server = await started({})
    const redis = server.connect()
    await redis.acl('SETUSER', 'plain', 'on', '>word', '~*', '+@all', '-config')
    await redis.acl('SETUSER', 'poor', 'on', '>word', '~*', '+@all', '-config', '-info')
    const seen: Record<string, unknown> = { plain: { appendonly: 'no', CONFIG: 'forbidden' } }
    seen['poor'] = { CONFIG: 'forbidden', INFO: 'forbidden' }
    for (const [username, expected] of Object.entries(seen)) {
      const client = server.connect({ username, password: 'word', enableReadyCheck: false })
      expect(summary(await redisStore(client).check())).toEqual(expected)
      const node = await createClient({ url: server.url, username, password: 'word' }).connect()
      cleanups.push(() => node.destroy())
      expect(summary(await redisStore(node).check())).toEqual(expected)
    }
  })

  test('names a server that is too old', async () => {
    const client = {
      evalsha: () => undefined,
      eval: () => undefined,
      pipeline: () => undefined,
      call: async (command: string) => {
        if (command === 'INFO') return 'redis_version:6.0.16\r\nrole:master\r\n'
        throw new Error("ERR unknown command 'CONFIG'")
      },
    }
    const store = redisStore(client as unknown as Redis)
    const [version, hidden] = await store.check()
    expect(version).toEqual({
      node: null,
      setting: 'redis_version',
      value: '6.0.16',
      advice: 'use Redis 6.2 or later, or Valkey',
    })
    expect(hidden).toMatchObject({ setting: 'CONFIG', value: 'forbidden' })
  })

  test('rejects when the server cannot be reached', async () => {
    const server = await started({})
    const redis = server.connect({ maxRetriesPerRequest: 0, retryStrategy: () => null })
    await redis.ping()
    await server.kill9()
    await until('the client has noticed', () => redis.status === 'end')
    await expect(redisStore(redis).check()).rejects.toThrow(/closed/)
  })
})
