import { setImmediate } from 'node:timers/promises'
import { ConfigurationError, createRefreshTokens } from '@baton/core'
import { type RedisServer, startRedis, until } from '@baton/test-servers'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { RecordFormatError, type RedisClient, redisStore, type RedisStoreOptions } from '../src/index.js'
import { singleDrivers } from './drivers.js'
import { DAY, familyOf, NOW, rotationOf } from './records.js'

const SECRET = 'a secret of at least thirty-two bytes'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  // A separate server: these tests count commands and bytes, and flush the server.
  server = await startRedis({})
  redis = server.connect()
})
afterAll(() => server.stop())
beforeEach(() => redis.flushall())

/** How often the server has executed each command since the last reset, scripts' own commands included. */
async function commandCounts(): Promise<Record<string, number>> {
  const stats = await redis.info('commandstats')
  const counts = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) => [name, Number(calls)])
  return Object.fromEntries(counts.filter(([name]) => !['info', 'config|resetstat'].includes(String(name))))
}

test('a store on ioredis answers although an app under test has replaced its timers', async () => {
  const store = redisStore(redis)
  onTestFinished(() => {
    vi.useRealTimers()
  })
  vi.useFakeTimers()
  const record = familyOf('alone')
  await store.create(record, NOW)
  expect(await store.rotate(rotationOf(record))).toMatchObject({ current: { generation: 1 } })
  const others = ['one', 'another'].map((name) => familyOf(name))
  expect(await Promise.all(others.map((other) => store.create(other, NOW)))).toHaveLength(2)
})

describe.each(Object.entries(singleDrivers))('what %s sends', (_name, connect) => {
  test('is one EVALSHA for a rotation, also through core', async () => {
    const { client, end } = await connect(server)
    const store = redisStore(client)
    const tokens = createRefreshTokens({ store, secrets: [SECRET], now: () => NOW })
    let { refreshToken } = await tokens.issue({ subject: 'user-1' })
    const refresh = async () => {
      const answer = await tokens.rotate({ refreshToken })
      if (!answer.ok) throw new Error(answer.reason)
      refreshToken = answer.refreshToken
    }
    await refresh()
    await redis.config('RESETSTAT')
    for (let count = 0; count < 10; count += 1) await refresh()
    expect(await commandCounts()).toEqual({ evalsha: 10, get: 10, set: 10 })
    end()
  })

  test('needs one more command after SCRIPT FLUSH, and the call succeeds', async () => {
    const { client, end } = await connect(server)
    const store = redisStore(client)
    const record = familyOf('a')
    await store.create(record, NOW)
    await store.rotate(rotationOf(record))
    await redis.script('FLUSH')
    await redis.config('RESETSTAT')
    expect((await store.rotate(rotationOf(familyOf('a'))))?.current.generation).toBe(1)
    expect(await commandCounts()).toMatchObject({ evalsha: 1, eval: 1 })
    await redis.script('FLUSH')
    const all = Array.from({ length: 20 }, () => store.find(record.id))
    expect(new Set((await Promise.all(all)).map((found) => found?.current.generation))).toEqual(new Set([1]))
    expect((await store.list({ subject: record.grant.subject, limit: 10, now: NOW })).items).toHaveLength(1)
    end()
  })

  test('is one piece for all that is asked in one turn of the event loop', async () => {
    const { client, end } = await connect(server)
    const store = redisStore(client)
    const records = Array.from({ length: 20 }, (_, index) => familyOf(String(index)))
    const rotateAll = () => Promise.all(records.map((record) => store.rotate(rotationOf(record))))
    await Promise.all(records.map((record) => store.create(record, NOW)))
    // The server knows the script from then on.
    await rotateAll()
    await redis.config('RESETSTAT')
    await rotateAll()
    const reads = /total_reads_processed:(\d+)/.exec(await redis.info('stats'))
    // The other one is the question.
    expect(Number(reads?.[1])).toBe(2)
    expect((await commandCounts())['evalsha']).toBe(20)
    end()
  })

  test('gives each call of one turn the answer, or the error, that is its own', async () => {
    const { client, end } = await connect(server)
    const store = redisStore(client)
    const [one, another, foreign, unknown] = ['one', 'another', 'foreign', 'unknown'].map((name) => familyOf(name))
    await store.create(one!, NOW)
    await store.create(another!, NOW)
    await redis.hset(`baton:f:${foreign!.id}`, 'a', 'b')
    const answers = await Promise.allSettled([
      store.rotate(rotationOf(one!)),
      store.rotate(rotationOf(foreign!)),
      store.find(unknown!.id),
      store.rotate(rotationOf(another!)),
    ])
    expect(answers).toMatchObject([
      { value: { id: one!.id, current: { generation: 1 } } },
      { reason: { name: 'RecordFormatError' } },
      { value: null },
      { value: { id: another!.id, current: { generation: 1 } } },
    ])
    end()
  })

  test('continues after every connection was cut', async () => {
    const { client, end } = await connect(server)
    const store = redisStore(client)
    const record = familyOf('a')
    await store.create(record, NOW)
    await redis.call('CLIENT', 'KILL', 'SKIPME', 'yes')
    const after = await until('the store answers again', () => store.rotate(rotationOf(record)))
    expect(after?.current.generation).toBe(1)
    end()
  })
})

