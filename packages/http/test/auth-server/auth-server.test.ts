import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { authorizationCodes, authServer, type AuthServerOptions, jwtAccessTokens, withCors } from '../../src/index.js'
import { getMetadataPath } from '../../src/auth-server/metadata.js'
import { ISSUER, SIGNING_KEY } from '../app.js'
import {
  basic,
  CB_SECRET,
  expectError,
  FORM_TYPE,
  refreshWith,
  request,
  type RequestPatch,
  SECOND,
  send,
  createSetup,
} from '../setup.js'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const CLIENTS = [
  { clientId: 'pub' },
  { clientId: 'cb', secret: CB_SECRET },
  { clientId: 'cj', jwks: { keys: [publicKey.export({ format: 'jwk' })] } },
]
const SPA = 'https://spa.example'

/** A whole server at `/auth`, called through its single endpoint. */
function createWholeServer(options: Partial<AuthServerOptions> = {}, issuer = ISSUER) {
  const app = createSetup()
  const { tokens, clock } = app
  const accessTokens = jwtAccessTokens({ issuer, audience: issuer, keys: [SIGNING_KEY] })
  const usual = { accessTokens, clients: CLIENTS, rateLimit: false, now: () => clock.now } as const
  const server = authServer(tokens, { ...usual, ...options })
  const at = (url: string, patch: RequestPatch = {}) => send(server.endpoint, { url, ...patch })
  const metadata = async () =>
    (await at(getMetadataPath(issuer), { method: 'GET' })).body as Readonly<Record<string, unknown>>
  return { ...app, usual, server, at, metadata }
}

const withCodes = () => {
  const { tokens } = createSetup()
  const codes = authorizationCodes(tokens, { issuer: ISSUER, secrets: ['a secret of codes in a test, over 32 bytes'] })
  return { codes, authorizationEndpoint: 'https://login.example/authorize', scopes: ['read', 'write'] }
}

describe('location of the metadata', () => {
  test.each([
    ['https://h', '/.well-known/oauth-authorization-server'],
    ['https://h/', '/.well-known/oauth-authorization-server'],
    ['https://h/t1', '/.well-known/oauth-authorization-server/t1'],
    ['https://h/t1/', '/.well-known/oauth-authorization-server/t1'],
    ['https://h/a/b', '/.well-known/oauth-authorization-server/a/b'],
  ])('W-01: serves the metadata of %s at %s, by GET and HEAD, as JSON', async (issuer, path) => {
    const { at } = createWholeServer({}, issuer)
    const response = await at(path, { method: 'GET' })
    expect([response.status, response.header('content-type')]).toEqual([200, 'application/json'])
    expect((await at(path, { method: 'HEAD' })).status).toBe(200)
    expectError(await at(path), 405, 'invalid_request')
    expect(response.body.issuer).toBe(issuer)
  })
})

