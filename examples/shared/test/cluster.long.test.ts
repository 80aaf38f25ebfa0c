import { type RedisCluster, startRedisCluster, until } from '@baton/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ExampleServer, type Settings, startServer } from './server.js'
import { type Visitor, visitor } from './visitor.js'

const EXAMPLE = { name: 'express-cluster', store: 'redis-cluster' } as const
/** The parent distributes connections, not requests, to the workers. */
const ON_A_NEW_CONNECTION = { connection: 'close' }

describe('express-cluster', () => {
  let redis: RedisCluster
  let server: ExampleServer
  let on: Visitor

  beforeAll(async () => {
    redis = await startRedisCluster({ nodes: 3 })
  })
  afterEach(() => server.stop())
  afterAll(() => redis.stop())

  async function start(settings: Settings = {}) {
    await Promise.all(redis.nodes.map((node) => node.connect().flushall()))
    server = await startServer(EXAMPLE, { ...settings, REDIS_URL: redis.nodes.map(({ url }) => url).join(',') })
    on = visitor(server.origin)
  }

  const refresh = (refreshToken: string) =>
    on.form(
      '/oauth/token',
      { grant_type: 'refresh_token', client_id: 'web', refresh_token: refreshToken },
      ON_A_NEW_CONNECTION,
    )
  const times = <Result>(count: number, ask: () => Promise<Result>) => Promise.all(Array.from({ length: count }, ask))
  const workersOf = (responses: { headers: Headers }[]) =>
    new Set(responses.map(({ headers }) => Number(headers.get('x-worker'))))

  async function allWorkers(): Promise<Set<number>> {
    return workersOf(await times(9, () => on.send('GET', '/.well-known/jwks.json', { headers: ON_A_NEW_CONNECTION })))
  }

  it('gives eight concurrent refreshes, spread over three processes, one successor', async () => {
    await start()
    const { refresh_token: first } = await on.login()
    const responses = await times(8, () => refresh(first))

    expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200))
    expect(new Set(responses.map(({ body }) => body.refresh_token)).size).toBe(1)
    expect(workersOf(responses).size).toBe(3)
  })

  it('counts a rate limit once over all processes', async () => {
    await start({ RATE_LIMIT: '10', RATE_SECONDS: '3600' })
    const responses = await times(30, () => refresh('rubbish'))
    const passed = responses.filter(({ status }) => status !== 429)

    expect(passed).toHaveLength(10)
    expect(workersOf(passed).size).toBeGreaterThan(1)
    expect(workersOf(responses).size).toBe(3)
  })

  it('replaces a killed worker without ending a session', async () => {
    await start()
    const logins = await times(6, () => on.login())
    const [killed = 0, ...survivors] = await allWorkers()
    process.kill(killed, 'SIGKILL')
    // Until the parent detects the exit, it still assigns connections to the killed worker.
    await until('the parent has noticed', () => server.output().includes(`worker ${killed} exited (SIGKILL)`))
    let workers = new Set<number>()
    await until('three workers respond', async () => {
      workers = await allWorkers()
      return workers.size === 3 && !workers.has(killed)
    })
    const responses = await Promise.all(logins.map((login) => refresh(login.refresh_token)))

    expect([...workers]).toEqual(expect.arrayContaining(survivors))
    expect(responses.map(({ status }) => status)).toEqual(Array(6).fill(200))
    expect(await server.stop()).toBe(0)
  })

  it('ends all workers when the parent is killed', async () => {
    await start()
    const workers = await allWorkers()
    server.child.kill('SIGKILL')
    await until('the workers are gone', () => [...workers].every(isGone))
  })

  it('generates one secret for all processes', async () => {
    await start({ BATON_SECRET: undefined })
    const { access_token: accessToken, refresh_token: first } = await on.login()
    const responses = await times(9, () => refresh(first))
    const greetings = await times(9, () =>
      on.send('GET', '/api/me', { headers: { ...ON_A_NEW_CONNECTION, authorization: `Bearer ${accessToken}` } }),
    )

    expect(new Set([...responses, ...greetings].map(({ status }) => status))).toEqual(new Set([200]))
    expect(workersOf(greetings).size).toBe(3)
    expect(server.output().match(/BATON_SECRET/g)).toHaveLength(1)
  })

  it('warns about the settings of each node that lose sessions', async () => {
    await start()

    for (const { port } of redis.nodes)
      expect(server.output()).toMatch(new RegExp(`^127\\.0\\.0\\.1:${port}: appendonly is no.*: .+$`, 'm'))
    expect(server.output().match(/appendonly/g)).toHaveLength(3)
  })
})

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}
