import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  type AuthServerOptions,
  accessTokenGuard,
  authorizationCodes,
  authServer,
  type Client,
  type Endpoint,
  hashClientSecret,
  jwtAccessTokens,
} from '../../src/index.js'
import { createApp, headerOf, ISSUER, jsonOf, request, SIGNING_KEY } from '../app.js'
import { createProver } from '../proof-of-possession/dpop/prover.js'

const CODE_SECRET = 'a secret of codes in a test, over 32 bytes'
const SECRET = 'a secret of a client in a test'
const ORIGIN = 'https://app.example'
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

interface Sent {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: Readonly<Record<string, string>>
  readonly json?: object
}

interface Tokens {
  readonly refreshToken: string
  readonly accessToken: string
  readonly sid: string
}

/** Creates a whole server whose client registry can change while it runs. The cookie belongs to the client `app`. */
async function setUp(options: Partial<AuthServerOptions> = {}) {
  const app = createApp()
  const { tokens, clock, shared } = app
  const registered = new Map<string, Client>([
    ['app', { clientId: 'app' }],
    ['other', { clientId: 'other' }],
    ['api', { clientId: 'api', secretHashes: [hashClientSecret(`${SECRET}.`)], introspectionAudiences: [ISSUER] }],
  ])
  const clients = { find: async (clientId: string) => registered.get(clientId) ?? null }
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
  const codes = authorizationCodes(tokens, { issuer: ISSUER, secrets: [CODE_SECRET] })
  const server = authServer(tokens, {
    ...shared,
    clients,
    accessTokens,
    codes,
    publicUrl: ORIGIN,
    authorizationEndpoint: `${ISSUER}/authorize`,
    cookie: { clientId: 'app' },
    authenticate: async (input) => ({
      subject: 'alice',
      clientId: 'app',
      deliver: input['deliver'] === 'cookie' ? 'cookie' : 'body',
    }),
    ...options,
  })
  const guard = accessTokenGuard({ accessTokens, checkSession: tokens, clients, now: () => clock.now })
  const prover = await createProver(() => clock.now)

  async function call(path: string, { method = 'POST', headers = {}, form, json }: Sent = {}) {
    const body = form === undefined ? {} : { body: String(new URLSearchParams(form)), headers: { ...FORM, ...headers } }
    const parts = json === undefined ? body : { json }
    return server.endpoint(request({ method, url: path, headers, ...parts }))
  }

  /** Starts a session of a client directly. */
  async function begin(clientId = 'app'): Promise<Tokens> {
    const { family, refreshToken } = await tokens.issue({ subject: 'alice', clientId, scope: 'read' })
    const { scope, audience } = family
    const grant = { family, scope, audience, claims: {}, confirmation: null, now: clock.now, maxLifetimeSeconds: 900 }
    return { refreshToken, accessToken: (await accessTokens.mint(grant)).accessToken, sid: family.id }
  }

  function code(clientId = 'app') {
    const verifier = randomBytes(32).toString('base64url')
    const codeChallenge = createHash('sha256').update(verifier).digest('base64url')
    return { code: codes.issue({ subject: 'alice', clientId, redirectUri: null, codeChallenge }), verifier }
  }

  const proof = (path: string) => prover.prove({ claims: { htu: ORIGIN + path } })
  const sessions = async () => (await tokens.list({ subject: 'alice' })).items
  return { ...app, registered, accessTokens, server, guard, call, begin, code, proof, sessions }
}

type TestSetup = Awaited<ReturnType<typeof setUp>>

const PAGE = { 'x-baton': '1', 'sec-fetch-site': 'same-origin' }
const bearer = ({ accessToken }: Tokens) => ({ authorization: `Bearer ${accessToken}` })
const introspect = (setup: TestSetup, token: string) =>
  setup.call('/auth/introspect', { form: { token, client_id: 'api', client_secret: `${SECRET}.` } })

