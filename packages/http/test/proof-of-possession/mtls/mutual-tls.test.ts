import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpsRequest, type RequestOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  accessTokenGuard,
  authorizationCodes,
  certificateToJwk,
  deriveSigningKey,
  jwtAccessTokens,
  type PlainRequest,
  tokenEndpoint,
  sessionsEndpoint,
  type StaticClient,
  toNodeHandler,
} from '../../../src/index.js'
import { AUTHORITY, BILLING, OTHER, SELF_SIGNED, SERVER, WITHOUT_SUBJECT } from './certificates.js'
import { createProver } from '../dpop/prover.js'
import {
  CB_SECRET,
  CODE_SECRET,
  expectError,
  readableAccessTokens,
  post,
  request,
  type RequestPatch,
  send,
  createSetup,
} from '../../setup.js'

const ISSUER = 'https://as.example'
const SECRET = 'the signing secret of these tests, 40 bytes!'
const DN = 'CN=billing,O=Example\\, Inc.,C=SE'

const SELF_KEY = certificateToJwk(SELF_SIGNED.cert)
const SELF: StaticClient = {
  clientId: 'self',
  tokenEndpointAuthMethod: 'self_signed_tls_client_auth',
  jwks: { keys: [SELF_KEY] },
}

const CLIENTS: readonly StaticClient[] = [
  { clientId: 'billing', tlsClientAuthSubjectDn: DN },
  SELF,
  { clientId: 'bound', tlsClientCertificateBoundAccessTokens: true, firstParty: true },
  { clientId: 'cb', secret: CB_SECRET },
  { clientId: 'pub' },
]

const derOf = (pem: string) => new X509Certificate(pem).raw

/** A request over TLS that this server terminates, from a client with this certificate. */
function withCertificate(pem: string | null, isVerified = true): Pick<PlainRequest, 'peerCertificate'> {
  return { peerCertificate: () => (pem === null ? null : { der: derOf(pem), isVerified }) }
}

function startServer(clientCertificates: unknown = 'tls', more: object = {}, clients: readonly object[] = CLIENTS) {
  const setup = createSetup()
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [deriveSigningKey(SECRET)] })
  const codes = authorizationCodes(setup.tokens, { issuer: ISSUER, secrets: [CODE_SECRET] })
  const options = { rateLimit: false, now: () => setup.clock.now, clients, issuer: ISSUER, ...more, clientCertificates }
  const token = tokenEndpoint(setup.tokens, { accessTokens, codes, ...options } as Parameters<typeof tokenEndpoint>[1])
  const guard = accessTokenGuard({ accessTokens, now: () => setup.clock.now, clientCertificates: 'tls' })
  const refresh = async (clientId: string, patch: RequestPatch, parameters: Record<string, string> = {}) => {
    const refresh_token = parameters['refresh_token'] ?? (await setup.issue({ clientId }))
    return post(token, { grant_type: 'refresh_token', client_id: clientId, refresh_token, ...parameters }, patch)
  }
  const sessions = sessionsEndpoint(setup.tokens, {
    accessTokens,
    clients: CLIENTS,
    rateLimit: false,
    now: () => setup.clock.now,
    clientCertificates: 'tls',
  })
  return { ...setup, codes, guard, refresh, sessions, token }
}

