import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import {
  startFaultProxy,
  startPostgres,
  startRedis,
  until,
  type FaultProxy,
  type RedisServer,
} from '@baton/test-servers'

// A busy machine starts servers slowly.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let server: RedisServer
let direct: Redis
let proxy: FaultProxy

beforeAll(async () => {
  server = await startRedis({})
  direct = server.connect()
})

afterAll(() => server.stop())

beforeEach(async () => {
  await direct.flushall()
  proxy = await startFaultProxy({ target: server })
})

afterEach(() => proxy.stop())

/** A client that tries each command once and never connects again by itself. */
async function connectThroughProxy(): Promise<Redis> {
  const options = { port: proxy.port, retryStrategy: () => null, maxRetriesPerRequest: 0, lazyConnect: true }
  const client = server.connect(options)
  await client.connect()
  return client
}

test('passes requests and answers on, and counts them', async () => {
  const client = await connectThroughProxy()
  const [connection] = proxy.connections
  const { requests, answers, requestBytes } = connection!
  expect(await client.echo('hello')).toBe('hello')
  expect(connection).toMatchObject({ id: 0, isOpen: true, requests: requests + 1, answers: answers + 1 })
  expect(connection!.requestBytes - requestBytes).toBe('*2\r\n$4\r\necho\r\n$5\r\nhello\r\n'.length)

  client.disconnect()
  await until('the connection is closed', () => !connection!.isOpen)
})

test('an answer is destroyed after the server has executed the request', async () => {
  const client = await connectThroughProxy()
  const destroyed = proxy.destroyNextAnswer((request) => request.includes('incr'))
  expect(await client.ping()).toBe('PONG')

  await expect(client.incr('rotations')).rejects.toThrow()
  await destroyed

  expect(await direct.get('rotations')).toBe('1')
  expect(await (await connectThroughProxy()).incr('rotations')).toBe(2)
})

test('a commit is in PostgreSQL though its answer was destroyed', async () => {
  const postgres = await startPostgres()
  const inFront = await startFaultProxy({ target: postgres })
  try {
    await postgres.pool().query('CREATE TABLE commits (value int)')
    const pool = postgres.pool({ connectionString: inFront.through(postgres.url) })
    await pool.query('SELECT 1')
    const destroyed = inFront.destroyNextAnswer((request) => request.includes('INSERT'))

    await expect(pool.query('INSERT INTO commits VALUES ($1)', [1])).rejects.toThrow('terminated')
    await destroyed

    expect((await postgres.pool().query('SELECT value FROM commits')).rows).toEqual([{ value: 1 }])
  } finally {
    await postgres.stop()
    await inFront.stop()
  }
})

test('answers are delayed, in their order', async () => {
  const client = await connectThroughProxy()
  await proxy.delayAnswers(80)
  const startedAt = performance.now()
  expect(await Promise.all([client.incr('n'), client.incr('n')])).toEqual([1, 2])
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(79)
})

test('all connections are cut, and new ones are served', async () => {
  const clients = [await connectThroughProxy(), await connectThroughProxy()]
  const ends = clients.map((client) => new Promise((resolve) => client.once('end', resolve)))
  proxy.cutAll()
  await Promise.all(ends)
  expect(proxy.connections.map((connection) => connection.isOpen)).toEqual([false, false])
  expect(await (await connectThroughProxy()).ping()).toBe('PONG')
})

test('connections are refused until the fault ends, on the same port', async () => {
  const client = await connectThroughProxy()
  await proxy.refuse()
  await expect(client.ping()).rejects.toThrow()
  await expect(connectThroughProxy()).rejects.toThrow()

  await proxy.pass()
  expect(await (await connectThroughProxy()).ping()).toBe('PONG')
})

test('a black hole accepts everything and answers nothing', async () => {
  const client = server.connect({ port: proxy.port, commandTimeout: 100 })
  await client.ping()
  await proxy.blackHole()
  await expect(client.incr('n')).rejects.toThrow('timed out')
  expect(await direct.get('n')).toBeNull()

  await proxy.pass()
  await until('the client has recovered', () => client.ping())
})

test('after a fail-over new connections reach the other server', async () => {
  const other = await startRedis({})
  try {
    const client = server.connect({ port: proxy.port })
    await client.set('where', 'first')
    await other.connect().set('where', 'second')
    proxy.retarget(other)
    await until('the client has moved', async () => (await client.get('where')) === 'second')
  } finally {
    await other.stop()
  }
})