/** Lists every use of a session. Each returns true if the session was accepted. */
const USES: readonly (readonly [name: string, use: (setup: TestSetup, session: Tokens) => Promise<boolean>])[] = [
  [
    'the refresh grant',
    async (setup, { refreshToken }) => {
      const form = { grant_type: 'refresh_token', client_id: 'app', refresh_token: refreshToken }
      return (await setup.call('/auth/token', { form })).status === 200
    },
  ],
  [
    'the refresh by cookie',
    async (setup, { refreshToken }) => {
      const headers = { ...PAGE, cookie: `__Host-baton=${refreshToken}` }
      return (await setup.call('/auth/refresh', { headers })).status === 200
    },
  ],
  [
    'a guard that checks the session',
    async (setup, session) => (await setup.guard(request({ headers: bearer(session) }))).ok,
  ],
  [
    'introspection of the access token',
    async (setup, { accessToken }) => jsonOf(await introspect(setup, accessToken)).active === true,
  ],
  [
    'introspection of the refresh token',
    async (setup, { refreshToken }) => {
      const registered = setup.registered.get('app')
      // Only a client that authenticates may introspect its own refresh tokens.
      setup.registered.set('app', { ...registered, clientId: 'app', secretHashes: [hashClientSecret(SECRET)] })
      const form = { token: refreshToken, client_id: 'app', client_secret: SECRET }
      return jsonOf(await setup.call('/auth/introspect', { form })).active === true
    },
  ],
  [
    'the list of sessions',
    async (setup, session) =>
      (await setup.call('/auth/sessions', { method: 'GET', headers: bearer(session) })).status === 200,
  ],
  [
    'an entry in the list of sessions',
    async (setup, { sid }) => {
      const reader = await setup.tokens.issue({ subject: 'alice', clientId: 'reader' })
      const { family } = reader
      const grant = {
        family,
        scope: '',
        audience: [],
        claims: {},
        confirmation: null,
        now: setup.clock.now,
        maxLifetimeSeconds: 900,
      }
      setup.registered.set('reader', { clientId: 'reader', firstParty: true })
      const { accessToken } = await setup.accessTokens.mint(grant)
      const headers = { authorization: `Bearer ${accessToken}` }
      const { sessions } = jsonOf(await setup.call('/auth/sessions', { method: 'GET', headers }))
      return sessions.some(({ id }: { id: string }) => id === sid)
    },
  ],
  [
    'the end of another session',
    async (setup, session) => {
      const { sid } = await setup.begin('other')
      return (await setup.call(`/auth/sessions/${sid}`, { method: 'DELETE', headers: bearer(session) })).status === 204
    },
  ],
  [
    'the end of all other sessions',
    async (setup, session) => (await setup.call('/auth/logout-others', { headers: bearer(session) })).status === 204,
  ],
  [
    'the end of all sessions',
    async (setup, session) =>
      (await setup.call('/auth/logout-everywhere', { headers: bearer(session) })).status === 204,
  ],
]

describe.each(USES)('validAfter of a client applies to %s', (_name, use) => {
  test('rejects a session from before validAfter and accepts one from after it', async () => {
    const setup = await setUp()
    expect(await use(setup, await setup.begin())).toBe(true)
    const before = await setup.begin()
    setup.clock.now += 5000
    setup.registered.set('app', { clientId: 'app', validAfter: setup.clock.now })
    expect(await use(setup, before)).toBe(false)
    expect(await use(setup, await setup.begin())).toBe(true)
  })
})

test('validAfter of a client applies to authorization codes', async () => {
  const setup = await setUp()
  const exchange = ({ code, verifier }: ReturnType<TestSetup['code']>) =>
    setup.call('/auth/token', {
      form: { grant_type: 'authorization_code', client_id: 'app', code, code_verifier: verifier },
    })
  const before = setup.code()
  setup.clock.now += 5000
  setup.registered.set('app', { clientId: 'app', validAfter: setup.clock.now })
  expect((await exchange(before)).status).toBe(400)
  expect((await exchange(setup.code())).status).toBe(200)
})

/** Lists every way to get tokens. Each returns the response to a request with these headers and members. */
type Issue = (
  setup: TestSetup,
  sent?: { headers?: Record<string, string>; members?: Record<string, string> },
) => ReturnType<Endpoint>
const ISSUERS: readonly (readonly [path: string, name: string, issue: Issue])[] = [
  [
    '/auth/token',
    'the refresh grant',
    async (setup, { headers = {}, members = {} } = {}) => {
      const { refreshToken } = await setup.begin()
      const form = { grant_type: 'refresh_token', client_id: 'app', refresh_token: refreshToken, ...members }
      return setup.call('/auth/token', { headers, form })
    },
  ],
  [
    '/auth/token',
    'the authorization code grant',
    async (setup, { headers = {}, members = {} } = {}) => {
      const { code, verifier } = setup.code()
      const form = { grant_type: 'authorization_code', client_id: 'app', code, code_verifier: verifier, ...members }
      return setup.call('/auth/token', { headers, form })
    },
  ],
  [
    '/auth/login',
    'a sign-in',
    async (setup, { headers = {}, members = {} } = {}) => setup.call('/auth/login', { headers, json: members }),
  ],
  [
    '/auth/login',
    'a sign-in by cookie',
    async (setup, { headers = {}, members = {} } = {}) =>
      setup.call('/auth/login', { headers: { ...PAGE, ...headers }, json: { ...members, deliver: 'cookie' } }),
  ],
  [
    '/auth/refresh',
    'the refresh by cookie',
    async (setup, { headers = {} } = {}) => {
      const { refreshToken } = await setup.begin()
      return setup.call('/auth/refresh', { headers: { ...PAGE, ...headers, cookie: `__Host-baton=${refreshToken}` } })
    },
  ],
]