describe('tls_client_auth', () => {
  it('M-01, M-02: authenticates a client by its one registered name in a verified certificate', async () => {
    const setup = startServer()
    expect((await setup.refresh('billing', withCertificate(BILLING.cert))).status).toBe(200)
    for (const certificate of [
      withCertificate(OTHER.cert),
      withCertificate(BILLING.cert, false),
      withCertificate(SELF_SIGNED.cert),
      withCertificate(null),
      {},
    ])
      expectError(await setup.refresh('billing', certificate), 400, 'invalid_client')
    const anonymous = { grant_type: 'refresh_token', refresh_token: await setup.issue({ clientId: 'billing' }) }
    expectError(await post(setup.token, anonymous, withCertificate(BILLING.cert)), 400, 'invalid_client')
  })

  it.each<[string, object, string, number]>([
    ['a name in DNS', { tlsClientAuthSanDns: 'billing.example' }, BILLING.cert, 200],
    ['another', { tlsClientAuthSanDns: 'example' }, BILLING.cert, 400],
    ['one that a wildcard would cover', { tlsClientAuthSanDns: 'billing.example' }, OTHER.cert, 400],
    ['a URI', { tlsClientAuthSanUri: 'spiffe://example/billing' }, BILLING.cert, 200],
    ['a URI that another one contains', { tlsClientAuthSanUri: 'spiffe://example/billing' }, OTHER.cert, 400],
    ['an address', { tlsClientAuthSanIp: '192.0.2.1' }, BILLING.cert, 200],
    ['another address', { tlsClientAuthSanIp: '192.0.2.2' }, BILLING.cert, 400],
    ['an e-mail address', { tlsClientAuthSanEmail: 'billing@example.com' }, BILLING.cert, 200],
    ['another e-mail address', { tlsClientAuthSanEmail: 'other@example.com' }, BILLING.cert, 400],
    ['a part of the subject', { tlsClientAuthSubjectDn: 'CN=billing' }, BILLING.cert, 400],
    [
      'the subject, the other way round',
      { tlsClientAuthSubjectDn: 'C=SE,O=Example\\, Inc.,CN=billing' },
      BILLING.cert,
      400,
    ],
    ['the common name as a name in DNS', { tlsClientAuthSanDns: 'billing' }, BILLING.cert, 400],
    ['a subject that the certificate does not have', { tlsClientAuthSubjectDn: DN }, WITHOUT_SUBJECT, 400],
    [
      'a name in DNS of a certificate without a subject',
      { tlsClientAuthSanDns: 'nameless.example' },
      WITHOUT_SUBJECT,
      200,
    ],
  ])('M-02: compares the registered name: %s', async (_name, registered, cert, status) => {
    const setup = startServer('tls', {}, [{ clientId: 'billing', ...registered }])
    expect((await setup.refresh('billing', withCertificate(cert))).status).toBe(status)
  })

  it.each([
    { tokenEndpointAuthMethod: 'tls_client_auth' },
    { tlsClientAuthSubjectDn: DN, tlsClientAuthSanDns: 'billing.example' },
    { tlsClientAuthSubjectCn: 'billing' },
    { tlsClientAuthSubjectDn: '' },
    { tlsClientAuthSanIp: 'billing' },
    { tlsClientAuthSubjectDn: DN, secret: CB_SECRET },
    { tlsClientAuthSubjectDn: DN, jwks: SELF.jwks },
    { tokenEndpointAuthMethod: 'self_signed_tls_client_auth' },
    { ...SELF, jwks: { keys: [] } },
    { ...SELF, jwks: { keys: [{ ...SELF_KEY, x5c: undefined }] } },
    { ...SELF, jwks: { keys: [{ ...SELF_KEY, x5c: ['not a certificate'] }] } },
    { ...SELF, jwks: { keys: [{ ...SELF_KEY, x5c: certificateToJwk(BILLING.cert).x5c }] } },
  ])('M-02: rejects the registration %o', (client) => {
    expect(() => startServer('tls', {}, [{ clientId: 'billing', ...client }])).toThrow(
      expect.objectContaining({ name: 'ConfigurationError' }),
    )
  })
})

describe('self_signed_tls_client_auth', () => {
  it('M-03: authenticates a client by its registered certificate, with any issuer', async () => {
    const setup = startServer()
    for (const isVerified of [true, false])
      expect((await setup.refresh('self', withCertificate(SELF_SIGNED.cert, isVerified))).status).toBe(200)
    for (const pem of [BILLING.cert, OTHER.cert, null])
      expectError(await setup.refresh('self', withCertificate(pem)), 400, 'invalid_client')
  })

  it('C-10: rejects a secret or the client_id alone of a client with a self-signed certificate', async () => {
    const setup = startServer()
    const withSecret = { client_secret: CB_SECRET }
    expectError(await setup.refresh('self', withCertificate(SELF_SIGNED.cert), withSecret), 400, 'invalid_client')
    expectError(await setup.refresh('cb', withCertificate(SELF_SIGNED.cert)), 400, 'invalid_client')
    expect((await setup.refresh('cb', withCertificate(SELF_SIGNED.cert), withSecret)).status).toBe(200)
  })
})

