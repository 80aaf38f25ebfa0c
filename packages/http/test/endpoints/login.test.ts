import { CookieJar } from 'tough-cookie'
import { describe, expect, it } from 'vitest'
import {
  LoginRequestError,
  loginEndpoint,
  type LoginOptions,
  rateLimits,
  refreshEndpoint,
  type SignIn,
} from '../../src/index.js'
import { createApp, headerOf, headersOf, jsonOf, request, type RequestParts } from '../app.js'

const PEOPLE: Readonly<Record<string, string>> = { alice: 'wonderland', bob: 'builder' }

function loginApp(options: Partial<LoginOptions> = {}, reply: Partial<SignIn> = {}) {
  const app = createApp()
  const authenticate: LoginOptions['authenticate'] = async ({ username, password, scope }) => {
    if (typeof username !== 'string' || typeof password !== 'string')
      throw new LoginRequestError('username or password is missing')
    if (PEOPLE[username] !== password) return null
    return { subject: username, ...(typeof scope === 'string' ? { scope } : {}), ...reply }
  }
  const login = loginEndpoint(app.tokens, { ...app.shared, accessTokens: app.accessTokens, authenticate, ...options })
  const signIn = (parts: RequestParts & { as?: string } = {}) => {
    const { as = 'alice', ...others } = parts
    return login(request({ json: { username: as, password: PEOPLE[as] }, ...others }))
  }
  const families = async (subject: string) => (await app.tokens.list({ subject })).items
  return { ...app, login, signIn, families }
}

const cookieOf = (response: Parameters<typeof headersOf>[0]) => headerOf(response, 'set-cookie')?.split(';')[0] ?? ''