test.each(['ioredis 5', 'ioredis 6'])('%s: those that come while several are dealt with go along', async (name) => {
  const { client, end } = await singleDrivers[name]!(server)
  const store = redisStore(client)
  const find = () => store.find(familyOf('a').id)
  // The server knows the script from then on.
  await find()
  await redis.config('RESETSTAT')
  const first = [find(), find()]
  await setImmediate()
  await Promise.all([...first, find()])
  const reads = /total_reads_processed:(\d+)/.exec(await redis.info('stats'))
  expect(Number(reads?.[1])).toBe(2)
  end()
})

test('create and revoke that come again are written again, so that a WAIT behind them has something to wait for', async () => {
  const store = redisStore(redis)
  const record = await store.create(familyOf('a'), NOW)
  const revoke = () => store.revoke(record.id, { id: 'r', at: NOW, reason: 'logout' })
  await revoke()
  for (const again of [() => store.create(record, NOW), revoke]) {
    await redis.config('RESETSTAT')
    await again()
    expect((await commandCounts())['set']).toBe(1)
  }
})

describe('memory', () => {
  const bytes = async (key: string) => Number(await redis.memory('USAGE', key, 'SAMPLES', 0))
  const keysOf = async (kind: 'f' | 's') => redis.keys(`baton:${kind}:*`)

  test('is at most 400 bytes for a family, however often it has rotated, and 150 for the only entry of an index', async () => {
    const store = redisStore(redis)
    let record = await store.create(familyOf('a'), NOW)
    const [key = ''] = await keysOf('f')
    const [index = ''] = await keysOf('s')
    const atFirst = await bytes(key)
    expect(atFirst).toBeLessThanOrEqual(400)
    expect(await bytes(index)).toBeLessThanOrEqual(150)
    for (let count = 0; count < 100; count += 1) record = (await store.rotate(rotationOf(record)))!
    // With the mark of an Idempotency-Key.
    const marked = await store.rotate(rotationOf(record, NOW, 'r'.repeat(22)))
    expect(marked?.current.generation).toBe(101)
    expect(await bytes(key)).toBeLessThanOrEqual(400)
    expect(await redis.dbsize()).toBe(2)
  })

  // Redis gives up the compact form of a sorted set above 128 entries, and the tables of the other one grow by doubling.
  test.each([
    [2, 90],
    [128, 60],
    [129, 165],
    [1000, 150],
  ])('of an index with %i entries is at most %i bytes for each', async (many, most) => {
    const store = redisStore(redis)
    const records = Array.from({ length: many }, (_, index) => familyOf(String(index), { createdAt: NOW + index }))
    await Promise.all(records.map((record) => store.create(record, NOW)))
    const [index = ''] = await keysOf('s')
    expect((await bytes(index)) / many).toBeLessThanOrEqual(most)
  })
})

