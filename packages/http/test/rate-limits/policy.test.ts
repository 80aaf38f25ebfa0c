import { memoryStore } from '@baton/store-memory'
import { createRefreshTokens } from '@baton/core'
import { startRedis } from '@baton/test-servers'
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  authorizationCodes,
  authServer,
  type ClientRegistry,
  type Endpoint,
  generateSigningKey,
  hashClientSecret,
  introspectionEndpoint,
  jwtAccessTokens,
  loginEndpoint,
  type LoginOptions,
  rateLimits,
  type RateLimitsOptions,
  sessionsEndpoint,
} from '../../src/index.js'
import { createProver } from '../proof-of-possession/dpop/prover.js'
import {
  basic,
  CB_SECRET,
  CLIENTS,
  CX_SECRET,
  expectError,
  FORM_TYPE,
  fromPage,
  readableAccessTokens,
  MINUTE,
  post,
  refreshWith,
  type RequestPatch,
  send,
  START,
  createSetup,
  type WorldOptions,
} from '../setup.js'

afterEach(() => {
  vi.useRealTimers()
})

const times = (count: number) => Array.from({ length: count }, (_, index) => index)
const from = (index: number) => ({ remoteAddress: `198.51.${String(index >> 8)}.${String(index & 255)}` })
const statusesOf = (responses: readonly { readonly status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of responses) counts[status] = (counts[status] ?? 0) + 1
  return counts
}
async function inOrder<Result>(count: number, run: (index: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = []
  for (const index of times(count)) results.push(await run(index))
  return results
}

/** Lets other requests run in between, as a database call does. */
const elsewhere = () => new Promise((resolve) => setImmediate(resolve))

const PASSWORDS: Readonly<Record<string, string>> = { alice: 'wonderland', bob: 'builder' }

/** Creates all endpoints with an asynchronous login, and records its calls. */
function server(options: RateLimitsOptions = {}, more: Partial<WorldOptions> = {}) {
  const limits = rateLimits(options)
  const setup = createSetup({ rateLimit: limits, ...more })
  const { tokens, clock } = setup
  const attempts: unknown[] = []
  const authenticate: LoginOptions['authenticate'] = async ({ username, password }) => {
    attempts.push(username)
    await elsewhere()
    const subject = String(username)
    return (PASSWORDS[subject] ?? 'secret') === password ? { subject, clientId: 'pub' } : null
  }
  const accessTokens = readableAccessTokens()
  const login = loginEndpoint(tokens, {
    accessTokens,
    authenticate,
    accountName: ({ username }) => username,
    rateLimit: limits,
    now: () => clock.now,
  })
  const signIn = (username: string, password = PASSWORDS[username] ?? 'secret', patch: RequestPatch = {}) =>
    send(login, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password }),
      ...patch,
    })
  const introspect = introspectionEndpoint(tokens, { clients: CLIENTS, rateLimit: limits, now: () => clock.now })
  const sessions = sessionsEndpoint(tokens, {
    accessTokens,
    sessionsScope: 'a',
    rateLimit: limits,
    now: () => clock.now,
  })
  const asCb = (secret: string, patch: RequestPatch = {}) =>
    post(setup.revoke, { token: 'x' }, { headers: { authorization: basic('cb', secret) }, ...patch })
  return { ...setup, limits, attempts, signIn, introspect, sessions, asCb }
}

/** A registry that responds later. */
const slowClients = (): ClientRegistry => ({
  async find(clientId) {
    await elsewhere()
    return clientId === 'cb' ? { clientId, secretHashes: [hashClientSecret(CB_SECRET)] } : null
  },
})

const inMemory: RateLimitsOptions['createLimiter'] = (options) => new RateLimiterMemory(options)