describe('valid credentials', () => {
  it('S-01 S-02: starts a session and responds like a refresh', async () => {
    const { signIn, families, accessTokens, clock } = loginApp()
    const response = await signIn({ json: { username: 'alice', password: 'wonderland', scope: 'read write' } })
    const [family] = await families('alice')
    expect(response.status).toBe(200)
    expect(headerOf(response, 'content-type')).toBe('application/json')
    expect(headerOf(response, 'cache-control')).toBe('no-store')
    expect(headersOf(response, 'set-cookie')).toEqual([])
    const body = jsonOf(response)
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 900,
      refresh_token: expect.stringMatching(/^brt_/),
      scope: 'read write',
    })
    expect(await accessTokens.verify(body.access_token, clock.now)).toMatchObject({
      sub: 'alice',
      sid: family?.id,
      scope: 'read write',
    })
  })

  it('returns a refresh token that the refresh endpoint accepts', async () => {
    const { signIn, tokens } = loginApp()
    const { refresh_token: refreshToken } = jsonOf(await signIn())
    expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true, family: { subject: 'alice' } })
  })

  it('S-07: omits empty members of the login response', async () => {
    const { signIn } = loginApp()
    expect(Object.keys(jsonOf(await signIn())).sort()).toEqual([
      'access_token',
      'expires_in',
      'refresh_token',
      'token_type',
    ])
  })

  it('applies the defaults, and uses the client that authenticate returns', async () => {
    const { signIn, families } = loginApp({ defaults: { clientId: 'web', scope: 'read' } })
    await signIn()
    expect(await families('alice')).toMatchObject([{ clientId: 'web', scope: 'read', offline: false }])
    const other = loginApp({ defaults: { clientId: 'web' } }, { clientId: 'other', audience: ['https://api.example'] })
    await other.signIn()
    expect(await other.families('alice')).toMatchObject([{ clientId: 'other', audience: ['https://api.example'] }])
  })

  it('applies the offline limits for offline_access', async () => {
    const { signIn, families, tokens } = loginApp({ defaults: { scope: 'read offline_access' } })
    await signIn()
    const [family] = await families('alice')
    expect(family).toMatchObject({ offline: true, scope: 'read offline_access' })
    expect((family?.absoluteExpiresAt ?? 0) - (family?.createdAt ?? 0)).toBe(tokens.policy.offline.absoluteMs)
  })

  it('stores the user agent, truncated if needed, unless the app stores metadata', async () => {
    const { signIn, families } = loginApp()
    await signIn({ headers: { 'user-agent': 'x'.repeat(9000) } })
    expect((await families('alice'))[0]?.metadata).toEqual({ userAgent: 'x'.repeat(512) })
    const own = loginApp({}, { metadata: { device: 'phone' } })
    await own.signIn({ headers: { 'user-agent': 'x' } })
    expect((await own.families('alice'))[0]?.metadata).toEqual({ device: 'phone' })
  })

  it('includes the claims of authenticate in the first access token', async () => {
    const { signIn, accessTokens, clock } = loginApp({}, { claims: { roles: ['admin'], sub: 'mallory' } })
    const { access_token: jwt } = jsonOf(await signIn())
    expect(await accessTokens.verify(jwt, clock.now)).toMatchObject({ roles: ['admin'], sub: 'alice' })
  })

  it('S-04: binds both tokens to the confirmation that authenticate returns', async () => {
    const { signIn, families, accessTokens, clock } = loginApp({}, { confirmation: { jkt: 'thumbprint' } })
    const body = jsonOf(await signIn())
    expect(body.token_type).toBe('DPoP')
    expect(await accessTokens.verify(body.access_token, clock.now)).toMatchObject({ cnf: { jkt: 'thumbprint' } })
    expect((await families('alice'))[0]?.confirmation).toEqual({ jkt: 'thumbprint' })
  })

  it('M-04 S-04: binds both tokens to a certificate, and the access token is used like a bearer token', async () => {
    const { signIn, families, accessTokens, clock } = loginApp({}, { confirmation: { 'x5t#S256': 'thumbprint' } })
    const body = jsonOf(await signIn())
    expect(body.token_type).toBe('Bearer')
    const claims = await accessTokens.verify(body.access_token, clock.now)
    expect(claims).toMatchObject({ cnf: { 'x5t#S256': 'thumbprint' } })
    expect((await families('alice'))[0]?.confirmation).toEqual({ 'x5t#S256': 'thumbprint' })
  })

  it('X-06: limits the access token and the cookie to the lifetime of the family, even if the check takes long', async () => {
    const app = createApp({ policy: { idleSeconds: null, absoluteSeconds: 600 } })
    const authenticate = async () => {
      app.clock.now += 20_000
      return { subject: 'alice' }
    }
    const login = loginEndpoint(app.tokens, {
      ...app.shared,
      accessTokens: app.accessTokens,
      authenticate,
      cookie: true,
    })
    const response = await login(request({ json: {} }))
    const { access_token: jwt, expires_in: expiresIn } = jsonOf(response)
    expect(expiresIn).toBe(600)
    expect(headerOf(response, 'set-cookie')).toContain('Max-Age=600;')
    expect((await app.accessTokens.verify(jwt, app.clock.now))?.exp).toBe(Math.floor(app.clock.now / 1000) + 600)
  })
})