describe('time to live', () => {
  const ttlOf = async (kind: 'f' | 's' | 'r') => redis.pttl((await redis.keys(`baton:${kind}:*`))[0]!)
  const near = (lasts: number) => [expect.toSatisfy((ttl: number) => ttl <= lasts && ttl > lasts - 10_000)]

  test('of a family is what remains until its end, moves with its rotations, and stays when it is revoked', async () => {
    const store = redisStore(redis)
    const record = await store.create(familyOf('a'), NOW)
    expect([await ttlOf('f')]).toEqual(near(30 * DAY))
    const after = await store.rotate(rotationOf(record, NOW + 20 * DAY))
    expect([await ttlOf('f')]).toEqual(near(30 * DAY))
    await store.rotate(rotationOf(after!, NOW + 80 * DAY))
    expect([await ttlOf('f')]).toEqual(near(30 * DAY))
    const late = await store.find(record.id)
    expect(late?.current.generation).toBe(1)
    await store.rotate(rotationOf(late!, NOW + 49 * DAY))
    await store.rotate(rotationOf((await store.find(record.id))!, NOW + 78 * DAY))
    expect([await ttlOf('f')]).toEqual(near(12 * DAY))
    await store.revoke(record.id, { id: 'r', at: NOW + 78 * DAY, reason: 'logout' })
    expect([await ttlOf('f')]).toEqual(near(12 * DAY))
  })

  test('of a family reaches to keepUntil where that is later', async () => {
    const store = redisStore(redis)
    const record = await store.create(familyOf('a', { keepUntil: NOW + 200 * DAY }), NOW)
    expect([await ttlOf('f')]).toEqual(near(200 * DAY))
    await store.rotate(rotationOf(record, NOW + DAY))
    expect([await ttlOf('f')]).toEqual(near(199 * DAY))
  })

  test('of an index is that of its longest entry', async () => {
    const store = redisStore(redis)
    await store.create(familyOf('short', { absoluteExpiresAt: NOW + DAY }), NOW)
    expect([await ttlOf('s')]).toEqual(near(DAY))
    await store.create(familyOf('long'), NOW)
    expect([await ttlOf('s')]).toEqual(near(90 * DAY))
    await store.create(familyOf('other', { absoluteExpiresAt: NOW + DAY }), NOW)
    expect([await ttlOf('s')]).toEqual(near(90 * DAY))
  })

  test('lets Redis forget by itself', async () => {
    const store = redisStore(redis)
    await store.create(familyOf('a', { expiresAt: NOW + 50, absoluteExpiresAt: NOW + 50 }), NOW)
    expect(await store.claimOnce({ key: 'key', owner: 'a', expiresAt: NOW + 50 }, NOW)).toBe('a')
    await until('nothing is left', async () => (await redis.dbsize()) === 0)
    expect(await store.claimOnce({ key: 'key', owner: 'b', expiresAt: NOW + DAY }, NOW + 50)).toBe('b')
  })
})