describe('certificate-bound tokens', () => {
  const accessWith = async (
    setup: ReturnType<typeof startServer>,
    accessToken: string,
    pem: string | null,
    scheme = 'Bearer',
  ) => {
    const patch = { method: 'GET', url: '/api/me', headers: { authorization: `${scheme} ${accessToken}` } }
    const outcome = await setup.guard(request({ ...patch, ...withCertificate(pem) }))
    return outcome.ok ? 200 : outcome.response.status
  }

  it('M-04: binds a token to the thumbprint, and rejects it without the certificate', async () => {
    const setup = startServer()
    const refresh_token = await setup.issue({ clientId: 'bound', confirmation: thumbprint(SELF_SIGNED.cert) })
    const reply = await setup.refresh('bound', withCertificate(SELF_SIGNED.cert), { refresh_token })
    expect(reply.body).toMatchObject({ token_type: 'Bearer' })
    const { access_token: accessToken } = reply.body
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url').toString())
    expect(claims.cnf).toEqual(thumbprint(SELF_SIGNED.cert))
    expect(await accessWith(setup, accessToken, SELF_SIGNED.cert)).toBe(200)
    for (const pem of [BILLING.cert, null]) expect(await accessWith(setup, accessToken, pem)).toBe(401)
    expect(await accessWith(setup, accessToken, SELF_SIGNED.cert, 'DPoP')).toBe(401)
  })

  it('M-04: lists the sessions of the subject only with the certificate', async () => {
    const setup = startServer()
    const refresh_token = await setup.issue({ clientId: 'bound', confirmation: thumbprint(SELF_SIGNED.cert) })
    const { body } = await setup.refresh('bound', withCertificate(SELF_SIGNED.cert), { refresh_token })
    const list = (pem: string) =>
      send(setup.sessions, {
        method: 'GET',
        url: '/auth/sessions',
        headers: { authorization: `Bearer ${body.access_token}` },
        ...withCertificate(pem),
      })
    expect((await list(SELF_SIGNED.cert)).body.sessions).toHaveLength(1)
    expect((await list(BILLING.cert)).status).toBe(401)
  })

  it('M-05: binds the session of a public client to its certificate from the code on, through rotations', async () => {
    const setup = startServer()
    const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
    const codeChallenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    const code = setup.codes.issue({ subject: 'alice', clientId: 'bound', redirectUri: null, codeChallenge })
    const parameters = { grant_type: 'authorization_code', client_id: 'bound', code, code_verifier: verifier }
    expectError(await post(setup.token, parameters), 400, 'invalid_request')
    const first = await post(setup.token, parameters, withCertificate(SELF_SIGNED.cert))
    expect((await setup.families())[0]).toMatchObject({ confirmation: thumbprint(SELF_SIGNED.cert) })
    const { refresh_token } = first.body
    expectError(await setup.refresh('bound', withCertificate(BILLING.cert), { refresh_token }), 400, 'invalid_grant')
    expectError(await setup.refresh('bound', withCertificate(null), { refresh_token }), 400, 'invalid_request')
    const next = await setup.refresh('bound', withCertificate(SELF_SIGNED.cert), { refresh_token })
    expect(next.body.refresh_token).not.toBe(refresh_token)
    const after = await setup.refresh('bound', withCertificate(SELF_SIGNED.cert), {
      refresh_token: next.body.refresh_token,
    })
    expect(after.status).toBe(200)
  })

  it('rejects a second binding', async () => {
    const setup = startServer()
    const prover = await createProver(() => setup.clock.now)
    const refresh_token = await setup.issue({ clientId: 'bound', confirmation: thumbprint(SELF_SIGNED.cert) })
    const patch = { ...withCertificate(SELF_SIGNED.cert), headers: { dpop: await prover.prove() } }
    expectError(await setup.refresh('bound', patch, { refresh_token }), 400, 'invalid_request')
  })

  it('does not bind tokens of a client that is not registered for it', async () => {
    const setup = startServer()
    const reply = await setup.refresh('pub', withCertificate(SELF_SIGNED.cert))
    expect(await accessWith(setup, reply.body.access_token, null)).toBe(200)
  })
})