describe('content of the metadata', () => {
  test('W-02: contains the issuer exactly as configured and as in the access tokens', async () => {
    const { metadata, usual, tokens } = createWholeServer({}, 'https://login.example/t1/')
    expect((await metadata())['issuer']).toBe('https://login.example/t1/')
    expect(() => authServer(tokens, { ...usual, issuer: 'https://login.example/t1' })).toThrow(ConfigurationError)
  })

  test('W-03 W-05 W-08: lists the capabilities of a server with codes', async () => {
    const { metadata } = createWholeServer(withCodes())
    expect(await metadata()).toMatchObject({
      authorization_endpoint: 'https://login.example/authorize',
      token_endpoint: 'https://login.example/auth/token',
      revocation_endpoint: 'https://login.example/auth/revoke',
      introspection_endpoint: 'https://login.example/auth/introspect',
      jwks_uri: 'https://login.example/auth/jwks',
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      scopes_supported: ['read', 'write'],
      idempotency_key_supported: true,
    })
  })

  test('W-04: contains no empty or null member and no absent endpoint', async () => {
    const function_ = async () => ({ accessToken: 'x', expiresIn: 60 })
    for (const options of [{}, { accessTokens: function_, issuer: ISSUER }, { clients: [{ clientId: 'pub' }] }]) {
      const { metadata } = createWholeServer(options)
      const said = await metadata()
      for (const value of Object.values(said)) {
        expect(value).not.toBeNull()
        if (Array.isArray(value)) expect(value.length).toBeGreaterThan(0)
      }
      for (const absent of ['authorization_endpoint', 'code_challenge_methods_supported', 'scopes_supported'])
        expect(said).not.toHaveProperty(absent)
      expect(said['grant_types_supported']).toEqual(['refresh_token'])
      expect('jwks_uri' in said).toBe(!('accessTokens' in options))
      const byKey = said['token_endpoint_auth_methods_supported'] as string[]
      expect(byKey.includes('private_key_jwt')).toBe(!('clients' in options))
      expect('token_endpoint_auth_signing_alg_values_supported' in said).toBe(!('clients' in options))
    }
  })

  test('W-03: names exactly the endpoints that are served, each at a separate path', async () => {
    const { metadata, at, server } = createWholeServer({ ...withCodes(), cookie: true, authenticate: async () => null })
    const said = await metadata()
    for (const name of ['token_endpoint', 'revocation_endpoint', 'introspection_endpoint', 'jwks_uri'])
      expect((await at(new URL(String(said[name])).pathname)).status, name).not.toBe(404)
    const paths = server.routes.flatMap((route) => route.paths)
    expect(new Set(paths).size).toBe(paths.length)
    for (const path of paths) expect(server.find({ url: `${path.replace(':id', 'x')}?a=b` }), path).not.toBeNull()
    for (const url of ['/', '/auth', '/auth/', '/auth/sessions/x/y', '/AUTH/token'])
      expect(server.find({ url }), url).toBeNull()
    expectError(await at('/auth/nonsense'), 404, 'not_found')
  })

  test('finds an absolute URL in the request line by its path, with any authority', () => {
    const { server } = createWholeServer()
    const endpoint = server.find({ url: '/auth/token' })
    for (const url of ['http://a.example/auth/token', 'http://a.example:99999/auth/token?x', 'HTTP://[/auth/token/'])
      expect(server.find({ url })).toBe(endpoint)
    expect(server.find({ url: 'http://a.example' })).toBeNull()
  })

  test('ignores one trailing slash and rejects two', () => {
    const { server } = createWholeServer({ ...withCodes(), cookie: true, authenticate: async () => null })
    for (const path of server.routes.flatMap(({ paths }) => paths)) {
      const url = path.replace(':id', 'x')
      const endpoint = server.find({ url })
      expect(endpoint).not.toBeNull()
      expect(server.find({ url: `${url}/` })).toBe(endpoint)
      expect(server.find({ url: `${url}/?a=b` })).toBe(endpoint)
      expect(server.find({ url: `${url}//` })).toBeNull()
    }
  })

  test('W-06 W-07: accepts exactly the listed authentication methods at each endpoint', async () => {
    const { metadata, at, issue, clock } = createWholeServer()
    const said = await metadata()
    const assertion = (alg: string, key: KeyObject | Uint8Array) =>
      new SignJWT({ jti: randomUUID() })
        .setProtectedHeader({ alg })
        .setIssuer('cj')
        .setSubject('cj')
        .setAudience(ISSUER)
        .setIssuedAt(clock.now / SECOND)
        .setExpirationTime(clock.now / SECOND + 60)
        .sign(key)
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    const methods: Record<
      string,
      () => Promise<{ clientId: string; fields?: object; headers?: Record<string, string> }>
    > = {
      none: async () => ({ clientId: 'pub', fields: { client_id: 'pub' } }),
      client_secret_basic: async () => ({ clientId: 'cb', headers: { authorization: basic('cb', CB_SECRET) } }),
      client_secret_post: async () => ({ clientId: 'cb', fields: { client_id: 'cb', client_secret: CB_SECRET } }),
      private_key_jwt: async () => ({
        clientId: 'cj',
        fields: { client_assertion_type: type, client_assertion: await assertion('ES256', privateKey) },
      }),
      client_secret_jwt: async () => ({
        clientId: 'cj',
        fields: { client_assertion_type: type, client_assertion: await assertion('HS256', Buffer.from(CB_SECRET)) },
      }),
    }
    for (const [endpoint, path] of [
      ['token_endpoint', '/auth/token'],
      ['revocation_endpoint', '/auth/revoke'],
      ['introspection_endpoint', '/auth/introspect'],
    ] as const) {
      const listed = said[`${endpoint}_auth_methods_supported`] as string[]
      const algorithms = said[`${endpoint}_auth_signing_alg_values_supported`] as string[]
      expect(algorithms).toContain('ES256')
      expect(algorithms).not.toContain('none')
      for (const method of listed) expect(Object.keys(methods)).toContain(method)
      for (const [method, credentials] of Object.entries(methods)) {
        const { clientId, fields = {}, headers = {} } = await credentials()
        const token = await issue({ clientId })
        const parameters = { grant_type: 'refresh_token', refresh_token: token, token, ...fields }
        const body = new URLSearchParams(parameters).toString()
        const response = await at(path, { body, headers: { 'content-type': FORM_TYPE, ...headers } })
        expect(response.status === 200, `${method} at ${endpoint}`).toBe(listed.includes(method))
        if (!listed.includes(method)) expect(response.body.error).toBe('invalid_client')
      }
    }
  })

  test('W-09 W-06: lists certificate methods only with a source of certificates', async () => {
    const methods = ['tls_client_auth', 'self_signed_tls_client_auth']
    const seeing = await createWholeServer({ clientCertificates: 'tls' }).metadata()
    const blind = await createWholeServer().metadata()
    expect(seeing).toMatchObject({ tls_client_certificate_bound_access_tokens: true })
    expect(blind).not.toHaveProperty('tls_client_certificate_bound_access_tokens')
    for (const endpoint of ['token', 'revocation', 'introspection']) {
      const name = `${endpoint}_endpoint_auth_methods_supported`
      expect(seeing[name]).toEqual(expect.arrayContaining(methods))
      expect(blind[name]).not.toEqual(expect.arrayContaining(methods))
    }
  })

  test('W-09: lists the proof algorithms that the endpoints accept', async () => {
    const { metadata } = createWholeServer({ dpop: { algorithms: ['ES256'] } })
    expect((await metadata())['dpop_signing_alg_values_supported']).toEqual(['ES256'])
  })

  test('D-07 T-11: uses the issuer as the public URL by default, and accepts plain http only on this machine', async () => {
    const { tokens, usual, metadata } = createWholeServer({ publicUrl: 'https://public.example/cut/' })
    expect((await metadata())['token_endpoint']).toBe('https://public.example/cut/auth/token')
    const make = (issuer: string) => {
      const accessTokens = jwtAccessTokens({ issuer, audience: issuer, keys: [SIGNING_KEY] })
      return () => authServer(tokens, { ...usual, accessTokens })
    }
    expect(make('http://login.example')).toThrow(ConfigurationError)
    expect(make('http://127.0.0.1:3000')).not.toThrow()
  })

  test('rejects invalid options', () => {
    const { tokens, usual } = createWholeServer()
    const wrong: object[] = [
      { codes: withCodes().codes },
      { authorizationEndpoint: 'https://login.example/authorize' },
      { accessTokens: async () => ({ accessToken: 'x', expiresIn: 1 }) },
      { basePath: '/auth/' },
      { basePath: 'auth' },
      { basePath: '/a?b' },
      { paths: { token: '/x', revocation: '/x' } },
      { paths: { metadata: '/x' } },
      { cors: { origins: ['https://spa.example/'] } },
      { cors: { origins: ['*'] } },
      { cors: { origins: 'https://spa.example' } },
      { cors: { credentials: true, origins: [] } },
      { unknown: 1 },
    ]
    for (const options of wrong)
      expect(() => authServer(tokens, { ...usual, ...options }), JSON.stringify(options)).toThrow(ConfigurationError)
    expect(
      authServer(tokens, { ...usual, basePath: '', paths: { token: '/oauth/token' } }).find({ url: '/oauth/token' }),
    ).not.toBeNull()
  })
})

