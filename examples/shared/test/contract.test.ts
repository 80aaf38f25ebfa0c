import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assertionFor, authorizationQuery, keyHolder, pkce, REDIRECT_URI, redirectOf } from './code-client.js'
import { sampledExamples } from './examples.js'
import { type ExampleServer, startServer } from './server.js'
import { storesOfOneFile } from './stores.js'
import { ALICE, BOB, cookieOf, FROM_OUR_PAGE, type Json, type Visitor, visitor } from './visitor.js'

const IDLE_SECONDS = 1_209_600
/** A server may close the connection if it does not read the whole body. */
const LAST_OF_ITS_CONNECTION = { connection: 'close' }
const UNKNOWN_SESSION = createHash('sha256').update('nobody').digest('base64url').slice(0, 22)

const stores = storesOfOneFile()
afterAll(() => stores.stop())

describe.each(sampledExamples)('$name', (example) => {
  let server: ExampleServer
  let on: Visitor

  beforeAll(async () => {
    const store = await stores.open(example.store)
    server = await startServer(example, await store.empty())
    on = visitor(server.origin)
  })
  afterAll(async () => {
    await server.stop()
  })

  describe('POST /login', () => {
    it('returns a token response with the default scope', async () => {
      const { status, headers, body, setCookie } = await on.json('/login', ALICE)

      expect(status).toBe(200)
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(setCookie).toBeNull()
      expect(body).toEqual({
        access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
        token_type: 'Bearer',
        expires_in: 900,
        refresh_token: expect.stringMatching(/^brt_/),
        scope: 'read',
      })
    })

    it.each(['read', 'write', 'read write', 'read write offline_access'])('grants the scope %s', async (scope) => {
      expect(await on.login({ scope })).toMatchObject({ scope })
    })

    it.each(['admin', 'read admin', 'READ', 'read  write', 'read\twrite', '"read"'])(
      'rejects the scope %j',
      async (scope) => {
        const { status, body, setCookie } = await on.json('/login', { ...ALICE, scope })

        expect({ status, setCookie }).toEqual({ status: 400, setCookie: null })
        expect(body.error).toBe('invalid_scope')
      },
    )

    it('issues tokens to the client web unless the request has another client_id', async () => {
      const web = await on.login()
      const other = await on.login({ client_id: 'other' })

      expect(await on.refresh(web.refresh_token, { client_id: 'web' })).toMatchObject({ status: 200 })
      expect(await on.refresh(other.refresh_token, { client_id: 'other' })).toMatchObject({ status: 200 })
    })

    it('returns the same response for a wrong password and an unknown user', async () => {
      const wrong = await on.json('/login', { ...ALICE, password: 'builder' })
      const unknown = await on.json('/login', { username: 'mallory', password: 'builder' })

      expect(wrong.status).toBe(401)
      expect(wrong.body).toEqual({ error: expect.any(String), error_description: expect.any(String) })
      expect({ status: unknown.status, body: unknown.body }).toEqual({ status: wrong.status, body: wrong.body })
    })

    it('issues no tokens to a client without its authentication or its proof of a key', async () => {
      for (const clientId of ['backend', 'service', 'api'])
        expect(await on.json('/login', { ...ALICE, client_id: clientId })).toMatchObject({
          status: 400,
          body: { error: 'invalid_client' },
        })
      expect(await on.json('/login', { ...ALICE, client_id: 'native' })).toMatchObject({
        status: 400,
        body: { error: 'invalid_dpop_proof' },
      })
      const proof = { dpop: await (await keyHolder())(`${server.origin}/login`) }
      expect(await on.login({ client_id: 'native' }, proof)).toMatchObject({ token_type: 'DPoP' })
      const authorization = `Basic ${Buffer.from('backend:backend-secret').toString('base64')}`
      expect(await on.login({ client_id: 'backend' }, { authorization })).toMatchObject({ token_type: 'Bearer' })
    })

    it.each([
      ['no password', { username: 'alice' }],
      ['no username', { password: 'wonderland' }],
      ['an empty username', { ...ALICE, username: '' }],
      ['a username that is a number', { ...ALICE, username: 1 }],
      ['a username that is a list', { ...ALICE, username: ['alice'] }],
      ['a password that is null', { ...ALICE, password: null }],
      ['a password that is an object', { ...ALICE, password: {} }],
      ['a scope that is a list', { ...ALICE, scope: ['read'] }],
      ['a client_id that is a number', { ...ALICE, client_id: 7 }],
      ['an unknown client', { ...ALICE, client_id: 'nobody' }],
      ['a list', [ALICE]],
      ['a string', 'alice'],
      ['null', null],
    ])('responds with 400 to %s', async (_name, body) => {
      const response = await on.json('/login', body)

      expect(response.status).toBe(400)
      expect(response.body).toMatchObject({ error: expect.any(String) })
      expect(response.setCookie).toBeNull()
    })

    it.each([
      ['broken JSON', 'application/json', '{"username":"alice"'],
      ['no body', 'application/json', ''],
      ['a form', 'application/x-www-form-urlencoded', 'username=alice&password=wonderland'],
      ['plain text, which pages of other origins may send', 'text/plain', JSON.stringify(ALICE)],
    ])('responds with 400 to %s', async (_name, type, body) => {
      const response = await on.send('POST', '/login', { headers: { 'content-type': type }, body })

      expect(response).toMatchObject({ status: 400, setCookie: null, body: { error: expect.any(String) } })
    })

    it('rejects a body of 1 MB', async () => {
      const response = await on.json('/login', { ...ALICE, padding: 'x'.repeat(1_000_000) }, LAST_OF_ITS_CONNECTION)

      expect([400, 413]).toContain(response.status)
      expect(response.body).toMatchObject({ error: expect.any(String) })
    })

    it('returns the refresh token in a cookie and not in the body with ?cookie=1', async () => {
      const { setCookie, body } = await on.cookieLogin()

      const [pair, ...attributes] = setCookie.split('; ')
      expect(pair).toMatch(/^baton=brt_/)
      expect(attributes).toContain('HttpOnly')
      expect(attributes).toContain('SameSite=Strict')
      expect(attributes).toContain('Path=/')
      expect(attributes).not.toContain('Secure')
      const maxAge = Number(/Max-Age=(\d+)/.exec(setCookie)?.[1])
      expect(maxAge).toBeGreaterThan(IDLE_SECONDS - 60)
      expect(maxAge).toBeLessThanOrEqual(IDLE_SECONDS)
      expect(body).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 900,
        scope: 'read',
        sid: expect.any(String),
      })
    })

    it('rejects a wrong password with ?cookie=1 and does not change the cookie', async () => {
      const response = await on.json('/login?cookie=1', { ...ALICE, password: 'x' }, FROM_OUR_PAGE)

      expect(response).toMatchObject({ status: 401, setCookie: null })
    })

    it('revokes the session whose cookie it replaces', async () => {
      const before = await on.cookieLogin()
      const after = await on.cookieLogin(BOB, { cookie: before.cookie })

      expect((await on.cookieRefresh(before.cookie)).status).toBe(401)
      expect((await on.cookieRefresh(after.cookie)).status).toBe(200)
    })
  })

  describe('POST /oauth/token', () => {
    it('returns a new refresh token and a valid access token', async () => {
      const { refresh_token: first } = await on.login({ scope: 'read write' })
      const { status, headers, body } = await on.refresh(first)

      expect(status).toBe(200)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(body).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 900,
        refresh_token: expect.stringMatching(/^brt_/),
        scope: 'read write',
      })
      expect(body.refresh_token).not.toBe(first)
      expect(await on.me(body.access_token)).toMatchObject({ status: 200, body: { sub: 'alice' } })
    })

    it('returns the same successor for a retry', async () => {
      const { refresh_token: first } = await on.login()
      const response = await on.refresh(first)
      const retry = await on.refresh(first)

      expect(retry.status).toBe(200)
      expect(retry.body.refresh_token).toBe(response.body.refresh_token)
    })

    it('returns the same successor for eight concurrent refreshes', async () => {
      const { refresh_token: first } = await on.login()
      const responses = await Promise.all(Array.from({ length: 8 }, () => on.refresh(first)))

      expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200))
      expect(new Set(responses.map(({ body }) => body.refresh_token)).size).toBe(1)
    })

    it('revokes the family of a token whose successor has been used', async () => {
      const { refresh_token: first } = await on.login()
      const elsewhere = await on.login()
      const second = (await on.refresh(first)).body.refresh_token
      const third = (await on.refresh(second)).body.refresh_token

      expect(await on.refresh(first)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      expect(await on.refresh(third)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      expect(await on.refresh(elsewhere.refresh_token)).toMatchObject({ status: 200 })
    })

    it('narrows the scope of the access token and leaves the grant unchanged', async () => {
      const { refresh_token: first } = await on.login({ scope: 'read write' })
      const narrowed = await on.refresh(first, { scope: 'read' })
      const full = await on.refresh(narrowed.body.refresh_token)

      expect(narrowed.body.scope).toBe('read')
      expect(full.body.scope).toBe('read write')
    })

    it('rejects a wider scope and does not consume the token', async () => {
      const { refresh_token: first } = await on.login({ scope: 'read' })

      expect(await on.refresh(first, { scope: 'read write' })).toMatchObject({
        status: 400,
        body: { error: 'invalid_scope' },
      })
      expect((await on.refresh(first)).status).toBe(200)
    })

    it('rejects the token of another client and does not consume it', async () => {
      const { refresh_token: first } = await on.login()

      expect(await on.refresh(first, { client_id: 'other' })).toMatchObject({
        status: 400,
        body: { error: 'invalid_grant' },
      })
      expect((await on.refresh(first)).status).toBe(200)
    })

    it('rejects a public client that sends a secret and does not consume the token', async () => {
      const { refresh_token: first } = await on.login()

      expect((await on.refresh(first, { client_secret: 'guess' })).body.error).toBe('invalid_client')
      expect((await on.refresh(first)).status).toBe(200)
    })

    it('accepts a confidential client only with its secret', async () => {
      const { refresh_token: first } = await on.login({ client_id: 'backend', client_secret: 'backend-secret' })
      const fields = { grant_type: 'refresh_token', refresh_token: first }
      const basic = (secret: string) => ({
        authorization: `Basic ${Buffer.from(`backend:${secret}`).toString('base64')}`,
      })

      const none = await on.form('/oauth/token', { ...fields, client_id: 'backend' })
      const wrong = await on.form('/oauth/token', fields, basic('wrong'))
      const right = await on.form('/oauth/token', fields, basic('backend-secret'))
      const posted = await on.form('/oauth/token', {
        ...fields,
        refresh_token: right.body.refresh_token,
        client_id: 'backend',
        client_secret: 'backend-secret',
      })

      expect(none.body.error).toBe('invalid_client')
      expect(wrong).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
      expect(wrong.headers.get('www-authenticate')).toMatch(/^Basic /)
      expect(right.status).toBe(200)
      expect(posted.status).toBe(200)
    })

    it.each([
      ['no grant type', 'refresh_token=x&client_id=web', 'invalid_request'],
      ['another grant type', 'grant_type=password&client_id=web', 'unsupported_grant_type'],
      ['no refresh token', 'grant_type=refresh_token&client_id=web', 'invalid_request'],
      ['an empty refresh token', 'grant_type=refresh_token&refresh_token=&client_id=web', 'invalid_request'],
      [
        'a parameter twice',
        'grant_type=refresh_token&refresh_token=a&refresh_token=a&client_id=web',
        'invalid_request',
      ],
      ['rubbish as a token', 'grant_type=refresh_token&refresh_token=rubbish&client_id=web', 'invalid_grant'],
      ['no client', 'grant_type=refresh_token&refresh_token=x', 'invalid_client'],
      ['an unknown client', 'grant_type=refresh_token&refresh_token=x&client_id=nobody', 'invalid_client'],
      ['a broken percent sign', 'grant_type=refresh_token&refresh_token=%ZZ&client_id=web', 'invalid_request'],
      ['nothing', '', 'invalid_client'],
    ])('rejects %s', async (_name, body, error) => {
      const response = await on.send('POST', '/oauth/token', {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body,
      })

      expect([400, 401]).toContain(response.status)
      expect(response.body.error).toBe(error)
    })

    it.each([
      ['that is too short', (token: string) => token.slice(0, -1)],
      ['that is one character too long', (token: string) => `${token}A`],
      ['with a changed tag', (token: string) => token.slice(0, -6) + (token.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA')],
      ['of random bytes', () => `brt_${randomBytes(84).toString('base64url')}`],
    ])('rejects a token %s and still accepts the original', async (_name, spoil) => {
      const { refresh_token: first } = await on.login()

      expect(await on.refresh(spoil(first))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      expect((await on.refresh(first)).status).toBe(200)
    })

    it('rejects JSON and does not consume the token', async () => {
      const { refresh_token: first } = await on.login()
      const response = await on.json('/oauth/token', {
        grant_type: 'refresh_token',
        refresh_token: first,
        client_id: 'web',
      })

      expect(response).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
      expect((await on.refresh(first)).status).toBe(200)
    })

    it('rejects a body of 1 MB', async () => {
      const fields = { grant_type: 'refresh_token', client_id: 'web', refresh_token: 'x'.repeat(1_000_000) }
      const response = await on.form('/oauth/token', fields, LAST_OF_ITS_CONNECTION)

      expect([400, 413]).toContain(response.status)
      expect(response.body).toMatchObject({ error: expect.any(String) })
    })
  })

  describe('POST /oauth/revoke', () => {
    const revoke = (token: string, clientId = 'web') => on.form('/oauth/revoke', { token, client_id: clientId })

    it('revokes the family and returns the same response to a second request', async () => {
      const { refresh_token: first } = await on.login()

      expect(await revoke(first)).toMatchObject({ status: 200, body: {} })
      expect(await revoke(first)).toMatchObject({ status: 200, body: {} })
      expect(await on.refresh(first)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    })

    it('revokes the family of an old token', async () => {
      const { refresh_token: first } = await on.login()
      const second = (await on.refresh(first)).body.refresh_token

      expect((await revoke(first)).status).toBe(200)
      expect((await on.refresh(second)).body.error).toBe('invalid_grant')
    })

    it('responds with 200 and {} to a value that is not a token', async () => {
      const { status, headers, body } = await revoke('rubbish')

      expect(status).toBe(200)
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      expect(body).toEqual({})
    })

    it('revokes the family of an access token, so that a client can revoke both tokens in either order', async () => {
      const { access_token: accessToken, refresh_token: first } = await on.login()

      expect(await revoke(accessToken, 'other')).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
      expect(await revoke(accessToken)).toMatchObject({ status: 200, body: {} })
      expect(await revoke(first)).toMatchObject({ status: 200, body: {} })
      expect((await on.refresh(first)).body.error).toBe('invalid_grant')
    })

    it('does not revoke the family of another client', async () => {
      const { refresh_token: first } = await on.login()
      await revoke(first, 'other')

      expect((await on.refresh(first)).status).toBe(200)
    })

    it('rejects a request without a token and an unknown client', async () => {
      expect(await on.form('/oauth/revoke', { client_id: 'web' })).toMatchObject({
        status: 400,
        body: { error: 'invalid_request' },
      })
      expect((await revoke('rubbish', 'nobody')).body.error).toBe('invalid_client')
    })
  })

  describe('GET /api/me', () => {
    it.each([ALICE, BOB])('returns the user $username', async (credentials) => {
      const { access_token: accessToken } = await on.login(credentials)

      expect(await on.me(accessToken)).toMatchObject({ status: 200, body: { sub: credentials.username } })
      expect((await on.me(accessToken)).body).toEqual({ sub: credentials.username })
    })

    it('responds with 401 and a challenge to a request without a token', async () => {
      const { status, headers } = await on.send('GET', '/api/me')

      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer /)
      expect(headers.get('www-authenticate')).not.toContain('error=')
    })

    it.each([
      ['rubbish', () => 'rubbish'],
      ['a refresh token', (login: Json) => login.refresh_token],
      ['an access token with a changed payload', (login: Json) => login.access_token.replace(/\../, '.A')],
    ])('responds with 401 invalid_token to %s', async (_name, present) => {
      const { status, headers } = await on.me(present(await on.login()))

      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/)
    })

    it('ignores a token in the query', async () => {
      const { access_token: accessToken } = await on.login()

      expect((await on.send('GET', `/api/me?access_token=${accessToken}`)).status).toBe(401)
    })
  })

  describe('POST /auth/refresh', () => {
    it('returns the family id and the new cookie, and no refresh token in the body', async () => {
      const login = await on.cookieLogin()
      const { status, headers, body, setCookie } = await on.cookieRefresh(login.cookie)

      expect(status).toBe(200)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(body).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 900,
        scope: 'read',
        sid: login.body.sid,
      })
      expect(setCookie).toMatch(/^baton=brt_.*HttpOnly/)
      expect(cookieOf(setCookie ?? '')).not.toBe(login.cookie)
      expect((await on.me(body.access_token)).body).toEqual({ sub: 'alice' })
      expect((await on.cookieRefresh(cookieOf(setCookie ?? ''))).status).toBe(200)
    })

    it('sets the same cookie for four concurrent refreshes', async () => {
      const { cookie } = await on.cookieLogin()
      const responses = await Promise.all(Array.from({ length: 4 }, () => on.cookieRefresh(cookie)))

      expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200])
      expect(new Set(responses.map(({ setCookie }) => cookieOf(setCookie ?? ''))).size).toBe(1)
    })

    it.each([
      ['rubbish', async () => 'baton=rubbish'],
      [
        'a cookie whose session was signed out',
        async () => {
          const { cookie } = await on.cookieLogin()
          await on.send('POST', '/auth/logout', { headers: { ...FROM_OUR_PAGE, cookie } })
          return cookie
        },
      ],
      [
        'a copied cookie with an old token',
        async () => {
          const { cookie } = await on.cookieLogin()
          const second = cookieOf((await on.cookieRefresh(cookie)).setCookie ?? '')
          await on.cookieRefresh(second)
          return cookie
        },
      ],
    ])('responds with 401 invalid_grant to %s and does not change the cookie', async (_name, presented) => {
      const { status, headers, body, setCookie } = await on.cookieRefresh(await presented())

      expect({ status, error: body.error, setCookie }).toEqual({ status: 401, error: 'invalid_grant', setCookie: null })
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    })

    it('responds with 401 invalid_grant to a request without a cookie', async () => {
      const { status, headers, body, setCookie } = await on.send('POST', '/auth/refresh', { headers: FROM_OUR_PAGE })

      expect({ status, error: body.error, setCookie }).toEqual({ status: 401, error: 'invalid_grant', setCookie: null })
      expect(headers.get('www-authenticate')).toMatch(/^Bearer/)
    })

    it('rejects GET', async () => {
      const { cookie } = await on.cookieLogin()
      const { status, setCookie } = await on.send('GET', '/auth/refresh', { headers: { ...FROM_OUR_PAGE, cookie } })

      expect([404, 405]).toContain(status)
      expect(setCookie).toBeNull()
    })

    it('responds with 409 if X-Baton-Session is not the family of the cookie, and changes no session', async () => {
      const { cookie, body } = await on.cookieLogin()
      const another = await on.cookieLogin()
      const refused = await on.cookieRefresh(cookie, { 'x-baton-session': another.body.sid })
      const named = await on.cookieRefresh(cookie, { 'x-baton-session': body.sid })

      expect(refused).toMatchObject({ status: 409, setCookie: null })
      expect(named.status).toBe(200)
    })
  })

  describe('the cookie endpoints', () => {
    const ours = () => server.origin
    const forgeries: [name: string, headers: () => Record<string, string>][] = [
      ['no X-Baton', () => ({ 'sec-fetch-site': 'same-origin' })],
      ['another X-Baton', () => ({ 'x-baton': '2', 'sec-fetch-site': 'same-origin' })],
      ['Sec-Fetch-Site: none', () => ({ 'x-baton': '1', 'sec-fetch-site': 'none' })],
      ['Sec-Fetch-Site: none and our origin', () => ({ 'x-baton': '1', 'sec-fetch-site': 'none', origin: ours() })],
      ['Sec-Fetch-Site: same-site', () => ({ 'x-baton': '1', 'sec-fetch-site': 'same-site', origin: ours() })],
      [
        'Sec-Fetch-Site: cross-site',
        () => ({ 'x-baton': '1', 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }),
      ],
      ['neither Sec-Fetch-Site nor Origin', () => ({ 'x-baton': '1' })],
      ['a foreign Origin', () => ({ 'x-baton': '1', origin: 'https://evil.example' })],
      ['our origin on another port', () => ({ 'x-baton': '1', origin: 'http://127.0.0.1:1' })],
      ['the Origin null', () => ({ 'x-baton': '1', origin: 'null' })],
      [
        'an unknown Sec-Fetch-Site and a foreign Origin',
        () => ({ 'x-baton': '1', 'sec-fetch-site': 'new', origin: 'https://evil.example' }),
      ],
    ]
    const accepted: [name: string, headers: () => Record<string, string>][] = [
      ['Sec-Fetch-Site: same-origin', () => ({ 'x-baton': '1', 'sec-fetch-site': 'same-origin' })],
      ['our Origin, from a browser without Sec-Fetch-Site', () => ({ 'x-baton': '1', origin: ours() })],
      ['our Origin and an unknown Sec-Fetch-Site', () => ({ 'x-baton': '1', 'sec-fetch-site': 'new', origin: ours() })],
    ]

    it.each(forgeries)('respond with 403 to %s and change no session', async (_name, headers) => {
      const { cookie } = await on.cookieLogin()

      for (const path of ['/auth/refresh', '/auth/logout'])
        expect(await on.send('POST', path, { headers: { ...headers(), cookie } })).toMatchObject({
          status: 403,
          setCookie: null,
        })
      expect((await on.cookieRefresh(cookie)).status).toBe(200)
    })

    it.each(accepted)('accept %s', async (_name, headers) => {
      const { cookie } = await on.cookieLogin()
      const refreshed = await on.send('POST', '/auth/refresh', { headers: { ...headers(), cookie } })
      const loggedOut = await on.send('POST', '/auth/logout', { headers: { ...headers(), cookie } })

      expect(refreshed.status).toBe(200)
      expect(loggedOut.status).toBe(204)
    })
  })

  describe('POST /auth/logout', () => {
    const logout = (headers: Record<string, string> = {}) =>
      on.send('POST', '/auth/logout', { headers: { ...FROM_OUR_PAGE, ...headers } })

    it('revokes the family and clears the cookie', async () => {
      const { cookie } = await on.cookieLogin()
      const { status, body, setCookie } = await logout({ cookie })

      expect({ status, body }).toEqual({ status: 204, body: null })
      expect(setCookie).toMatch(/^baton=;/)
      expect(setCookie).toMatch(/Max-Age=0/)
      expect((await on.cookieRefresh(cookie)).status).toBe(401)
    })

    it('responds with 204 to a request without a cookie or with the cookie of a revoked session', async () => {
      expect((await logout()).status).toBe(204)
      expect((await logout({ cookie: 'baton=rubbish' })).status).toBe(204)
    })

    it('does not revoke a session of another client', async () => {
      const other = await on.login({ client_id: 'other' })
      const next = (await on.refresh(other.refresh_token, { client_id: 'other' })).body.refresh_token

      for (const token of [other.refresh_token, next])
        expect((await logout({ cookie: `baton=${token}` })).status).toBe(204)
      await on.cookieLogin({}, { cookie: `baton=${next}` })
      expect((await on.refresh(next, { client_id: 'other' })).status).toBe(200)
    })

    it('responds with 409 if X-Baton-Session is not the family of the cookie, and changes no session', async () => {
      const { cookie } = await on.cookieLogin()
      const another = await on.cookieLogin()

      expect(await logout({ cookie, 'x-baton-session': another.body.sid })).toMatchObject({
        status: 409,
        setCookie: null,
      })
      expect((await on.cookieRefresh(cookie)).status).toBe(200)
    })
  })

  /** Empty before each test, so that the lists contain only known sessions. */
  async function signOutEverywhere() {
    for (const credentials of [ALICE, BOB]) {
      const { access_token: accessToken } = await on.login(credentials)
      await on.bearer('POST', '/auth/logout-everywhere', accessToken)
    }
  }

  async function sessionsOf(accessToken: string): Promise<Record<string, unknown>[]> {
    const { status, body } = await on.bearer('GET', '/auth/sessions', accessToken)
    expect(status).toBe(200)
    return body.sessions
  }

  describe('GET /auth/sessions', () => {
    it('lists the sessions of the caller, newest first, and marks the current one', async () => {
      await signOutEverywhere()
      await on.login(BOB)
      await on.login({ client_id: 'other' }, { 'user-agent': 'a phone' })
      const tablet = await on.login({ scope: 'read offline_access' }, { 'user-agent': 'a tablet' })
      await on.cookieLogin({}, { 'user-agent': 'a browser' })
      const sessions = await sessionsOf(tablet.access_token)

      expect(
        sessions.map(({ userAgent, clientId, offline, current }) => [userAgent, clientId, offline, current]),
      ).toEqual(
        expect.arrayContaining([
          ['a browser', 'web', false, false],
          ['a tablet', 'web', true, true],
          ['a phone', 'other', false, false],
        ]),
      )
      expect(sessions).toHaveLength(3)
      const created = sessions.map(({ createdAt }) => Date.parse(String(createdAt)))
      expect(created).toEqual([...created].sort((one, other) => other - one))
    })

    it('returns only documented members, with times in ISO 8601', async () => {
      await signOutEverywhere()
      const { access_token: accessToken } = await on.login()
      const [session] = await sessionsOf(accessToken)
      const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

      expect(session).toEqual({
        id: expect.any(String),
        current: true,
        clientId: 'web',
        createdAt: instant,
        lastUsedAt: instant,
        expiresAt: instant,
        offline: false,
        userAgent: expect.any(String),
      })
      const left = Date.parse(String(session?.['expiresAt'])) - Date.parse(String(session?.['lastUsedAt']))
      expect(left).toBe(IDLE_SECONDS * 1000)
    })
  })

  it('lists and revokes sessions only for first-party clients', async () => {
    const { body: victim, cookie } = await on.cookieLogin()
    const other = await on.login({ client_id: 'other', scope: 'read write' })
    for (const [method, path] of [
      ['GET', '/auth/sessions'],
      ['DELETE', `/auth/sessions/${victim.sid}`],
      ['POST', '/auth/logout-others'],
      ['POST', '/auth/logout-everywhere'],
    ] as const)
      expect(await on.bearer(method, path, other.access_token)).toMatchObject({
        status: 403,
        body: { error: 'insufficient_scope' },
      })
    expect((await on.cookieRefresh(cookie)).status).toBe(200)
    const backend = await on.login({ client_id: 'backend', client_secret: 'backend-secret' })
    for (const { access_token: accessToken } of [await on.login(), victim, backend])
      expect((await on.bearer('GET', '/auth/sessions', accessToken)).status).toBe(200)
  })

  describe('DELETE /auth/sessions/:id', () => {
    it('revokes one session of the caller', async () => {
      const phone = await on.login()
      const laptop = await on.cookieLogin()
      const { status, body } = await on.bearer('DELETE', `/auth/sessions/${laptop.body.sid}`, phone.access_token)

      expect({ status, body }).toEqual({ status: 204, body: null })
      expect((await on.cookieRefresh(laptop.cookie)).status).toBe(401)
      expect((await on.refresh(phone.refresh_token)).status).toBe(200)
    })

    it('responds with 404 to the session of another user and does not revoke it', async () => {
      const alice = await on.cookieLogin()
      const bob = await on.login(BOB)

      expect((await on.bearer('DELETE', `/auth/sessions/${alice.body.sid}`, bob.access_token)).status).toBe(404)
      expect((await on.cookieRefresh(alice.cookie)).status).toBe(200)
    })

    it.each([UNKNOWN_SESSION, 'rubbish', '%00', '..%2fsessions'])(
      'responds with 404 to the unknown id %s',
      async (id) => {
        const { access_token: accessToken } = await on.login()
        const { status, body } = await on.bearer('DELETE', `/auth/sessions/${id}`, accessToken)

        expect(status).toBe(404)
        expect(body).toMatchObject({ error: expect.any(String) })
      },
    )
  })

  describe('POST /auth/logout-others', () => {
    it('revokes the other sessions of the subject, including offline ones, and keeps the current one', async () => {
      const mine = await on.login()
      const other = await on.login()
      const offline = await on.login({ scope: 'read offline_access' })
      const bob = await on.login(BOB)
      const { status, body } = await on.bearer('POST', '/auth/logout-others', mine.access_token)

      expect({ status, body }).toEqual({ status: 204, body: null })
      expect((await on.refresh(other.refresh_token)).body.error).toBe('invalid_grant')
      expect((await on.refresh(offline.refresh_token)).body.error).toBe('invalid_grant')
      expect((await on.refresh(mine.refresh_token)).status).toBe(200)
      expect((await on.refresh(bob.refresh_token)).status).toBe(200)
    })
  })

  describe('POST /auth/logout-everywhere', () => {
    it('revokes all sessions of the subject, including the current one and offline ones', async () => {
      const mine = await on.login()
      const offline = await on.login({ scope: 'read offline_access' })
      const cookie = await on.cookieLogin()
      const bob = await on.login(BOB)
      const { status, body } = await on.bearer('POST', '/auth/logout-everywhere', mine.access_token)

      expect({ status, body }).toEqual({ status: 204, body: null })
      expect((await on.refresh(mine.refresh_token)).body.error).toBe('invalid_grant')
      expect((await on.refresh(offline.refresh_token)).body.error).toBe('invalid_grant')
      expect((await on.cookieRefresh(cookie.cookie)).status).toBe(401)
      expect((await on.refresh(bob.refresh_token)).status).toBe(200)
    })
  })

  describe('/oauth/authorize', () => {
    const codeFor = async (challenge: string, changes: Readonly<Record<string, string>> = {}) => {
      const url = await redirectOf(
        server.origin + authorizationQuery(challenge, { login: 'alice', approve: '1', ...changes }),
      )
      return url.searchParams.get('code') ?? ''
    }
    const exchange = (code: string, verifier: string, fields: Readonly<Record<string, string>> = {}, headers = {}) =>
      on.form(
        '/oauth/token',
        {
          grant_type: 'authorization_code',
          client_id: 'web',
          code,
          code_verifier: verifier,
          redirect_uri: REDIRECT_URI,
          ...fields,
        },
        headers,
      )

    it('redirects with a code that can be exchanged once', async () => {
      const { verifier, challenge } = pkce()
      const url = await redirectOf(server.origin + authorizationQuery(challenge, { login: 'alice', approve: '1' }))
      expect(url.href.startsWith(`${REDIRECT_URI}?`)).toBe(true)
      expect(Object.fromEntries(url.searchParams)).toEqual({
        code: expect.stringMatching(/^bac_/),
        state: 'a state & more',
        iss: server.origin,
      })
      const code = url.searchParams.get('code') ?? ''
      const wrong = await exchange(code, `${verifier.slice(1)}A`)
      expect(wrong).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      const { status, body } = await exchange(code, verifier)
      expect(status).toBe(200)
      expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'read write' })
      expect(await on.me(body.access_token)).toMatchObject({ status: 200, body: { sub: 'alice' } })
      const next = await on.refresh(body.refresh_token)
      expect(next.status).toBe(200)
      expect((await exchange(code, verifier)).body.error).toBe('invalid_grant')
      expect((await on.refresh(next.body.refresh_token)).body.error).toBe('invalid_grant')
    })

    it('shows a page for the password and the consent', async () => {
      const { verifier, challenge } = pkce()
      const url = server.origin + authorizationQuery(challenge)
      const visible = await fetch(url)
      expect(visible.status).toBe(200)
      expect(visible.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(visible.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(await visible.text()).toMatch(/demonstration.*<b>web<\/b> requests: read write/s)
      const post = (fields: Readonly<Record<string, string>>) => ({ method: 'POST', body: new URLSearchParams(fields) })
      const wrong = await fetch(url, post({ decision: 'approve', username: 'bob', password: 'wonderland' }))
      expect(wrong.status).toBe(401)
      const denied = await redirectOf(url, post({ decision: 'deny' }))
      expect(denied.searchParams.get('error')).toBe('access_denied')
      const right = await redirectOf(url, post({ decision: 'approve', username: 'bob', password: 'builder' }))
      const { body } = await exchange(right.searchParams.get('code') ?? '', verifier)
      expect(await on.me(body.access_token)).toMatchObject({ body: { sub: 'bob' } })
    })

    it.each([
      ['another redirect URI', { redirect_uri: `${REDIRECT_URI}/` }],
      ['another port, for a client that is not native', { redirect_uri: 'http://127.0.0.1:9998/callback' }],
      ['another machine, for a native client', { client_id: 'native', redirect_uri: 'http://192.0.2.1:1/callback' }],
      [
        'a port above 65535, for a native client',
        { client_id: 'native', redirect_uri: 'http://127.0.0.1:99999/callback' },
      ],
      ['an unknown client', { client_id: 'nobody' }],
    ])('does not redirect for %s', async (_name, changes) => {
      const url = server.origin + authorizationQuery(pkce().challenge, { login: 'alice', approve: '1', ...changes })
      const response = await fetch(url, { redirect: 'manual' })
      expect(response.status).toBe(400)
      expect(response.headers.get('location')).toBeNull()
    })

    it.each([
      ['access_denied', { approve: '0' }],
      ['unsupported_response_type', { response_type: 'token' }],
      ['invalid_request', { code_challenge_method: 'plain' }],
      ['invalid_request', { code_challenge: 'short' }],
      ['invalid_scope', { scope: 'admin' }],
      ['invalid_target', { resource: 'https://other.example' }],
      ['invalid_target', { resource: 'http://127.0.0.1/#fragment' }],
      ['invalid_target', { resource: '/relative' }],
      ['unauthorized_client', { client_id: 'api' }],
    ])('redirects with the error %s for %o', async (error, changes) => {
      const url = authorizationQuery(pkce().challenge, { login: 'alice', approve: '1', ...changes })
      const { searchParams } = await redirectOf(server.origin + url)
      expect(Object.fromEntries(searchParams)).toEqual({ error, state: 'a state & more', iss: server.origin })
    })

    it('accepts only its own resource, in every equivalent spelling', async () => {
      const { port } = new URL(server.origin)
      for (const resource of [server.origin, `${server.origin}/`, `HTTP://127.0.0.1:${port}`]) {
        const { verifier, challenge } = pkce()
        const code = await codeFor(challenge, { resource })
        const { status, body } = await exchange(code, verifier, { resource })
        expect([status, (await on.me(body.access_token)).status]).toEqual([200, 200])
        const refresh = { grant_type: 'refresh_token', refresh_token: body.refresh_token, client_id: 'web' }
        for (const invalid of ['https://other.example', `${server.origin}/#fragment`, '/relative', ''.padEnd(9, 'x')])
          expect(await on.form('/oauth/token', { ...refresh, resource: invalid })).toMatchObject({
            status: 400,
            body: { error: 'invalid_target' },
          })
        expect((await on.form('/oauth/token', { ...refresh, resource })).status).toBe(200)
      }
      const { refresh_token: token } = await on.login()
      expect((await on.refresh(token, { resource: `${server.origin}/` })).status).toBe(200)
    })

    it('requires a proof of the key of native at the exchange, at the API and at every refresh', async () => {
      const { verifier, challenge } = pkce()
      const prove = await keyHolder()
      const tokenUrl = `${server.origin}/oauth/token`
      const code = await codeFor(challenge, { client_id: 'native' })
      const native = { client_id: 'native' }
      expect(await exchange(code, verifier, native)).toMatchObject({
        status: 400,
        body: { error: 'invalid_dpop_proof' },
      })
      const { status, body } = await exchange(code, verifier, native, { dpop: await prove(tokenUrl) })
      expect({ status, type: body.token_type }).toEqual({ status: 200, type: 'DPoP' })

      const me = `${server.origin}/api/me`
      const headers = { authorization: `DPoP ${body.access_token}`, dpop: await prove(me, 'GET', body.access_token) }
      expect(await on.send('GET', '/api/me', { headers })).toMatchObject({ status: 200, body: { sub: 'alice' } })
      expect((await on.me(body.access_token)).status).toBe(401)

      const refresh = { grant_type: 'refresh_token', refresh_token: body.refresh_token, ...native }
      const attackerProof = await keyHolder()
      const stolen = await on.form('/oauth/token', refresh, { dpop: await attackerProof(tokenUrl) })
      expect(stolen.body.error).toBe('invalid_grant')
      expect((await on.form('/oauth/token', refresh, { dpop: await prove(tokenUrl) })).status).toBe(200)
    })

    it('accepts each assertion of service once', async () => {
      const { verifier, challenge } = pkce()
      const code = await codeFor(challenge, { client_id: 'service' })
      const fields = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: REDIRECT_URI }
      expect((await on.form('/oauth/token', { ...fields, client_id: 'service' })).body.error).toBe('invalid_client')
      const assertion = await assertionFor(server.origin)
      const { status, body } = await on.form('/oauth/token', { ...fields, ...assertion })
      expect(status).toBe(200)
      const refresh = { grant_type: 'refresh_token', refresh_token: body.refresh_token }
      expect((await on.form('/oauth/token', { ...refresh, ...assertion })).body.error).toBe('invalid_client')
      const next = await on.form('/oauth/token', { ...refresh, ...(await assertionFor(server.origin)) })
      expect(next.status).toBe(200)
    })
  })

  describe('POST /oauth/introspect', () => {
    const ask = (token: string, secret = 'api-secret') =>
      on.form('/oauth/introspect', { token, client_id: 'api', client_secret: secret })

    it('returns the claims of an access token to the resource server, and inactive after its session was revoked', async () => {
      const { access_token: accessToken, refresh_token: refreshToken } = await on.login({ scope: 'read write' })
      const response = await ask(accessToken)
      expect(response.status).toBe(200)
      expect(response.body).toMatchObject({ active: true, sub: 'alice', client_id: 'web', scope: 'read write' })
      expect(response.body).toMatchObject({ iss: server.origin, aud: server.origin, exp: expect.any(Number) })
      expect((await ask(refreshToken)).body).toEqual({ active: false })
      await on.form('/oauth/revoke', { token: refreshToken, client_id: 'web' })
      expect((await ask(accessToken)).body).toEqual({ active: false })
      expect((await ask('rubbish')).body).toEqual({ active: false })
    })

    it('returns no claims to other clients', async () => {
      const { access_token: token } = await on.login()
      const basic = { authorization: `Basic ${Buffer.from('api:wrong').toString('base64')}` }
      expect(await on.form('/oauth/introspect', { token }, basic)).toMatchObject({ status: 401 })
      expect(await on.form('/oauth/introspect', { token, client_id: 'web' })).toMatchObject({ status: 401 })
      expect(
        (await on.form('/oauth/introspect', { token, client_id: 'backend', client_secret: 'backend-secret' })).body,
      ).toEqual({ active: false })
    })
  })

  it.each([
    ['GET', '/auth/sessions'],
    ['DELETE', `/auth/sessions/${UNKNOWN_SESSION}`],
    ['POST', '/auth/logout-others'],
    ['POST', '/auth/logout-everywhere'],
  ])('%s %s requires an access token and does not accept a cookie', async (method, path) => {
    const { cookie } = await on.cookieLogin()
    const { status, headers } = await on.send(method, path, { headers: { ...FROM_OUR_PAGE, cookie } })

    expect(status).toBe(401)
    expect(headers.get('www-authenticate')).toMatch(/^Bearer /)
    expect((await on.cookieRefresh(cookie)).status).toBe(200)
  })

  it('publishes only the public key of its access tokens at /.well-known/jwks.json', async () => {
    const { access_token: accessToken } = await on.login()
    const { status, body } = await on.send('GET', '/.well-known/jwks.json')
    const { kid } = JSON.parse(Buffer.from(accessToken.split('.')[0], 'base64url').toString())

    expect(status).toBe(200)
    expect(body.keys.map((key: Json) => key.kid)).toContain(kid)
    for (const key of body.keys) expect(key).not.toHaveProperty('d')
  })

  it('lists all endpoints and no others at /.well-known/oauth-authorization-server', async () => {
    const { body } = await on.send('GET', '/.well-known/oauth-authorization-server')

    expect(body).toMatchObject({
      issuer: server.origin,
      authorization_endpoint: `${server.origin}/oauth/authorize`,
      token_endpoint: `${server.origin}/oauth/token`,
      revocation_endpoint: `${server.origin}/oauth/revoke`,
      introspection_endpoint: `${server.origin}/oauth/introspect`,
      jwks_uri: `${server.origin}/.well-known/jwks.json`,
      scopes_supported: ['read', 'write', 'offline_access'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
    })
    const addresses = Object.entries<string>(body).filter(([name]) => /_(endpoint|uri)$/.test(name))
    for (const [name, address] of addresses) {
      const { status } = await fetch(address)
      expect({ name, status }).not.toEqual({ name, status: 404 })
    }
  })

  it('is the issuer and the audience of its access tokens', async () => {
    const { access_token: accessToken } = await on.login()
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url').toString())

    expect(claims).toMatchObject({ iss: server.origin, aud: server.origin, sub: 'alice', client_id: 'web' })
  })

  it('prints no token, password or secret', async () => {
    const { refresh_token: first } = await on.login()
    const second = (await on.refresh(first)).body.refresh_token
    await on.refresh(second)
    await on.refresh(first)

    expect(server.output()).toContain('reuse')
    expect(server.output()).not.toMatch(/brt_|bac_|wonderland|eyJ/)
  })
})