describe('certificates from a proxy', () => {
  const source = { header: 'x-client-cert', verified: { header: 'x-client-verify', value: 'SUCCESS' } }
  const TRUST = { trustProxy: 1 }
  const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.7' }
  const base64 = derOf(BILLING.cert).toString('base64')
  const sending = (value: string | readonly string[], verify: string | readonly string[] = 'SUCCESS') => ({
    headers: { ...forwarded, 'x-client-cert': value, 'x-client-verify': verify },
  })

  it.each([
    ['escaped PEM', encodeURIComponent(BILLING.cert)],
    ['escaped PEM with plain spaces', encodeURIComponent(BILLING.cert).replaceAll('%20', ' ')],
    ['PEM in one line', BILLING.cert.replaceAll('\n', ' ').trim()],
    ['base64', base64],
    ['base64 between colons', `:${base64}:`],
  ])('reads %s', async (_name, value) => {
    const setup = startServer(source, TRUST)
    expect((await setup.refresh('billing', sending(value))).status).toBe(200)
  })

  it.each<[string, RequestPatch]>([
    ['a failed verification', sending(base64, 'FAILED:unable to verify')],
    ['a verification that is repeated', sending(base64, ['SUCCESS', 'SUCCESS'])],
    ['a certificate that is repeated', sending([base64, base64])],
    ['an invalid certificate', sending('rubbish')],
    ['a broken escape', sending('-----BEGIN%ZZ')],
    ['an empty certificate', sending('')],
    ['a certificate of a megabyte', sending(base64.repeat(1000))],
    ['the certificate of the connection to the proxy', { headers: forwarded, ...withCertificate(BILLING.cert) }],
  ])('M-06: authenticates no client with %s', async (_name, patch) => {
    expectError(await startServer(source, TRUST).refresh('billing', patch), 400, 'invalid_client')
  })

  it('ignores the names without a header for the verification, but accepts a registered certificate', async () => {
    const setup = startServer({ header: 'x-client-cert' }, TRUST)
    expectError(await setup.refresh('billing', sending(base64)), 400, 'invalid_client')
    expect((await setup.refresh('self', sending(derOf(SELF_SIGNED.cert).toString('base64')))).status).toBe(200)
  })

  it('M-06: ignores a header that the options do not name', async () => {
    expectError(await startServer('tls', TRUST).refresh('billing', sending(base64)), 400, 'invalid_client')
  })

  it.each([
    ['no proxy is trusted', source, {}, 'clientCertificates'],
    ['the source is unknown', 'header', TRUST, 'clientCertificates'],
    ['the name is no header in lower case', { header: 'X-Client-Cert' }, TRUST, 'clientCertificates.header'],
    [
      'the value of the verified header is missing',
      { header: 'x-client-cert', verified: { header: 'x-client-verify' } },
      TRUST,
      'clientCertificates.verified.value',
    ],
  ])('rejects the option if %s', (_name, clientCertificates, more, option) => {
    expect(() => startServer(clientCertificates, more)).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', option }),
    )
  })

  it.each([
    [{ clientId: 'billing', tlsClientAuthSubjectDn: DN }],
    [SELF],
    [{ clientId: 'bound', tlsClientCertificateBoundAccessTokens: true }],
  ])('rejects a client with a certificate if there is no source of certificates: %o', (client) => {
    const { tokens } = createSetup()
    const accessTokens = readableAccessTokens()
    expect(() => tokenEndpoint(tokens, { accessTokens, clients: [client] })).toThrow(
      /^option "clientCertificates" is missing/,
    )
  })
})

describe('real TLS server', () => {
  it('M-01, M-03: reads the certificate of the client', async () => {
    const setup = startServer()
    const handler = toNodeHandler(setup.token)
    const tls = { ...SERVER, ca: AUTHORITY, requestCert: true, rejectUnauthorized: false }
    const server = createServer(tls, handler).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const send = async (clientId: string, pair: Pick<RequestOptions, 'cert' | 'key'>) => {
      const refresh_token = await setup.issue({ clientId })
      const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: clientId, refresh_token }).toString()
      const headers = { 'content-type': 'application/x-www-form-urlencoded', connection: 'close' }
      const call = httpsRequest({
        host: '127.0.0.1',
        port,
        method: 'POST',
        ca: AUTHORITY,
        agent: false,
        headers,
        ...pair,
      })
      call.end(body)
      const [response] = (await once(call, 'response')) as [{ statusCode: number; resume(): void }]
      response.resume()
      return response.statusCode
    }
    try {
      expect(await send('billing', BILLING)).toBe(200)
      expect(await send('billing', OTHER)).toBe(400)
      expect(await send('billing', SELF_SIGNED)).toBe(400)
      expect(await send('billing', {})).toBe(400)
      expect(await send('self', SELF_SIGNED)).toBe(200)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

function thumbprint(pem: string): { 'x5t#S256': string } {
  const { fingerprint256 } = new X509Certificate(pem)
  return { 'x5t#S256': Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url') }
}