describe.each([
  ['counted in this process', undefined],
  ['counted by a shared limiter', inMemory],
] as const)('concurrent authentication, %s', (_name, createLimiter) => {
  const shared = createLimiter === undefined ? {} : { createLimiter }

  test('checks only as many of 500 concurrent wrong passwords as the limit allows', async () => {
    const { signIn, attempts } = server({ points: 10_000, ...shared })
    const responses = await Promise.all(times(500).map(() => signIn('alice', 'wrong')))
    expect(statusesOf(responses)).toEqual({ 401: 10, 429: 490 })
    expect(attempts).toHaveLength(10)
  })

  test('checks only as many of 500 concurrent wrong passwords as the limit allows if the app names no account', async () => {
    let checked = 0
    const login = loginEndpoint(createSetup().tokens, {
      accessTokens: readableAccessTokens(),
      rateLimit: rateLimits({ points: 10_000, ...shared }),
      async authenticate() {
        checked += 1
        await elsewhere()
        return null
      },
    })
    const json = { headers: { 'content-type': 'application/json' }, body: '{}' }
    expect(statusesOf(await Promise.all(times(500).map(() => send(login, json))))).toEqual({ 401: 10, 429: 490 })
    expect(checked).toBe(10)
  })

  test('does not accept a right secret after the limit among 500 concurrent wrong ones', async () => {
    const { asCb } = server({ points: 10_000, ...shared }, { clients: slowClients() })
    const guesses = times(500).map((index) => asCb(index === 400 ? CB_SECRET : `wrong ${String(index)}`))
    expect(statusesOf(await Promise.all(guesses))).toEqual({ 401: 10, 429: 490 })
  })

  test('accepts 500 concurrent right secrets', async () => {
    const { asCb } = server(shared, { clients: slowClients() })
    expect(statusesOf(await Promise.all(times(500).map(() => asCb(CB_SECRET))))).toEqual({ 200: 500 })
  })

  test('accepts 500 concurrent right passwords', async () => {
    const { signIn } = server(shared)
    const responses = await Promise.all(times(500).map((index) => signIn(`user ${String(index % 20)}`)))
    expect(statusesOf(responses)).toEqual({ 200: 500 })
  })

  test('does not count a check that fails because of an outage', async () => {
    const clients = { find: () => Promise.reject(new Error('the registry is down')) }
    const { asCb } = server(shared, { clients })
    expect(statusesOf(await inOrder(30, () => asCb('wrong')))).toEqual({ 503: 30 })
  })
})

test('two processes with one Redis accept at most the limit of wrong guesses, and all right ones', async () => {
  const redis = await startRedis()
  const client = redis.connect()
  try {
    const createLimiter: RateLimitsOptions['createLimiter'] = (options) =>
      new RateLimiterRedis({ storeClient: client, ...options })
    const processes = times(2).map(() => server({ points: 10_000, createLimiter }, { clients: slowClients() }))
    const all = (secret: string, patch: RequestPatch) =>
      Promise.all(times(250).flatMap(() => processes.map(({ asCb }) => asCb(secret, patch))))
    expect(statusesOf(await all(CB_SECRET, from(1)))).toEqual({ 200: 500 })
    expect(statusesOf(await all('wrong', from(2)))).toEqual({ 401: 10, 429: 490 })
    expect(statusesOf(await all(CB_SECRET, from(1)))).toEqual({ 200: 500 })
  } finally {
    await client.quit()
    await redis.stop()
  }
})