describe('CORS', () => {
  const preflight = (origin: string | string[] | undefined): RequestPatch => ({
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'dpop, content-type, authorization',
    },
  })

  test('H-01 D-18: lets pages of listed origins send requests and read responses, including errors', async () => {
    const { at, issue } = createWholeServer({ cors: { origins: [SPA] } })
    for (const path of ['/auth/token', '/auth/revoke']) {
      const preflightResponse = await at(path, preflight(SPA))
      expect(preflightResponse.status).toBe(204)
      expect(preflightResponse.header('access-control-allow-origin')).toBe(SPA)
      expect(preflightResponse.header('access-control-allow-methods')).toBe('POST')
      for (const name of ['dpop', 'content-type', 'authorization', 'idempotency-key'])
        expect(preflightResponse.header('access-control-allow-headers')?.split(', ')).toContain(name)
      expect(preflightResponse.header('vary')).toBe('Origin')
      for (const token of [await issue(), 'garbage']) {
        const parameters = { grant_type: 'refresh_token', client_id: 'pub', refresh_token: token }
        const body = new URLSearchParams(parameters).toString()
        const response = await at(path, { body, headers: { 'content-type': FORM_TYPE, origin: SPA } })
        expect(response.all('access-control-allow-origin')).toEqual([SPA])
        expect(response.header('access-control-expose-headers')).toContain('dpop-nonce')
        expect(response.header('access-control-expose-headers')).toContain('www-authenticate')
        // Without it a page cannot determine how long a `Retry-After` date lasts.
        expect(response.header('access-control-expose-headers')?.split(', ')).toContain('date')
      }
    }
  })

  test('H-02: never allows credentials and does not repeat an unlisted origin', async () => {
    const { server, issue } = createWholeServer({ cors: { origins: [SPA] }, cookie: true, ...withCodes() })
    const token = (headers: RequestPatch['headers'], rt: string) =>
      refreshWith(server.endpoint, rt, {}, { url: '/auth/token', headers: headers ?? {} })
    const foreign = [
      'https://evil.example',
      'null',
      'https://spa.example.evil.example',
      'https://SPA.example',
      'http://spa.example',
    ]
    for (const origin of [...foreign, [SPA, 'https://evil.example'], undefined]) {
      const real = await token({ origin }, await issue())
      const preflightResponse = await send(server.endpoint, { url: '/auth/token', ...preflight(origin) })
      expect(preflightResponse.status).toBe(405)
      for (const response of [real, preflightResponse]) {
        expect(response.header('access-control-allow-origin')).toBeNull()
        expect(response.header('vary')).toBe('Origin')
      }
    }
    const allowed = [
      await token({ origin: SPA }, 'x'),
      await send(server.endpoint, { url: '/auth/token', ...preflight(SPA) }),
    ]
    for (const response of allowed) expect(response.header('access-control-allow-credentials')).toBeNull()
  })

  test('H-01: allows no CORS at the cookie, sessions and introspection endpoints, and all origins at metadata and keys', async () => {
    const { at } = createWholeServer({ cors: { origins: [SPA] }, cookie: true, authenticate: async () => null })
    for (const path of ['/auth/refresh', '/auth/logout', '/auth/login', '/auth/introspect', '/auth/sessions']) {
      const response = await at(path, preflight(SPA))
      expect([response.status, response.header('access-control-allow-origin')]).toEqual([405, null])
    }
    for (const path of ['/auth/jwks', '/.well-known/oauth-authorization-server'])
      expect((await at(path, { method: 'GET', headers: { origin: SPA } })).header('access-control-allow-origin')).toBe(
        '*',
      )
  })

  test('H-01: adds CORS to a single endpoint with withCors', async () => {
    const endpoint = withCors(async () => ({ status: 200, headers: [['vary', 'Cookie']], body: null }), {
      origins: [SPA],
    })
    const { headers } = await endpoint(request({ headers: { origin: SPA } }))
    expect(headers.filter(([name]) => name === 'vary')).toEqual([
      ['vary', 'Cookie'],
      ['vary', 'Origin'],
    ])
  })
})

