import { freePort, until } from '@baton/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { type ExampleServer, runToItsEnd, startServer } from './server.js'
import { visitor } from './visitor.js'

const API = { name: 'resource-server', store: 'memory' } as const
const SERVER = { name: 'koa-memory', store: 'memory' } as const

describe('resource-server', () => {
  const started: ExampleServer[] = []
  afterEach(async () => {
    await Promise.all(started.splice(0).map((server) => server.stop()))
  })

  async function start(...args: Parameters<typeof startServer>) {
    const server = await startServer(...args)
    started.push(server)
    return { server, on: visitor(server.origin) }
  }

  it('accepts tokens of an authorization server in another process, also after that process has ended', async () => {
    const auth = await start(SERVER, {})
    const api = await start(API, { ISSUER: auth.server.origin })
    const { access_token: accessToken } = await auth.on.login()
    expect(await api.on.me(accessToken)).toMatchObject({ status: 200, body: { sub: 'alice' } })

    const rejected = await api.on.me(`${accessToken}x`)
    expect([rejected.status, rejected.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringContaining('invalid_token'),
    ])

    await auth.server.stop()
    expect((await api.on.me(accessToken)).status).toBe(200)
  })

  it('responds with 503 while the authorization server has not started, and recovers without a restart', async () => {
    const PORT = String(await freePort())
    const settings = { PORT }
    const first = await start(SERVER, settings)
    const { access_token: accessToken } = await first.on.login()
    await first.server.stop()
    const api = await start(API, { ISSUER: first.server.origin })

    const unavailable = await api.on.me(accessToken)
    expect([unavailable.status, unavailable.headers.get('retry-after')]).toEqual([503, '1'])
    expect(api.server.output()).toContain('could not be fetched')

    await start(SERVER, settings)
    await until('the API accepts the token', async () => (await api.on.me(accessToken)).status === 200)
  })

  it('rejects tokens for another audience', async () => {
    const auth = await start(SERVER, {})
    const api = await start(API, { ISSUER: auth.server.origin, AUDIENCE: 'https://other.example' })
    const { access_token: accessToken } = await auth.on.login()
    expect((await api.on.me(accessToken)).status).toBe(401)
  })

  it.each([
    ['ISSUER', 'login.example'],
    ['ISSUER', ''],
    ['PORT', '0'],
  ])('does not start with %s=%j', async (name, value) => {
    const { code, stderr } = await runToItsEnd(API, { [name]: value })
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(new RegExp(`^${name}: .+\n$`)) })
  })
})