describe('separate limits', () => {
  test('does not count requests with another client or key for a family', async () => {
    const { token, issue, clock } = server({ points: 5 })
    const [owner, otherClient] = [await createProver(() => clock.now), await createProver(() => clock.now)]
    const bound = await issue({ confirmation: owner.confirmation })
    const unbound = await issue()
    const proven = async (prover: typeof owner, patch: RequestPatch = {}) => ({
      ...patch,
      headers: { dpop: await prover.prove() },
    })
    // From the address of the user and from others.
    for (const index of times(30)) {
      const patch = index % 2 === 0 ? {} : from(index)
      const responses = [
        await refreshWith(token, unbound, { client_id: 'pub2' }, patch),
        await post(
          token,
          { grant_type: 'refresh_token', refresh_token: unbound },
          { ...patch, headers: { authorization: basic('cx', CX_SECRET) } },
        ),
        await refreshWith(token, bound, {}, await proven(otherClient, patch)),
        await refreshWith(token, bound, {}, patch),
      ]
      expect(responses.every(({ status }) => status === 400 || status === 429)).toBe(true)
    }
    expect((await refreshWith(token, unbound)).status).toBe(200)
    expect((await refreshWith(token, bound, {}, await proven(owner))).status).toBe(200)
  })

  test('does not count requests with the cookie of another client for a family', async () => {
    const { token, refreshCookie, issue } = server({ points: 5 })
    const refreshToken = await issue()
    for (const index of times(20)) await send(refreshCookie, fromPage(refreshToken, from(index)))
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })

  test('does not count uses of an access token for its family', async () => {
    const { token, sessions, issue } = server({ points: 5 })
    const { body } = await refreshWith(token, await issue())
    const list = (index: number) =>
      send(sessions, {
        method: 'GET',
        url: '/auth/sessions',
        headers: { authorization: `Bearer ${String(body.access_token)}` },
        ...from(index),
      })
    expect(statusesOf(await inOrder(7, list))).toEqual({ 200: 5, 429: 2 })
    expect((await refreshWith(token, body.refresh_token)).status).toBe(200)
  })

  test('does not lock out a client by wrong secrets from other addresses, nor other clients from the same address', async () => {
    const { asCb, revoke } = server()
    await inOrder(30, (index) => asCb('wrong', from(index % 3)))
    expect((await asCb(CB_SECRET)).status).toBe(200)
    await inOrder(30, () => asCb('wrong'))
    const asCx = { headers: { authorization: basic('cx', CX_SECRET) } }
    expect((await post(revoke, { token: 'x' }, asCx)).status).toBe(200)
  })

  test('does not lock out a user by wrong passwords from other addresses, nor other users from the same address', async () => {
    const { signIn } = server()
    await inOrder(60, (index) => signIn('alice', 'wrong', from(index % 3)))
    expect((await signIn('alice')).status).toBe(200)
    expect(statusesOf(await inOrder(90, () => signIn('alice', 'wrong')))).toEqual({ 401: 10, 429: 80 })
    expect((await signIn('bob')).status).toBe(200)
    // All spellings of the name belong to the same account.
    expect((await signIn(' ALICE', 'wrong')).status).toBe(429)
  })

  test('limits an address that tries many accounts and no other address', async () => {
    const { signIn } = server()
    const guesses = await inOrder(150, (index) => signIn(`user ${String(index)}`, 'wrong'))
    expect(statusesOf(guesses)).toEqual({ 401: 100, 429: 50 })
    expect((await signIn('alice', 'wonderland', from(1))).status).toBe(200)
  })

  test('does not lock out other clients at an address by unauthenticated requests', async () => {
    const { token, revoke, refreshCookie, logout, introspect, asCb, codes, issue } = server()
    const [first, second, third] = [await issue(), await issue(), await issue({ clientId: 'first-party' })]
    const verifier = 'v'.repeat(43)
    const code = codes.issue({
      subject: 'alice',
      clientId: 'pub',
      scope: 'a',
      redirectUri: null,
      codeChallenge: 'HUSx34l6ESc4Fm1FYM4lOCnBj4BwJKZ3g1v8zCgsYZc',
    })
    expect(statusesOf(await inOrder(100, () => refreshWith(token, 'nonsense')))).toEqual({ 400: 60, 429: 40 })
    expect((await refreshWith(token, first)).status).toBe(200)
    expect((await post(revoke, { client_id: 'pub', token: second })).status).toBe(200)
    const refreshed = await send(refreshCookie, fromPage(third))
    expect(refreshed.status).toBe(200)
    const next = /^__Host-baton=([^;]*)/.exec(refreshed.header('set-cookie') ?? '')?.[1] ?? ''
    expect((await send(logout, fromPage(next))).status).toBe(204)
    expect((await asCb(CB_SECRET)).status).toBe(200)
    const asCx = { headers: { authorization: basic('cx', CX_SECRET) } }
    expect((await post(introspect, { token: 'x' }, asCx)).body).toEqual({ active: false })
    // A code of this server is checked. Any other code is rate-limited.
    const exchange = { grant_type: 'authorization_code', client_id: 'pub', code_verifier: verifier }
    expectError(await post(token, { ...exchange, code }), 400, 'invalid_grant')
    expectError(await post(token, { ...exchange, code: 'nonsense' }), 429, 'too_many_requests')
  })
})

