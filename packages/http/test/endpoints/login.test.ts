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

function loginApp(options: Partial<LoginOptions> = {}, answer: Partial<SignIn> = {}) {
  const app = createApp()
  const authenticate: LoginOptions['authenticate'] = async ({ username, password, scope }) => {
    if (typeof username !== 'string' || typeof password !== 'string')
      throw new LoginRequestError('username or password is missing')
    if (PEOPLE[username] !== password) return null
    return { subject: username, ...(typeof scope === 'string' ? { scope } : {}), ...answer }
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

describe('the right password', () => {
  it('S-01 S-02 starts a session and answers as a refresh does', async () => {
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

  it('gives a refresh token that works at the refresh endpoint', async () => {
    const { signIn, tokens } = loginApp()
    const { refresh_token: refreshToken } = jsonOf(await signIn())
    expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true, family: { subject: 'alice' } })
  })

  it('S-07 leaves out what there is none of', async () => {
    const { signIn } = loginApp()
    expect(Object.keys(jsonOf(await signIn())).sort()).toEqual([
      'access_token',
      'expires_in',
      'refresh_token',
      'token_type',
    ])
  })

  it('fills in the defaults, and takes the client that authenticate names', async () => {
    const { signIn, families } = loginApp({ defaults: { clientId: 'web', scope: 'read' } })
    await signIn()
    expect(await families('alice')).toMatchObject([{ clientId: 'web', scope: 'read', offline: false }])
    const other = loginApp({ defaults: { clientId: 'web' } }, { clientId: 'other', audience: ['https://api.example'] })
    await other.signIn()
    expect(await other.families('alice')).toMatchObject([{ clientId: 'other', audience: ['https://api.example'] }])
  })

  it('offline_access gives the session the offline limits', async () => {
    const { signIn, families, tokens } = loginApp({ defaults: { scope: 'read offline_access' } })
    await signIn()
    const [family] = await families('alice')
    expect(family).toMatchObject({ offline: true, scope: 'read offline_access' })
    expect((family?.absoluteExpiresAt ?? 0) - (family?.createdAt ?? 0)).toBe(tokens.policy.offline.absoluteMs)
  })

  it('keeps the user agent, however long it is, unless the app keeps something itself', async () => {
    const { signIn, families } = loginApp()
    await signIn({ headers: { 'user-agent': 'x'.repeat(9000) } })
    expect((await families('alice'))[0]?.metadata).toEqual({ userAgent: 'x'.repeat(512) })
    const own = loginApp({}, { metadata: { device: 'phone' } })
    await own.signIn({ headers: { 'user-agent': 'x' } })
    expect((await own.families('alice'))[0]?.metadata).toEqual({ device: 'phone' })
  })

  it('puts the claims of authenticate into the first access token', async () => {
    const { signIn, accessTokens, clock } = loginApp({}, { claims: { roles: ['admin'], sub: 'mallory' } })
    const { access_token: jwt } = jsonOf(await signIn())
    expect(await accessTokens.verify(jwt, clock.now)).toMatchObject({ roles: ['admin'], sub: 'alice' })
  })

  it('S-04 binds both tokens to a key that authenticate has seen proven', async () => {
    const { signIn, families, accessTokens, clock } = loginApp({}, { confirmation: { jkt: 'thumbprint' } })
    const body = jsonOf(await signIn())
    expect(body.token_type).toBe('DPoP')
    expect(await accessTokens.verify(body.access_token, clock.now)).toMatchObject({ cnf: { jkt: 'thumbprint' } })
    expect((await families('alice'))[0]?.confirmation).toEqual({ jkt: 'thumbprint' })
  })

  it('M-04 S-04 a certificate binds both tokens as well, and the access token is sent like any bearer token', async () => {
    const { signIn, families, accessTokens, clock } = loginApp({}, { confirmation: { 'x5t#S256': 'thumbprint' } })
    const body = jsonOf(await signIn())
    expect(body.token_type).toBe('Bearer')
    const claims = await accessTokens.verify(body.access_token, clock.now)
    expect(claims).toMatchObject({ cnf: { 'x5t#S256': 'thumbprint' } })
    expect((await families('alice'))[0]?.confirmation).toEqual({ 'x5t#S256': 'thumbprint' })
  })

  it('X-06 neither the access token nor the cookie outlives the family, however long the check took', async () => {
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

describe('anything else starts nothing', () => {
  const nothing = async ({ families, events }: ReturnType<typeof loginApp>) => {
    expect(await families('alice')).toEqual([])
    expect(events.filter(({ type }) => type === 'issued')).toEqual([])
  }

  it('a wrong password is 401 with an error of its own, which signs nobody out, and makes no browser ask for a password', async () => {
    const app = loginApp({ cookie: true })
    for (const json of [
      { username: 'alice', password: 'x' },
      { username: 'nobody', password: 'wonderland' },
    ]) {
      const response = await app.signIn({ json })
      expect([response.status, jsonOf(response).error]).toEqual([401, 'invalid_credentials'])
      expect(headersOf(response, 'www-authenticate')).toEqual(['Bearer'])
      expect(headersOf(response, 'set-cookie')).toEqual([])
    }
    await nothing(app)
  })

  it('LoginRequestError is 400 with its message, made legal', async () => {
    const app = loginApp()
    const response = await app.signIn({ json: { username: 7 } })
    expect([response.status, jsonOf(response)]).toEqual([
      400,
      { error: 'invalid_request', error_description: 'username or password is missing' },
    ])
    const rude = loginApp({ authenticate: () => Promise.reject(new LoginRequestError('say "é"\r\n')) })
    expect(jsonOf(await rude.signIn()).error_description).toBe('say ?????')
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
  ])('%s', async (_, parts, status) => {
    const app = loginApp()
    const response = await app.signIn(parts)
    expect(response.status).toBe(status)
    expect(jsonOf(response).error).toBe('invalid_request')
    expect(headerOf(response, 'cache-control')).toBe('no-store')
    await nothing(app)
  })

  it('names that objects have by birth are members like others', async () => {
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

  it('a scope that breaks the grammar or is endless is invalid_scope', async () => {
    const app = loginApp()
    for (const scope of ['a  b', ' a', 'a"b', 'é', 'x'.repeat(5000)]) {
      const response = await app.signIn({ json: { username: 'alice', password: 'wonderland', scope } })
      expect([response.status, jsonOf(response).error]).toEqual([400, 'invalid_scope'])
    }
    await nothing(app)
  })

  it('E-04 an outage of the user database or of the store is 503 with Retry-After', async () => {
    const app = loginApp({ authenticate: () => Promise.reject(new Error('no database')) })
    const first = await app.signIn()
    expect([first.status, jsonOf(first).error]).toEqual([503, 'temporarily_unavailable'])
    expect(headerOf(first, 'retry-after')).toBe('1')
    expect(app.errors).toMatchObject([{ code: 'hook_failed', cause: { message: 'no database' } }])
    const other = loginApp()
    other.outage.of.add('create')
    expect((await other.signIn()).status).toBe(503)
  })

  it('a mistake of the program is 500, and told to it', async () => {
    const app = loginApp({}, { subject: '' })
    expect((await app.signIn()).status).toBe(500)
    expect(app.errors).toMatchObject([{ name: 'ConfigurationError', option: 'subject' }])
    const cookieless = loginApp({}, { deliver: 'cookie' })
    expect((await cookieless.signIn()).status).toBe(500)
    expect(cookieless.errors).toMatchObject([{ name: 'ConfigurationError', option: 'cookie' }])
    await nothing(cookieless)
  })

  it('an access token that cannot be made leaves no session behind', async () => {
    const app = loginApp({ accessTokens: () => Promise.reject(new Error('no key service')) })
    expect((await app.signIn()).status).toBe(503)
    expect(await app.families('alice')).toEqual([])
  })
})

describe('into the cookie', () => {
  it('H-03 the refresh token goes into a cookie that strict jars take, and not into the body', async () => {
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

  it('the session belongs to the client of the cookie, so that the cookie refresh accepts it', async () => {
    const { signIn, tokens, accessTokens, shared } = loginApp({ cookie: { clientId: 'pages' } }, { clientId: 'web' })
    const cookie = cookieOf(await signIn())
    const refresh = refreshEndpoint(tokens, { ...shared, accessTokens, cookie: { clientId: 'pages' } })
    const headers = { cookie, 'x-baton': '1', 'sec-fetch-site': 'same-origin' }
    expect((await refresh(request({ method: 'POST', headers }))).status).toBe(200)
  })

  it('authenticate may choose the body after all', async () => {
    const { signIn } = loginApp({ cookie: true }, { deliver: 'body' })
    const response = await signIn()
    expect(jsonOf(response).refresh_token).toMatch(/^brt_/)
    expect(headersOf(response, 'set-cookie')).toEqual([])
  })

  it('ends the session that the cookie carried before, as replaced, and no other', async () => {
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

  it('a cookie of no session is simply replaced', async () => {
    const { signIn } = loginApp({ cookie: true })
    expect((await signIn({ headers: { cookie: '__Host-baton=rubbish' } })).status).toBe(200)
  })

  it('a sign-in that is refused ends nothing', async () => {
    const { signIn, families } = loginApp({ cookie: true })
    const cookie = cookieOf(await signIn())
    await signIn({ headers: { cookie }, json: { username: 'bob', password: 'x' } })
    await signIn({ headers: { cookie }, json: { username: 'bob', password: 'builder', scope: 'a  b' } })
    expect(await families('alice')).toHaveLength(1)
  })

  it('when the old session cannot be ended there is no new one: its late answer could switch the person', async () => {
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

describe('H-05 a page elsewhere cannot sign its visitor in as somebody else', () => {
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
  ])('Sec-Fetch-Site %s with Origin %s: %i', async (site, origin, status) => {
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

  it('nothing is demanded of a body sign-in, which leaves nothing in the browser', async () => {
    const { signIn } = loginApp()
    expect((await signIn({ headers: { 'sec-fetch-site': 'cross-site', origin: foreign } })).status).toBe(200)
  })
})

describe('rate limits', () => {
  it('L-01 L-05 an address that guesses is stopped before authenticate is asked, and others are not', async () => {
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

  it('successes are not counted as guesses', async () => {
    const app = loginApp({ rateLimit: rateLimits({ points: 100, failedAuthentications: 3 }) })
    for (let index = 0; index < 8; index++) expect((await app.signIn()).status).toBe(200)
  })

  it('L-05 every request counts for its address', async () => {
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
])('misuse of %s throws at construction', (option, bad) => {
  expect(() => loginApp(bad)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
})