describe('the index of a subject', () => {
  test('is not touched by rotations', async () => {
    const store = redisStore(redis)
    const record = await store.create(familyOf('a'), NOW)
    const [index = ''] = await redis.keys('baton:s:*')
    const before = await redis.dump(index)
    await store.rotate(rotationOf(record))
    expect(await redis.dump(index)).toBe(before)
  })

  test('has the entry before there is a family: a create that dies in between leaves nothing that cannot be ended', async () => {
    const order: string[] = []
    const watched = new Proxy(redis, {
      get(target, name) {
        if (name !== 'evalsha') return Reflect.get(target, name) as unknown
        return (sha: string, count: number, key: string, ...args: string[]) => {
          order.push(key.split(':')[1]!)
          return target.evalsha(sha, count, key, ...args)
        }
      },
    })
    await redisStore(watched).create(familyOf('a'), NOW)
    expect(order).toEqual(['s', 'f'])
  })

  test('keeps an entry without a family until its end, and lists without it', async () => {
    const store = redisStore(redis)
    const dangling = await store.create(familyOf('dangling', { absoluteExpiresAt: NOW + 40 * DAY }), NOW)
    const alive = await store.create(familyOf('alive', { createdAt: NOW + 1 }), NOW)
    await redis.del(`baton:f:${dangling.id}`)
    const [index = ''] = await redis.keys('baton:s:*')
    const listed = async (now: number) => (await store.list({ subject: alive.grant.subject, limit: 1, now })).items
    expect(await listed(NOW)).toEqual([alive])
    await store.create(familyOf('other', { subject: alive.grant.subject }), NOW + 40 * DAY - 1)
    expect(await redis.zcard(index)).toBe(3)
    await store.create(familyOf('another', { subject: alive.grant.subject }), NOW + 40 * DAY)
    expect(await redis.zcard(index)).toBe(3)
    expect(await redis.zscore(index, `${dangling.grant.createdAt.toString(36).padStart(9, '0')}${dangling.id}`)).toBe(
      null,
    )
  })

  test('never shows a family that was there first under the same id, to another subject or twice', async () => {
    const store = redisStore(redis)
    const first = await store.create(familyOf('a'), NOW)
    await store.create(familyOf('a', { createdAt: NOW + 1 }), NOW)
    await store.create(familyOf('a', { subject: 'mallory' }), NOW)
    expect(await store.list({ subject: first.grant.subject, limit: 10, now: NOW })).toEqual({
      items: [first],
      cursor: null,
    })
    expect(await store.list({ subject: 'mallory', limit: 10, now: NOW })).toEqual({ items: [], cursor: null })
  })

  test('leaves nothing alive that existed when all was revoked, while others sign in, 20 times', async () => {
    const tokens = createRefreshTokens({ store: redisStore(redis), secrets: [SECRET], now: () => NOW })
    for (let round = 0; round < 20; round += 1) {
      const subject = `user-${String(round)}`
      const before = await Promise.all(Array.from({ length: 12 }, () => tokens.issue({ subject })))
      const during = Array.from({ length: 12 }, () => tokens.issue({ subject }))
      const rotations = before.map(({ refreshToken }) => tokens.rotate({ refreshToken }))
      const revoking = tokens.revokeSubject(subject)
      const after = Array.from({ length: 12 }, () => tokens.issue({ subject }))
      await Promise.all([...during, ...rotations, revoking, ...after])
      for (const { family } of before) expect(await tokens.find(family.id)).toBe(null)
      await tokens.revokeSubject(subject)
      expect((await tokens.list({ subject })).items).toEqual([])
      for (const issued of [...during, ...after]) expect(await tokens.find((await issued).family.id)).toBe(null)
    }
  })

  test('takes only cursors that list returned', async () => {
    const store = redisStore(redis)
    for (const cursor of ['', '-', 'x', 'MTIzLmFiYw==', '0'.repeat(30), '0'.repeat(32), '😀']) {
      const listing = store.list({ subject: 'a', cursor, limit: 1, now: NOW })
      await expect(listing).rejects.toThrow(/^option "cursor" is not one that list returned/)
      await expect(listing).rejects.toBeInstanceOf(ConfigurationError)
    }
  })
})