describe.each(ISSUERS)('%s, %s', (path, name, issue) => {
  const isByCookie = name.includes('cookie')
  /** Expects that no tokens were issued and that there is at most the session that the request presents. */
  const nothingIssued = async (setup: TestSetup) => {
    expect(setup.events.filter(({ type }) => type === 'rotated' || type === 'renewed')).toEqual([])
    const own = (await setup.sessions()).length
    expect(own).toBe(name.includes('refresh') ? 1 : 0)
  }

  test('issues tokens to a public client', async () => {
    expect((await issue(await setUp())).status).toBe(200)
  })

  test('issues tokens to a client with DPoP-bound tokens only with a proof, and binds them', async () => {
    const setup = await setUp()
    setup.registered.set('app', { clientId: 'app', dpopBoundAccessTokens: true })
    const response = await issue(setup)
    expect([response.status, jsonOf(response).error]).toEqual([400, 'invalid_dpop_proof'])
    await nothingIssued(setup)
    const proven = await issue(setup, { headers: { dpop: await setup.proof(path) } })
    expect([proven.status, jsonOf(proven).token_type]).toEqual([200, 'DPoP'])
  })

  test('issues no tokens without a certificate to a client with certificate-bound tokens', async () => {
    const setup = await setUp()
    setup.registered.set('app', { clientId: 'app', tlsClientCertificateBoundAccessTokens: true })
    const response = await issue(setup)
    expect([response.status, jsonOf(response).error]).toEqual([400, 'invalid_request'])
    await nothingIssued(setup)
  })

  test('issues no tokens to a client that has credentials and does not authenticate', async () => {
    const setup = await setUp()
    setup.registered.set('app', { clientId: 'app', secretHashes: [hashClientSecret(SECRET)] })
    const wrong = { members: { client_secret: 'a wrong secret' } }
    for (const attempt of [{}, wrong]) expect(jsonOf(await issue(setup, attempt)).error).toBe('invalid_client')
    const presented = name.includes('refresh') ? 2 : 0
    expect(await setup.sessions()).toHaveLength(presented)
    const right = await issue(setup, { members: { client_secret: SECRET } })
    // A browser page cannot authenticate, so the cookie is not for such a client.
    expect(right.status).toBe(isByCookie ? 400 : 200)
  })

  test('issues no tokens to a client without the refresh grant', async () => {
    const setup = await setUp()
    setup.registered.set('app', { clientId: 'app', grantTypes: [] })
    const response = await issue(setup)
    expect([response.status, jsonOf(response).error]).toEqual([400, 'unauthorized_client'])
    await nothingIssued(setup)
  })
})

test('issues no tokens at login to an unregistered client that the options do not name', async () => {
  const authenticate = async () => ({ subject: 'alice', clientId: 'unknown' })
  const byCookie = await setUp({ authenticate })
  const response = await byCookie.call('/auth/login', { json: {}, headers: PAGE })
  // The session in the cookie belongs to the client of the cookie.
  expect(response.status).toBe(200)
  const body = async () => ({ subject: 'alice', clientId: 'unknown', deliver: 'body' as const })
  const setup = await setUp({ authenticate: body })
  expect(jsonOf(await setup.call('/auth/login', { json: {} })).error).toBe('unauthorized_client')
  expect(await setup.sessions()).toEqual([])
  const own = await setUp({ authenticate: body, defaults: { clientId: 'unknown' } })
  expect((await own.call('/auth/login', { json: {} })).status).toBe(200)
})