describe('limits of unauthenticated requests', () => {
  const issuer = 'https://as.example'
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['s'.repeat(32)] })
  const { routes } = authServer(tokens, {
    issuer,
    accessTokens: jwtAccessTokens({ issuer, audience: issuer, keys: [generateSigningKey()] }),
    codes: authorizationCodes(tokens, { issuer, secrets: ['c'.repeat(32)] }),
    authorizationEndpoint: `${issuer}/authorize`,
    clients: CLIENTS,
    cookie: true,
    authenticate: async () => null,
  })
  /** Public documents cost nothing. */
  const isPublic = (route: string) => route === 'jwks' || route === 'metadata'
  const endpoints = routes
    .filter(({ route }) => !isPublic(route))
    .flatMap(({ paths, endpoint }) => paths.map((path): [string, Endpoint] => [path, endpoint]))
  let addressIndex = 0

  test.each(endpoints)('limits unauthenticated requests to %s', async (path, endpoint) => {
    const method = /(sessions|revocations)$/.test(path) ? 'GET' : path.endsWith(':id') ? 'DELETE' : 'POST'
    const bodies = [
      ['', FORM_TYPE],
      ['token=x&client_id=pub&grant_type=refresh_token&refresh_token=x', FORM_TYPE],
      ['token=x&client_id=unknown', FORM_TYPE],
      ['{}', 'application/json'],
    ] as const
    for (const [body, type] of bodies) {
      addressIndex += 1
      const ask = () =>
        send(endpoint, {
          ...fromPage(null, from(addressIndex)),
          method,
          url: path,
          body,
          headers: { ...fromPage(null).headers, 'content-type': type },
        })
      const responses = await inOrder(70, ask)
      expect(responses.slice(0, 10).filter(({ status }) => status === 429)).toEqual([])
      expect(statusesOf(responses.slice(60))).toEqual({ 429: 10 })
    }
  })
})

describe('limits of authenticated requests', () => {
  test('accepts 300 requests of an authenticated client although other requests have exhausted the limit of the address', async () => {
    const { asCb, token, introspect } = server()
    const ask = (index: number) =>
      index % 2 === 0
        ? asCb(CB_SECRET)
        : post(introspect, { token: 'x' }, { headers: { authorization: basic('cx', CX_SECRET) } })
    expect(statusesOf(await inOrder(300, ask))).toEqual({ 200: 300 })
    await inOrder(70, () => refreshWith(token, 'nonsense'))
    expect(statusesOf(await inOrder(300, ask))).toEqual({ 200: 300 })
  })

  test('accepts logins and refreshes of 1000 users behind one address', async () => {
    const { signIn, token } = server()
    const users = times(1000).map((index) => `user ${String(index)}`)
    const use = async (user: string) => {
      const signedIn = await signIn(user)
      const refreshed = await refreshWith(token, signedIn.body.refresh_token)
      return [signedIn, refreshed]
    }
    expect(statusesOf((await Promise.all(users.map(use))).flat())).toEqual({ 200: 2000 })
  })

  test('limits each address to requestsPerAddress, but not authenticated clients', async () => {
    const { token, asCb, issue } = server({ requestsPerAddress: 20 })
    const tokens = await inOrder(25, () => issue())
    const refreshes = await inOrder(25, (index) => refreshWith(token, tokens[index] ?? ''))
    expect(statusesOf(refreshes)).toEqual({ 200: 20, 429: 5 })
    expect((await refreshWith(token, tokens[24] ?? '', {}, from(1))).status).toBe(200)
    expect(statusesOf(await inOrder(50, () => asCb(CB_SECRET, from(2))))).toEqual({ 200: 50 })
  })
})

test('does not extend a window if the wall clock is set back', async () => {
  vi.useFakeTimers({ now: START })
  const { token } = server({ points: 1 })
  const refresh = () => refreshWith(token, 'nonsense')
  expect((await refresh()).status).toBe(400)
  vi.setSystemTime(START - 60 * MINUTE)
  expect((await refresh()).header('retry-after')).toBe('60')
  vi.advanceTimersByTime(MINUTE)
  expect((await refresh()).status).toBe(400)
})