describe('what is not ours', () => {
  const record = familyOf('a')
  const key = `baton:f:${record.id}`
  const revocation = { id: 'r', at: NOW, reason: 'logout' } as const
  // One that this version could read and would rotate, but for its number.
  const { verifier } = record.current
  const newer = `3|${verifier}|9999999999999||9999999999999|0|\n[0]\n[0]`

  async function refusesAll(message: RegExp): Promise<void> {
    const store = redisStore(redis)
    const calls = [
      () => store.find(record.id),
      () => store.rotate(rotationOf(record)),
      () => store.rotate({ ...rotationOf(record), next: null }),
      () => store.revoke(record.id, revocation),
      () => store.create(record, NOW),
    ]
    for (const call of calls) {
      await expect(call()).rejects.toBeInstanceOf(RecordFormatError)
      await expect(call()).rejects.toThrow(message)
    }
  }

  test.each([
    ['a newer record', newer],
    ['some text', 'hello'],
    ['nothing but a version', '1|'],
    ['a record without its parts', `2|${verifier}|9999999999999||9999999999999|0|`],
    ['a record with a broken part', `2|${verifier}x|9999999999999||9999999999999|0|\n[0]\n[`],
    ['a record with one part only', `2|${verifier}|9999999999999||9999999999999|0|\n[0]`],
    ['a record with one field more', `2|${verifier}|9999999999999||9999999999999|0||x\n[0]\n[0]`],
    ['a former record without a body', `1|${verifier}|0|n|k|1||9999999999999||9999999999999|0|`],
    ['a former record with a broken body', `1|${verifier}x|0|n|k|1||9999999999999||9999999999999|0|\n{`],
    ['a former record with one field more', `1|${verifier}|0|n|k|1||9999999999999||9999999999999|0||\n["","","",1]`],
    ['nothing', ''],
  ])('rejects %s with a message that says what to do, and leaves it in place', async (_name, text) => {
    await redis.set(key, text, 'PX', 1_000_000)
    await refusesAll(/not written by this version.*bring every instance to the newest version.*separate prefix/)
    expect(await redis.get(key)).toBe(text)
    expect(await redis.pttl(key)).toBeGreaterThan(900_000)
  })

  test('rejects a key of another type by name, and leaves it in place', async () => {
    await redis.hset(key, 'a', 'b')
    await refusesAll(/^the key baton:f:.* holds something that is not of @baton\/store-redis$/)
    expect(await redis.hgetall(key)).toEqual({ a: 'b' })
    await redis.del(key)
    await redisStore(redis).create(record, NOW)
    const [index = ''] = await redis.keys('baton:s:*')
    await redis.set(index, 'mine')
    await expect(redisStore(redis).create(familyOf('b'), NOW)).rejects.toThrow(/^the key baton:s:.* holds something/)
    expect(await redis.get(index)).toBe('mine')
  })

  test('reaches callers of core as a StoreError with the cause', async () => {
    const tokens = createRefreshTokens({ store: redisStore(redis), secrets: [SECRET], now: () => NOW })
    const { refreshToken, family } = await tokens.issue({ subject: 'user-1' })
    await redis.set(`baton:f:${family.id}`, newer)
    const refused = tokens.rotate({ refreshToken })
    await expect(refused).rejects.toMatchObject({ code: 'store_failed', cause: { name: 'RecordFormatError' } })
  })

  test('a prefix keeps apps apart, also behind the prefix of a client', async () => {
    const prefixed = server.connect({ keyPrefix: 'mine:' })
    const stores = [
      redisStore(redis),
      redisStore(redis, { prefix: 'other:' }),
      redisStore(prefixed),
      redisStore(prefixed, { prefix: 'other:' }),
    ]
    for (const [index, store] of stores.entries()) {
      expect(await store.find(record.id)).toBe(null)
      expect((await store.create(familyOf('a', { scope: String(index) }), NOW)).grant.scope).toBe(String(index))
      const claim = { key: 'key', owner: String(index), expiresAt: NOW + DAY }
      expect(await store.claimOnce(claim, NOW)).toBe(claim.owner)
    }
    for (const [index, store] of stores.entries()) {
      const page = await store.list({ subject: record.grant.subject, limit: 10, now: NOW })
      expect(page.items.map(({ grant }) => grant.scope)).toEqual([String(index)])
    }
    const places = (await redis.keys('*')).map((name) => name.replace(/[^:]+$/, ''))
    expect(new Set(places)).toEqual(
      new Set(['baton:', 'other:', 'mine:baton:', 'mine:other:'].flatMap((p) => [`${p}f:`, `${p}s:`, `${p}r:`])),
    )
    expect(places).toHaveLength(12)
  })
})