describe('rejected logins', () => {
  const nothing = async ({ families, events }: ReturnType<typeof loginApp>) => {
    expect(await families('alice')).toEqual([])
    expect(events.filter(({ type }) => type === 'issued')).toEqual([])
  }

  it('responds to a wrong password with 401 and a separate error, without a logout and without a password dialog of the browser', async () => {
    const app = loginApp({ cookie: true })
    for (const json of [
      { username: 'alice', password: 'x' },
      { username: 'unknown', password: 'wonderland' },
    ]) {
      const response = await app.signIn({ json })
      expect([response.status, jsonOf(response).error]).toEqual([401, 'invalid_credentials'])
      expect(headersOf(response, 'www-authenticate')).toEqual(['Bearer'])
      expect(headersOf(response, 'set-cookie')).toEqual([])
    }
    await nothing(app)
  })

  it('responds to a LoginRequestError with 400 and its message in valid characters', async () => {
    const app = loginApp()
    const response = await app.signIn({ json: { username: 7 } })
    expect([response.status, jsonOf(response)]).toEqual([
      400,
      { error: 'invalid_request', error_description: 'username or password is missing' },
    ])
    const failingApp = loginApp({ authenticate: () => Promise.reject(new LoginRequestError('say "é"\r\n')) })
    expect(jsonOf(await failingApp.signIn()).error_description).toBe('say ?????')
    await nothing(app)
  })

  it.each<[string, RequestParts, number]>([
    ['another method', { method: 'GET' }, 405],
    ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 400],
    ['text, which a form elsewhere can send', { headers: { 'content-type': 'text/plain' } }, 400],
    ['no type', { headers: { 'content-type': [] } }, 400],
    ['two types', { headers: { 'content-type': ['application/json', 'text/plain'] } }, 400],
    ['broken JSON', { body: '{"username":' }, 400],
    ['a list', { body: '[]' }, 400],
    ['null', { body: 'null' }, 400],
    ['nothing', { body: '' }, 400],
    ['too much', { body: `{"username":"${'x'.repeat(70_000)}"}` }, 413],
  ])('rejects an invalid request: %s', async (_, parts, status) => {
    const app = loginApp()
    const response = await app.signIn(parts)
    expect(response.status).toBe(status)
    expect(jsonOf(response).error).toBe('invalid_request')
    expect(headerOf(response, 'cache-control')).toBe('no-store')
    await nothing(app)
  })

  it('treats the names of built-in object members like any other', async () => {
    const seen: unknown[] = []
    const app = loginApp({
      authenticate: async (input) => {
        seen.push(input['password'], Object.keys(input))
        return null
      },
    })
    await app.signIn({ body: '{"__proto__":{"password":"x"},"constructor":1}' })
    expect(seen).toEqual([undefined, ['__proto__', 'constructor']])
  })

  it('rejects an invalid or oversized scope as invalid_scope', async () => {
    const app = loginApp()
    for (const scope of ['a  b', ' a', 'a"b', 'é', 'x'.repeat(5000)]) {
      const response = await app.signIn({ json: { username: 'alice', password: 'wonderland', scope } })
      expect([response.status, jsonOf(response).error]).toEqual([400, 'invalid_scope'])
    }
    await nothing(app)
  })

  it('E-04: responds with 503 and Retry-After during an outage of the user database or the store', async () => {
    const app = loginApp({ authenticate: () => Promise.reject(new Error('no database')) })
    const first = await app.signIn()
    expect([first.status, jsonOf(first).error]).toEqual([503, 'temporarily_unavailable'])
    expect(headerOf(first, 'retry-after')).toBe('1')
    expect(app.errors).toMatchObject([{ code: 'hook_failed', cause: { message: 'no database' } }])
    const other = loginApp()
    other.outage.of.add('create')
    expect((await other.signIn()).status).toBe(503)
  })

  it('responds to a configuration error with 500 and reports it', async () => {
    const app = loginApp({}, { subject: '' })
    expect((await app.signIn()).status).toBe(500)
    expect(app.errors).toMatchObject([{ name: 'ConfigurationError', option: 'subject' }])
    const cookieless = loginApp({}, { deliver: 'cookie' })
    expect((await cookieless.signIn()).status).toBe(500)
    expect(cookieless.errors).toMatchObject([{ name: 'ConfigurationError', option: 'cookie' }])
    await nothing(cookieless)
  })

  it('starts no session if the access token cannot be created', async () => {
    const app = loginApp({ accessTokens: () => Promise.reject(new Error('no key service')) })
    expect((await app.signIn()).status).toBe(503)
    expect(await app.families('alice')).toEqual([])
  })
})

