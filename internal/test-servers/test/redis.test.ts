import { existsSync } from 'node:fs'
import { afterEach, expect, test, vi } from 'vitest'
import { startRedis, startRedisCluster, startRedisPair, startRedisSentinel, until } from '@baton/test-servers'

// A busy machine starts servers slowly.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const running = new Set<{ stop(): Promise<void> }>()

function track<T extends { stop(): Promise<void> }>(server: T): T {
  running.add(server)
  return server
}

afterEach(async () => {
  for (const server of running) await server.stop()
  running.clear()
})

test('with AOF always, what was acknowledged is there after kill -9', async () => {
  const server = track(await startRedis({ appendonly: 'always' }))
  const client = server.connect()
  await client.set('acknowledged', 'yes')
  const before = server.pid

  await server.kill9()
  expect(() => process.kill(before, 0)).toThrow('ESRCH')
  await server.restart()

  expect(server.pid).not.toBe(before)
  expect(await client.get('acknowledged')).toBe('yes')
})

test('without AOF, a kill loses everything', async () => {
  const server = track(await startRedis({ appendonly: 'no' }))
  const client = server.connect()
  await client.set('acknowledged', 'yes')

  await server.kill9()
  await server.restart()

  expect(await client.get('acknowledged')).toBeNull()
})

test('a paused server answers when it is resumed', async () => {
  const server = track(await startRedis({}))
  const client = server.connect()
  await client.ping()
  server.pause()
  const answer = client.ping()
  await expect(server.connect({ commandTimeout: 100, enableReadyCheck: false }).ping()).rejects.toThrow('timed out')

  server.resume()

  expect(await answer).toBe('PONG')
})

test('settings reach the server, and it listens on loopback only', async () => {
  const options = { maxmemoryPolicy: 'allkeys-lru', appendonly: 'everysec', settings: { timeout: '7' } } as const
  const server = track(await startRedis(options))
  const settings = await server.connect().config('GET', 'bind', 'maxmemory-policy', 'appendfsync', 'timeout')
  expect(settings).toEqual(expect.arrayContaining(['127.0.0.1', 'allkeys-lru', 'everysec', '7']))
})

test('stop ends the process and removes its folder', async () => {
  const server = await startRedis({})
  const [, folder = ''] = await server.connect().config('GET', 'dir')
  const { pid } = server
  expect(existsSync(folder)).toBe(true)

  await server.stop()

  expect(existsSync(folder)).toBe(false)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

test('a setting that the server does not know fails with the words of the server', async () => {
  await expect(startRedis({ settings: { 'no-such-setting': '1' } })).rejects.toThrow(/no-such-setting/)
})

test('REDIS_URL stands in for a plain server, under its own prefix, and is not ours to kill', async () => {
  const foreign = track(await startRedis({}))
  const owner = foreign.connect()
  await owner.set('theirs', '1')
  vi.stubEnv('REDIS_URL', foreign.url)
  try {
    const server = await startRedis()
    await server.connect().set('ours', '1')
    expect(await owner.get(`${server.keyPrefix}ours`)).toBe('1')
    await expect(server.kill9()).rejects.toThrow('REDIS_URL')
    await expect(server.restart()).rejects.toThrow('REDIS_URL')
    expect(() => server.pause()).toThrow('REDIS_URL')

    await server.stop()
    expect(await owner.keys('*')).toEqual(['theirs'])
  } finally {
    vi.unstubAllEnvs()
  }
})

test('a promoted replica has what it had caught up with, and not what the old primary accepted later', async () => {
  const pair = track(await startRedisPair())
  const primary = pair.primary.connect()
  await primary.set('before', '1')
  await pair.caughtUp()

  await pair.promote()
  await primary.set('after', '1')
  await pair.primary.kill9()

  const promoted = pair.replica.connect()
  expect(await promoted.mget('before', 'after')).toEqual(['1', null])
  expect(await promoted.set('writable', '1')).toBe('OK')
})

test('a cluster of three serves every slot', async () => {
  const cluster = track(await startRedisCluster({ nodes: 3 }))
  const client = cluster.connect()
  const keys = Array.from({ length: 50 }, (_, place) => `key-${place}`)
  await Promise.all(keys.map((key) => client.set(key, key)))

  const held = await Promise.all(cluster.nodes.map((node) => node.connect().dbsize()))
  expect(held.every((size) => size > 0)).toBe(true)
  expect(held.reduce((sum, size) => sum + size)).toBe(50)
})

test('in a cluster of six a replica takes over from a primary that was killed', async () => {
  const cluster = track(await startRedisCluster({ nodes: 6, nodeTimeoutMs: 1_000 }))
  const client = cluster.connect()
  await client.set('key', 'kept')
  const slot = await client.cluster('KEYSLOT', 'key')
  const place = Math.floor((slot * 3) / 16_384)
  await until('the replica has the key', async () => {
    return (await cluster.nodes[place + 3]!.connect({ readOnly: true }).dbsize()) === 1
  })

  await cluster.nodes[place]!.kill9()
  await cluster.healthy()

  expect(await client.get('key')).toBe('kept')
})

test('sentinels promote a replica when ordered to, and demote the primary', async () => {
  const group = track(await startRedisSentinel())
  const first = await group.primary()
  expect(first).toBe(group.servers[0])
  const client = first.connect()
  await client.set('a', '1')
  await group.caughtUp()

  await group.failOver()
  const second = await group.primary()
  expect(second).not.toBe(first)
  expect(await second.connect().get('a')).toBe('1')
  await expect(client.set('a', '2')).rejects.toThrow(/^READONLY/)
})

test('a primary that is cut off from its sentinels still serves clients, until it joins again as a replica', async () => {
  const group = track(await startRedisSentinel())
  const [first] = group.servers
  const client = first!.connect()
  await group.isolate()
  await client.set('a', 'lost')
  await group.promoted()
  expect(await client.get('a')).toBe('lost')
  expect(await (await group.primary()).connect().get('a')).toBeNull()

  await group.rejoin()
  await until('the first primary follows the second', async () => (await client.get('a')) === null)
})