test('reads the client credentials of a login from the Authorization header too', async () => {
  const setup = await setUp()
  setup.registered.set('app', { clientId: 'app', secretHashes: [hashClientSecret(SECRET)] })
  const basic = (clientId: string) => `Basic ${Buffer.from(`${clientId}:${SECRET}`).toString('base64')}`
  const login = (authorization: string) => setup.call('/auth/login', { json: {}, headers: { authorization } })
  expect((await login(basic('app'))).status).toBe(200)
  expect((await login(basic('other'))).status).toBe(400)
  expect(await setup.sessions()).toHaveLength(1)
})

const ACCOUNT: readonly (readonly [method: string, path: (sid: string) => string])[] = [
  ['GET', () => '/auth/sessions'],
  ['DELETE', (sid) => `/auth/sessions/${sid}`],
  ['POST', () => '/auth/logout-others'],
  ['POST', () => '/auth/logout-everywhere'],
]

describe.each(ACCOUNT)('%s sessions of a user', (method, path) => {
  const send = (setup: TestSetup, session: Tokens, sid: string) =>
    setup.call(path(sid), { method, headers: bearer(session) })

  test('rejects the access token of a client that is not first-party, and changes nothing', async () => {
    const setup = await setUp()
    const [victim, session] = [await setup.begin(), await setup.begin('other')]
    const response = await send(setup, session, victim.sid)
    expect([response.status, jsonOf(response).error]).toEqual([403, 'insufficient_scope'])
    expect(headerOf(response, 'www-authenticate')).toMatch(/^Bearer .*error="insufficient_scope"/)
    expect(await setup.sessions()).toHaveLength(2)
  })

  test('accepts the clients of the app itself', async () => {
    for (const clientId of ['first-party', 'app', 'marked', 'default']) {
      const setup = await setUp({ defaults: { clientId: 'default' } })
      setup.registered.set('marked', { clientId: 'marked', firstParty: true })
      const [victim, session] = [await setup.begin(), await setup.begin(clientId)]
      expect((await send(setup, session, victim.sid)).status).toBeLessThan(300)
    }
  })

  test('accepts any client with the scope that the options name, and includes the scope in the challenge to others', async () => {
    const named = await setUp({ sessionsScope: 'read' })
    const [victim, session] = [await named.begin(), await named.begin('other')]
    expect((await send(named, session, victim.sid)).status).toBeLessThan(300)
    const setup = await setUp({ sessionsScope: 'read manage-sessions' })
    const response = await send(setup, await setup.begin('other'), victim.sid)
    expect(response.status).toBe(403)
    expect(headerOf(response, 'www-authenticate')).toContain('scope="read manage-sessions"')
    expect((await send(setup, await setup.begin('app'), (await setup.begin()).sid)).status).toBeLessThan(300)
  })
})

test('rejects a code of another issuer with the same secrets, and the other issuer accepts it', async () => {
  const setup = await setUp()
  const OTHER = 'https://other.example'
  const accessTokens = jwtAccessTokens({ issuer: OTHER, audience: OTHER, keys: [SIGNING_KEY] })
  const { tokens, shared } = setup
  const codes = authorizationCodes(tokens, { issuer: OTHER, secrets: [CODE_SECRET] })
  const clients = [{ clientId: 'app' }]
  const options = { ...shared, clients, accessTokens, authorizationEndpoint: `${OTHER}/authorize` }
  const other = authServer(tokens, { ...options, codes })
  const { code, verifier } = setup.code()
  const form = { grant_type: 'authorization_code', client_id: 'app', code, code_verifier: verifier }
  const parts = { method: 'POST', url: '/auth/token', headers: FORM, body: String(new URLSearchParams(form)) }
  const rejected = await other.endpoint(request(parts))
  expect([rejected.status, jsonOf(rejected).error]).toEqual([400, 'invalid_grant'])
  expect((await setup.server.endpoint(request(parts))).status).toBe(200)
  const foreign = authorizationCodes(tokens, { issuer: ISSUER, secrets: [CODE_SECRET] })
  expect(() => authServer(tokens, { ...options, codes: foreign })).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', option: 'codes' }),
  )
})

test('rejects invalid options of the policy at construction', () => {
  const { accessTokens, tokens } = createApp()
  const clients = [{ clientId: 'app', firstParty: 'yes' as never }]
  expect(() => authServer(tokens, { accessTokens, clients })).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', option: 'clients[0].firstParty' }),
  )
  expect(() => accessTokenGuard({ accessTokens, clients: [] })).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', option: 'checkSession' }),
  )
})