describe('find with a mount path', () => {
  const found = (url: string, mountPath: string, options = {}) =>
    createWholeServer(options).server.find({ url }, mountPath) !== null

  test.each([
    ['/x/auth/token', '/x'],
    ['/x/y/auth/token?a=b', '/x/y'],
    ['/x/auth/token', '/x/auth/*'],
    ['/x/auth/token', '/x/auth'],
    ['/x/auth/token', '/x/{*rest}'],
    ['/acme/auth/token/', '/:tenant{/*rest}'],
    ['http://a.example/x/auth/token', 'http://a.example/x'],
    ['/auth/token', ''],
    ['/auth/token', '*'],
  ])('finds %s below %s', (url, mountPath) => {
    expect(found(url, mountPath)).toBe(true)
  })

  test.each([
    ['/x/auth/token', ''],
    ['/x/auth/token', '*'],
    ['/x/y/auth/token', '/x'],
    ['/x/y/auth/token', '/x/*'],
    ['http://a.example/x/y/auth/token', 'http://a.example/x'],
    ['/x/token', '/x'],
    ['/x/.well-known/oauth-authorization-server', '/x'],
  ])('does not find %s below %s', (url, mountPath) => {
    expect(found(url, mountPath)).toBe(false)
  })

  test('finds a base path that begins with the mount path', () => {
    expect(found('/x/auth/token', '/x', { basePath: '/x/auth' })).toBe(true)
  })

  test('finds paths directly below the mount path with an empty base path', () => {
    expect(found('/x/token', '/x', { basePath: '' })).toBe(true)
    expect(found('/x/sessions/1', '/x', { basePath: '' })).toBe(true)
  })
})