describe('invalid arguments', () => {
  test('rejects anything but a client, with a message that says what to pass', async () => {
    const subscriber = server.connect({ protocol: 2 })
    await subscriber.subscribe('news')
    const node = createClient({ url: server.url })
    const wrong: [unknown, RegExp][] = [
      ['redis://localhost', /got a string/],
      [undefined, /got undefined/],
      [null, /got null/],
      [Redis, /got a function/],
      [[], /got an object without evalsha\(\) or evalSha\(\)/],
      [{ host: 'localhost', port: 6379 }, /got an object without evalsha\(\) or evalSha\(\)/],
      [Promise.resolve(redis), /got a promise; await it/],
      [redis.pipeline(), /must not be a pipeline; pass the client that created it/],
      [node.multi(), /must not be a pipeline; pass the client that created it/],
      [subscriber, /in subscriber mode; pass another connection/],
    ]
    for (const [client, message] of wrong) {
      expect(() => redisStore(client as RedisClient)).toThrow(message)
      expect(() => redisStore(client as RedisClient)).toThrow(ConfigurationError)
    }
  })

  test('rejects options that are unknown or out of range by name', () => {
    const wrong: [unknown, RegExp][] = [
      [null, /option "redisStore" must be an object, got null/],
      [{ keyPrefix: 'x' }, /option "keyPrefix" is not an option of redisStore.*\(options: prefix, waitForReplicas\)/],
      [{ prefix: 1 }, /option "prefix" must be well-formed text of 1 to 64 bytes without NUL, got 1;/],
      [{ prefix: '' }, /option "prefix" must be well-formed text of 1 to 64 bytes without NUL, got "";/],
      [{ waitForReplicas: 1 }, /option "waitForReplicas" must be an object, got 1/],
      [
        { waitForReplicas: { count: 0, timeoutSeconds: 1 } },
        /option "waitForReplicas\.count" must be an integer from 1 to 1000, got 0/,
      ],
      [
        { waitForReplicas: { count: 1 } },
        /option "waitForReplicas\.timeoutSeconds" is missing; it must be a number of seconds from 0\.001 to 60/,
      ],
      [
        { waitForReplicas: { count: 1, timeoutSeconds: 0 } },
        /option "waitForReplicas\.timeoutSeconds" must be .* from 0\.001 to 60, got 0/,
      ],
      [
        { waitForReplicas: { count: 1, timeoutSeconds: 1000 } },
        /option "waitForReplicas\.timeoutSeconds" must be .* from 0\.001 to 60, got 1000/,
      ],
    ]
    for (const [options, message] of wrong) {
      expect(() => redisStore(redis, options as RedisStoreOptions)).toThrow(message)
      expect(() => redisStore(redis, options as RedisStoreOptions)).toThrow(ConfigurationError)
    }
  })

  test('a client that answers with something else than text never looks like an empty store', async () => {
    const record = await redisStore(redis).create(familyOf('a'), NOW)
    for (const answer of [undefined, false, Buffer.from('1|'), 7, {}]) {
      const client = { ...stub, evalsha: () => Promise.resolve(answer) } as unknown as RedisClient
      const store = redisStore(client)
      const calls = [
        () => store.find(record.id),
        () => store.rotate(rotationOf(record)),
        () => store.create(record, NOW),
      ]
      for (const call of calls) await expect(call()).rejects.toThrow(/pass a client that returns promises of strings/)
      await expect(store.list({ subject: 'a', limit: 1, now: NOW })).rejects.toThrow(/pass a client that returns/)
    }
  })
})

const stub = { eval: () => undefined, pipeline: () => undefined }