describe('login with a cookie', () => {
  it('H-03: sets the refresh token in a cookie that strict cookie jars store, and not in the body', async () => {
    const { signIn, families, tokens } = loginApp({ cookie: true })
    const response = await signIn()
    const [family] = await families('alice')
    const body = jsonOf(response)
    expect(body).not.toHaveProperty('refresh_token')
    expect(body.sid).toBe(family?.id)
    const [expired, header = '', ...others] = headersOf(response, 'set-cookie')
    expect(expired).toBe('__Host-baton=; Max-Age=0; Path=/; HttpOnly; Secure; Partitioned; SameSite=None')
    expect(others).toEqual([])
    const jar = new CookieJar(undefined, { prefixSecurity: 'strict' })
    const cookie = await jar.setCookie(header, 'https://app.example/auth/login')
    expect(cookie).toMatchObject({
      key: '__Host-baton',
      path: '/',
      secure: true,
      httpOnly: true,
      sameSite: 'strict',
      maxAge: Math.floor((tokens.policy.idleMs ?? 0) / 1000),
    })
    expect(header).not.toMatch(/domain/i)
    expect(await tokens.inspect(cookie?.value ?? '')).toMatchObject({ active: true })
  })

  it('starts a session of the client of the cookie, so that the cookie refresh accepts it', async () => {
    const { signIn, tokens, accessTokens, shared } = loginApp({ cookie: { clientId: 'pages' } }, { clientId: 'web' })
    const cookie = cookieOf(await signIn())
    const refresh = refreshEndpoint(tokens, { ...shared, accessTokens, cookie: { clientId: 'pages' } })
    const headers = { cookie, 'x-baton': '1', 'sec-fetch-site': 'same-origin' }
    expect((await refresh(request({ method: 'POST', headers }))).status).toBe(200)
  })

  it('lets authenticate choose the body instead of the cookie', async () => {
    const { signIn } = loginApp({ cookie: true }, { deliver: 'body' })
    const response = await signIn()
    expect(jsonOf(response).refresh_token).toMatch(/^brt_/)
    expect(headersOf(response, 'set-cookie')).toEqual([])
  })

  it('revokes only the earlier session of the cookie, as replaced', async () => {
    const { signIn, families, events } = loginApp({ cookie: true })
    const elsewhere = jsonOf(await signIn({ as: 'bob' })).sid
    const first = await signIn()
    const second = await signIn({ as: 'bob', headers: { cookie: cookieOf(first) } })
    expect(second.status).toBe(200)
    expect(await families('alice')).toEqual([])
    expect((await families('bob')).map(({ id }) => id).sort()).toEqual([elsewhere, jsonOf(second).sid].sort())
    expect(events.filter(({ type }) => type === 'revoked')).toMatchObject([
      { subject: 'alice', familyId: jsonOf(first).sid, reason: 'replaced' },
    ])
  })

  it('replaces a cookie without a session', async () => {
    const { signIn } = loginApp({ cookie: true })
    expect((await signIn({ headers: { cookie: '__Host-baton=rubbish' } })).status).toBe(200)
  })

  it('revokes no session if the login is rejected', async () => {
    const { signIn, families } = loginApp({ cookie: true })
    const cookie = cookieOf(await signIn())
    await signIn({ headers: { cookie }, json: { username: 'bob', password: 'x' } })
    await signIn({ headers: { cookie }, json: { username: 'bob', password: 'builder', scope: 'a  b' } })
    expect(await families('alice')).toHaveLength(1)
  })

  it('starts no session if the earlier one cannot be revoked, because a late response could switch the user', async () => {
    const app = loginApp({ cookie: true })
    const cookie = cookieOf(await app.signIn())
    app.outage.of.add('revoke')
    const response = await app.signIn({ as: 'bob', headers: { cookie } })
    expect(response.status).toBe(503)
    expect(headersOf(response, 'set-cookie')).toEqual([])
    app.outage.of.clear()
    expect(await app.families('alice')).toHaveLength(1)
  })
})

