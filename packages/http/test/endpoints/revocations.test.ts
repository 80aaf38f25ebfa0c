import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRefreshTokens } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  authServer,
  jwtAccessTokens,
  remoteRevocations,
  type RemoteRevocationsOptions,
  type RevokedSessions,
  revocationsEndpoint,
  type RevocationsOptions,
  toNodeHandler,
} from '../../src/index.js'
import { ISSUER, SIGNING_KEY } from '../app.js'
import { basic, CB_SECRET, CLIENTS, expectError, send } from '../setup.js'

const RS_SECRET = 'secret-of-a-resource-server-0123'
const CLIENT_SECRET = 'a secret of at least thirty-two bytes'
const clients = [...CLIENTS, { clientId: 'rs', secret: RS_SECRET, introspectionAudiences: ['https://rs.example'] }]
const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function setup(options: Partial<RevocationsOptions> = {}) {
  const store = memoryStore()
  const state = { isDown: false, loses: false }
  const listRevoked: typeof store.listRevoked = async (query) => {
    if (state.isDown) throw new Error('connection refused')
    return store.listRevoked(query)
  }
  const secrets = [CLIENT_SECRET]
  const tokens = createRefreshTokens({ store: { ...store, listRevoked }, secrets })
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const endpoint = revocationsEndpoint(tokens, { clients, rateLimit: false, pollSeconds: 0.05, onError, ...options })
  const get = (query = '', headers: Record<string, string> = {}) =>
    send(endpoint, {
      method: 'GET',
      url: `/auth/revocations${query}`,
      headers: { authorization: basic('rs', RS_SECRET), ...headers },
    })
  async function revokeOne(): Promise<string> {
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    await tokens.revoke({ refreshToken })
    return family.id
  }
  return { tokens, state, errors, endpoint, get, revokeOne }
}

const sidsOf = (body: Record<string, unknown>) => (body['revoked'] as { sid: string }[]).map(({ sid }) => sid)

describe('revocationsEndpoint', () => {
  test('lists revoked sessions to a resource server, and continues from its cursor', async () => {
    const { get, revokeOne } = setup()
    const first = await revokeOne()
    const page = await get()
    expect(page).toMatchObject({ status: 200, body: { has_more: false } })
    expect(sidsOf(page.body)).toEqual([first])
    expect(page.header('cache-control')).toBe('no-store')
    const second = await revokeOne()
    const since = String(page.body['cursor'])
    expect(sidsOf((await get(`?since=${since}`)).body)).toEqual([second])
  })

  test('rejects clients that are not authenticated or no resource servers', async () => {
    const { get, endpoint } = setup()
    const headers = { authorization: '' }
    expectError(await send(endpoint, { method: 'GET', url: '/auth/revocations' }), 401, 'invalid_client')
    expectError(await get('', { authorization: basic('rs', 'wrong') }), 401, 'invalid_client')
    expectError(await get('?client_id=pub', headers), 401, 'invalid_client')
    expectError(await get(`?client_id=rs&client_secret=${RS_SECRET}`, headers), 401, 'invalid_client')
    expectError(await get('', { authorization: basic('cb', CB_SECRET) }), 403, 'access_denied')
    expectError(await send(endpoint, { method: 'POST' }), 405, 'invalid_request')
  })

  test('rejects numbers of seconds that are not valid', async () => {
    const { get } = setup()
    for (const query of ['?wait=-1', '?wait=x', '?max_age=1.5', '?wait=99999999'])
      expectError(await get(query), 400, 'invalid_request')
  })

  test('responds with 304 if nothing follows the cursor that If-None-Match names', async () => {
    const { get, revokeOne } = setup()
    await revokeOne()
    const page = await get()
    const since = String(page.body['cursor'])
    const etag = page.header('etag') ?? ''
    expect(etag).toBe(`"${since}"`)
    expect(await get(`?since=${since}`, { 'if-none-match': etag })).toMatchObject({ status: 304 })
    await revokeOne()
    expect(await get(`?since=${since}`, { 'if-none-match': etag })).toMatchObject({ status: 200 })
  })

  test('begins again for a cursor that is not valid', async () => {
    const { get, revokeOne } = setup()
    const sid = await revokeOne()
    expect(sidsOf((await get('?since=of-another-store')).body)).toEqual([sid])
  })

  test('a request that waits is sent the next revocation, and several at once', async () => {
    const { get, revokeOne } = setup({ maxWaitSeconds: 30 })
    const since = String((await get()).body['cursor'])
    const waiting = Promise.all([1, 2, 3].map(() => get(`?since=${since}&wait=30`)))
    const sid = await revokeOne()
    for (const { body } of await waiting) expect(sidsOf(body)).toEqual([sid])
  })

  test('a request that waits ends at maxWaitSeconds, and when shutdown is aborted', async () => {
    const shutdown = new AbortController()
    const { get } = setup({ maxWaitSeconds: 1, shutdown: shutdown.signal })
    const since = String((await get()).body['cursor'])
    expect(sidsOf((await get(`?since=${since}&wait=1`)).body)).toEqual([])
    const waiting = get(`?since=${since}&wait=1`)
    shutdown.abort()
    expect(sidsOf((await waiting).body)).toEqual([])
  })

  test('responds with 503 if the store fails, also to a request that waits', async () => {
    const { get, state, errors } = setup({ maxWaitSeconds: 30 })
    const since = String((await get()).body['cursor'])
    const waiting = get(`?since=${since}&wait=30`)
    await new Promise(setImmediate)
    state.isDown = true
    expect(await waiting).toMatchObject({ status: 503 })
    expectError(await get(), 503, 'temporarily_unavailable')
    expect(errors.length).toBeGreaterThan(0)
  })

  test('is one of the endpoints of authServer', async () => {
    const { tokens, revokeOne } = setup()
    const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
    const server = authServer(tokens, { accessTokens, clients, rateLimit: false })
    const sid = await revokeOne()
    const response = await send(server.endpoint, {
      method: 'GET',
      url: '/auth/revocations',
      headers: { authorization: basic('rs', RS_SECRET) },
    })
    expect(sidsOf(response.body)).toEqual([sid])
  })
})