describe('H-05: login requests of other sites', () => {
  const own = 'https://app.example'
  const listed = 'https://other-app.example'
  const foreign = 'https://evil.example'
  it.each<[string | null, string | null, number]>([
    // Sec-Fetch-Site, Origin, status
    ['same-origin', own, 200],
    ['same-origin', null, 200],
    ['same-site', null, 403],
    ['same-site', foreign, 403],
    ['same-site', listed, 200],
    ['cross-site', null, 403],
    ['cross-site', foreign, 403],
    ['cross-site', own, 403],
    ['cross-site', listed, 200],
    ['none', null, 403],
    ['unheard-of', null, 200],
    ['unheard-of', foreign, 403],
    ['unheard-of', own, 200],
    [null, null, 200],
    [null, own, 200],
    [null, listed, 200],
    [null, foreign, 403],
    [null, 'null', 403],
    [null, 'http://app.example', 403],
    [null, `${own}:8443`, 403],
  ])('H-05: responds to Sec-Fetch-Site %s with Origin %s with status %i', async (site, origin, status) => {
    const { signIn, families } = loginApp({ cookie: { allowedOrigins: [listed] } })
    const headers = {
      ...(site === null ? {} : { 'sec-fetch-site': site }),
      ...(origin === null ? {} : { origin }),
    }
    const response = await signIn({ headers })
    expect(response.status).toBe(status)
    expect(await families('alice')).toHaveLength(status === 200 ? 1 : 0)
    expect(headersOf(response, 'set-cookie')).toHaveLength(status === 200 ? 2 : 0)
  })

  it('checks no origin for a login with the token in the body, which stores nothing in the browser', async () => {
    const { signIn } = loginApp()
    expect((await signIn({ headers: { 'sec-fetch-site': 'cross-site', origin: foreign } })).status).toBe(200)
  })
})

describe('login rate limits', () => {
  it('L-01 L-05: limits an address with failed logins before authenticate is called, and no other address', async () => {
    const app = loginApp({ rateLimit: rateLimits({ points: 100, failedAuthentications: 3 }) })
    const guess = (remoteAddress: string) => app.signIn({ json: { username: 'alice', password: 'x' }, remoteAddress })
    const statuses = []
    for (let index = 0; index < 5; index++) statuses.push((await guess('192.0.2.66')).status)
    expect(statuses).toEqual([401, 401, 401, 429, 429])
    const stopped = await app.signIn({ remoteAddress: '192.0.2.66' })
    expect([stopped.status, jsonOf(stopped).error]).toEqual([429, 'too_many_requests'])
    expect(Number(headerOf(stopped, 'retry-after'))).toBeGreaterThanOrEqual(1)
    expect((await app.signIn({ remoteAddress: '192.0.2.67' })).status).toBe(200)
  })

  it('does not count successful logins as failures', async () => {
    const app = loginApp({ rateLimit: rateLimits({ points: 100, failedAuthentications: 3 }) })
    for (let index = 0; index < 8; index++) expect((await app.signIn()).status).toBe(200)
  })

  it('L-05: counts every request for its address', async () => {
    const app = loginApp({ rateLimit: rateLimits({ points: 2 }) })
    const statuses = []
    for (let index = 0; index < 3; index++) statuses.push((await app.signIn()).status)
    expect(statuses).toEqual([200, 200, 429])
  })
})

it.each<[string, object]>([
  ['authenticate', { authenticate: undefined }],
  ['accessToken', { accessToken: {} }],
  ['cookie.name', { cookie: { name: 'a b' } }],
  ['defaults.scopes', { defaults: { scope: 'a', scopes: 'b' } }],
  ['cookies', { cookies: true }],
])('rejects an invalid option %s at construction', (option, bad) => {
  expect(() => loginApp(bad)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
})