describe('remoteRevocations', () => {
  async function listen(endpoint: ReturnType<typeof revocationsEndpoint>, port = 0) {
    const server: Server = createServer(toNodeHandler(endpoint))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    const stop = async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
    closing.push(stop)
    return { stop, port: (server.address() as AddressInfo).port }
  }

  function follow(
    port: number,
    options: Partial<RemoteRevocationsOptions> = {},
  ): RevokedSessions & { errors: unknown[] } {
    const errors: unknown[] = []
    const sessions = remoteRevocations({
      url: `http://127.0.0.1:${String(port)}/auth/revocations`,
      clientId: 'rs',
      clientSecret: RS_SECRET,
      maxAccessTokenSeconds: 900,
      whenUnavailable: 'reject',
      onError: (error) => errors.push(error),
      ...options,
    })
    closing.push(() => sessions.close())
    return { ...sessions, errors }
  }

  const untilRevoked = (sessions: RevokedSessions, sid: string, timeout = 10_000) =>
    vi.waitFor(() => expect(sessions.statusOf(sid)).toBe('revoked'), { timeout, interval: 10 })

  test('knows the sessions that were revoked before and after it started', async () => {
    const { endpoint, revokeOne } = setup()
    const { port } = await listen(endpoint)
    const before = await revokeOne()
    const sessions = follow(port)
    expect(sessions.statusOf(before)).toBe('unknown')
    await sessions.ready()
    expect([sessions.statusOf(before), sessions.statusOf('another')]).toEqual(['revoked', 'active'])
    await untilRevoked(sessions, await revokeOne())
    expect(sessions.ageSeconds()).toBeLessThan(20)
  })

  test('misses no revocation while the server is down and restarted', async () => {
    const { endpoint, revokeOne } = setup()
    const { port, stop } = await listen(endpoint)
    const sessions = follow(port)
    await sessions.ready()
    await untilRevoked(sessions, await revokeOne())
    await stop()
    const missed = [await revokeOne(), await revokeOne()]
    await vi.waitFor(() => expect(sessions.errors.length).toBeGreaterThan(0), { timeout: 10_000 })
    await listen(endpoint, port)
    for (const sid of missed) await untilRevoked(sessions, sid)
  })

  test('rejects a response that is not a list of revoked sessions, and remains unknown', async () => {
    for (const body of [
      '{}',
      '{"revoked":[{}],"cursor":"c","has_more":false}',
      '{"revoked":[],"cursor":1,"has_more":false}',
      '<html>',
    ]) {
      const { port } = await listen(async () => ({ status: 200, headers: [], body }))
      const sessions = follow(port)
      await vi.waitFor(() => expect(sessions.errors.length).toBeGreaterThan(0), { timeout: 10_000 })
      expect(sessions.errors[0]).toMatchObject({ name: 'IssuerError' })
      expect(sessions.statusOf('any')).toBe('unknown')
    }
  })

  test('sends the secret in no URL and accepts https or loopback URLs only', () => {
    expect(() => follow(1, { url: 'http://login.example/auth/revocations' })).toThrow(
      /^option "url" must be an https URL/,
    )
  })
})
