import { randomUUID } from 'node:crypto'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Client, type ClientKey, tokenEndpoint, revocationEndpoint, type StaticClient } from '../../src/index.js'
import { createProver } from '../proof-of-possession/dpop/prover.js'
import {
  basic,
  CB_SECRET,
  expectError,
  readableAccessTokens,
  post,
  type RequestPatch,
  START,
  createSetup,
} from '../setup.js'

const ISSUER = 'https://as.example'
const TOKEN_URL = `${ISSUER}/oauth/token`
const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

interface Pair {
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  readonly jwk: ClientKey
}

const pairs: Record<string, Pair> = {}

beforeAll(async () => {
  for (const alg of ['ES256', 'ES384', 'Ed25519', 'EdDSA', 'RS256', 'PS256']) {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
    pairs[alg] = { alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid: alg } }
  }
})

function startServer(more: Record<string, unknown> = {}, client: Partial<StaticClient> = {}) {
  const clients = [
    { clientId: 'cj', jwks: { keys: [pairs['ES256']!.jwk] }, ...client },
    { clientId: 'cj2', jwks: { keys: [pairs['ES384']!.jwk] } },
    { clientId: 'cb', secret: CB_SECRET },
    { clientId: 'pub' },
  ]
  const setup = createSetup()
  const options = { rateLimit: false, now: () => setup.clock.now, clients, issuer: ISSUER, ...more } as const
  const token = tokenEndpoint(setup.tokens, { accessTokens: readableAccessTokens(), ...options })
  const revoke = revocationEndpoint(setup.tokens, options)
  const send = async (parameters: Record<string, string>, patch: RequestPatch = {}) => {
    const refresh_token = await setup.issue({ clientId: 'cj' })
    return post(token, { grant_type: 'refresh_token', refresh_token, ...parameters }, patch)
  }
  const sendAssertion = (client_assertion: string, parameters: Record<string, string> = {}, patch: RequestPatch = {}) =>
    send({ client_assertion_type: TYPE, client_assertion, ...parameters }, patch)
  return { ...setup, token, revoke, send, sendAssertion }
}

const SECONDS = START / 1000

interface Changes {
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
  readonly alg?: string
}

/** Returns a valid assertion with the given changes. Undefined members are omitted. */
function assertion({ claims = {}, header = {}, alg = 'ES256' }: Changes = {}): Promise<string> {
  const payload = { iss: 'cj', sub: 'cj', aud: ISSUER, jti: randomUUID(), iat: SECONDS, exp: SECONDS + 60, ...claims }
  return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>)
    .setProtectedHeader(JSON.parse(JSON.stringify({ alg, kid: alg, ...header })) as { alg: string })
    .sign(pairs[alg]!.privateKey)
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

describe('private_key_jwt', () => {
  it('accepts an assertion at the token and the revocation endpoint, each assertion once', async () => {
    const setup = startServer()
    const text = await assertion()
    const response = await setup.sendAssertion(text)
    expect(response.status).toBe(200)
    const { refresh_token: token } = response.body
    const revocation = { client_assertion_type: TYPE, token }
    expectError(await post(setup.revoke, { ...revocation, client_assertion: text }), 400, 'invalid_client')
    const again = await post(setup.revoke, { ...revocation, client_assertion: await assertion() })
    expect(again.status).toBe(200)
    expect(await setup.families()).toEqual([])
  })

  it('accepts a fractional exp and stores the assertion until a whole millisecond', async () => {
    const ends: number[] = []
    const { tokens } = createSetup()
    const memory = {
      ...tokens,
      consumeOnce: (request: Parameters<typeof tokens.consumeOnce>[0]) => (
        ends.push(request.expiresAt),
        tokens.consumeOnce(request)
      ),
    }
    const clients = [{ clientId: 'cj', jwks: { keys: [pairs['ES256']!.jwk] } }]
    const revoke = revocationEndpoint(memory, { clients, issuer: ISSUER, rateLimit: false, now: () => START })
    const text = await assertion({ claims: { exp: SECONDS + 60.1234567 } })
    const request = { client_assertion_type: TYPE, client_assertion: text, token: 'x' }
    expect((await post(revoke, request)).status).toBe(200)
    expectError(await post(revoke, request), 400, 'invalid_client')
    expect(ends.map(Number.isInteger)).toEqual([true, true])
  })

  it.each(['ES256', 'ES384', 'Ed25519', 'EdDSA', 'RS256', 'PS256'])(
    'J-05: accepts assertions signed with %s',
    async (alg) => {
      const setup = startServer({}, { jwks: { keys: [pairs[alg]!.jwk] } })
      expect((await setup.sendAssertion(await assertion({ alg }))).status).toBe(200)
    },
  )

  it('authenticates the client, so that rotation "never" applies', async () => {
    const setup = startServer({}, { rotation: 'never' })
    const refresh_token = await setup.issue({ clientId: 'cj' })
    const response = await setup.sendAssertion(await assertion(), { refresh_token })
    expect(response.body.refresh_token).toBe(refresh_token)
  })

  it('J-01: requires the assertion type of RFC 7523 and exactly one JWT', async () => {
    const setup = startServer()
    const text = await assertion()
    const bad: Record<string, string>[] = [
      { client_assertion: text },
      { client_assertion_type: TYPE },
      { client_assertion_type: TYPE.toUpperCase(), client_assertion: text },
      { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:saml2-bearer', client_assertion: text },
      ...['x', 'a.b.c', `${text}.${text}`, `${text} ${await assertion()}`, `${text}=`, text.split('.')[1]!].map(
        (client_assertion) => ({ client_assertion_type: TYPE, client_assertion }),
      ),
    ]
    for (const parameters of bad) expectError(await setup.send(parameters), 400, 'invalid_client')
    expect((await setup.sendAssertion(text)).status).toBe(200)
    const twice = await post(setup.token, `client_assertion=${text}&client_assertion=${text}`)
    expectError(twice, 400, 'invalid_request')
  })

  it('J-02, J-07: requires every claim, with the client as iss and sub', async () => {
    const setup = startServer()
    const changes: Record<string, unknown>[] = [
      ...['iss', 'sub', 'aud', 'exp', 'jti'].map((name) => ({ [name]: undefined })),
      { iss: 'cb' },
      { sub: 'cb' },
      { iss: 'cb', sub: 'cb' },
      { iss: 'cj2', sub: 'cj2' },
      { iss: 'unknown', sub: 'unknown' },
      { iss: ['cj'], sub: ['cj'] },
      { exp: 'soon' },
      { exp: null },
      { jti: '' },
      { jti: 5 },
    ]
    for (const claims of changes)
      expectError(await setup.sendAssertion(await assertion({ claims })), 400, 'invalid_client')
  })

  it('J-03: requires the issuer as the single aud, compared exactly', async () => {
    const setup = startServer()
    for (const aud of [
      'https://other.example',
      TOKEN_URL,
      `${ISSUER}/`,
      'https://AS.example',
      [ISSUER],
      [ISSUER, 'https://other.example'],
      { 0: ISSUER },
      5,
    ])
      expectError(await setup.sendAssertion(await assertion({ claims: { aud } })), 400, 'invalid_client')
  })

  it('J-03: accepts other audiences and lists only if assertionAudiences names them', async () => {
    const setup = startServer({ assertionAudiences: [TOKEN_URL] })
    for (const aud of [ISSUER, TOKEN_URL, [TOKEN_URL], [ISSUER, 'https://other.example']])
      expect((await setup.sendAssertion(await assertion({ claims: { aud } }))).status).toBe(200)
    for (const aud of ['https://other.example', ['https://other.example'], []])
      expectError(await setup.sendAssertion(await assertion({ claims: { aud } })), 400, 'invalid_client')
  })

  it.each([
    ['expired two minutes ago', { exp: SECONDS - 120 }, 400],
    ['expired ten seconds ago', { exp: SECONDS - 10 }, 200],
    ['not yet valid', { nbf: SECONDS + 120 }, 400],
    ['valid in ten seconds', { nbf: SECONDS + 10 }, 200],
    ['issued in ten seconds', { iat: SECONDS + 10 }, 200],
    ['issued in two minutes', { iat: SECONDS + 120 }, 400],
    ['valid for a year', { exp: SECONDS + 365 * 86_400 }, 400],
    ['valid for an hour', { exp: SECONDS + 3600 }, 200],
    ['valid without a limit', { exp: 1e300 }, 400],
    ['without iat', { iat: undefined }, 200],
  ])('J-04: checks the times of an assertion: %s', async (_name, claims, status) => {
    expect((await startServer().sendAssertion(await assertion({ claims }))).status).toBe(status)
  })

  it('J-05: requires a signature by a registered key with an asymmetric algorithm', async () => {
    const rsa = pairs['RS256']!
    const setup = startServer({}, { jwks: { keys: [pairs['ES256']!.jwk, rsa.jwk] } })
    const payload = { iss: 'cj', sub: 'cj', aud: ISSUER, jti: 'x', exp: SECONDS + 60 }
    const none = `${encoded({ alg: 'none' })}.${encoded(payload)}.`
    const noneSigned = `${encoded({ alg: 'none' })}.${encoded(payload)}.AAAA`
    const hmac = await new SignJWT(payload)
      .setProtectedHeader({ alg: 'HS256', kid: 'RS256' })
      .sign(new TextEncoder().encode(await exportSPKI(rsa.publicKey)))
    const good = await assertion()
    const [head, body, signature] = good.split('.') as [string, string, string]
    const flipped = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
    const bad = [
      none,
      noneSigned,
      hmac,
      await assertion({ header: { kid: 'unknown' } }),
      await assertion({ header: { kid: 'RS256' } }),
      await assertion({ alg: 'ES384' }),
      await assertion({ header: { crit: ['exp'] } }).catch(() => none),
      `${head}.${body}.${flipped(signature)}`,
      `${head}.${encoded({ ...payload, jti: 'y' })}.${signature}`,
    ]
    for (const text of bad) expectError(await setup.sendAssertion(text), 400, 'invalid_client')
    for (const text of [good, await assertion({ header: { kid: undefined } }), await assertion({ alg: 'RS256' })])
      expect((await setup.sendAssertion(text)).status).toBe(200)
  })

  it('J-05: ignores a key in the header of the assertion', async () => {
    const setup = startServer()
    const { jwk, privateJwk } = await createProver(() => setup.clock.now)
    const header = { alg: 'ES256', jwk, jku: 'https://evil.example/jwks', kid: 'ES256' }
    const { importJWK } = await import('jose')
    const forged = await new SignJWT({ iss: 'cj', sub: 'cj', aud: ISSUER, jti: 'x', exp: SECONDS + 60 })
      .setProtectedHeader(header)
      .sign(await importJWK(await privateJwk(), 'ES256'))
    expectError(await setup.sendAssertion(forged), 400, 'invalid_client')
  })

  it('J-05: uses a key only for its registered algorithm', async () => {
    const setup = startServer({}, { jwks: { keys: [{ ...pairs['RS256']!.jwk, alg: 'RS256' }] } })
    const { SignJWT: Sign, importJWK } = await import('jose')
    const key = await importJWK(await exportJWK(pairs['RS256']!.privateKey), 'PS256')
    const text = await new Sign({ iss: 'cj', sub: 'cj', aud: ISSUER, jti: 'x', exp: SECONDS + 60 })
      .setProtectedHeader({ alg: 'PS256', kid: 'RS256' })
      .sign(key)
    expectError(await setup.sendAssertion(text), 400, 'invalid_client')
    expect((await setup.sendAssertion(await assertion({ alg: 'RS256' }))).status).toBe(200)
  })

  const otherTypes = ['at+jwt', 'dpop+jwt', 'application/at+jwt', 'x', 'text/jwt', 'application/', 'jwt;v=1', '']
  const notText = [1, null, {}, ['jwt'], ['client-authentication+jwt']]
  it.each([...otherTypes, ...notText].map((typ) => ({ typ })))('rejects a JWT of type $typ', async (header) => {
    expectError(await startServer().sendAssertion(await assertion({ header })), 400, 'invalid_client')
  })

  it.each([
    ...['JWT', 'jwt', 'application/jwt', 'client-authentication+jwt', 'Client-Authentication+JWT'],
    ...['application/client-authentication+jwt', 'APPLICATION/client-authentication+jwt'],
  ])('accepts a JWT of type %s', async (typ) => {
    expect((await startServer().sendAssertion(await assertion({ header: { typ } }))).status).toBe(200)
  })

  it('J-06: accepts an assertion once, even if it is sent ten times at once or long after its expiry', async () => {
    const setup = startServer()
    const text = await assertion()
    const responses = await Promise.all(Array.from({ length: 10 }, () => setup.sendAssertion(text)))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1)
    setup.advance(89_000)
    expectError(await setup.sendAssertion(text), 400, 'invalid_client')
    await setup.tokens.purge()
    expectError(await setup.sendAssertion(text), 400, 'invalid_client')
  })

  it('J-06: consumes the jti only on success and per client', async () => {
    const setup = startServer()
    const claims = { jti: 'the same' }
    const text = await assertion({ claims })
    expectError(await setup.sendAssertion(text, { client_id: 'cb' }), 400, 'invalid_client')
    expectError(await setup.sendAssertion(`${text.slice(0, -2)}AA`), 400, 'invalid_client')
    const other = await assertion({ alg: 'ES384', claims: { ...claims, iss: 'cj2', sub: 'cj2' } })
    expectError(await setup.sendAssertion(other), 400, 'invalid_grant')
    expect((await setup.sendAssertion(text)).status).toBe(200)
  })

  it('K-04: stores nothing for an invalid assertion, and a hash of fixed length for any jti', async () => {
    const setup = startServer()
    setup.state.calls.length = 0
    for (let count = 0; count < 20; count += 1)
      expectError(await setup.sendAssertion(`${(await assertion()).slice(0, -4)}AAAA`), 400, 'invalid_client')
    expect(setup.state.calls).not.toContain('claimOnce')
    expect((await setup.sendAssertion(await assertion({ claims: { jti: 'x'.repeat(4000) } }))).status).toBe(200)
    expectError(
      await setup.sendAssertion(await assertion({ claims: { jti: 'x'.repeat(8000) } })),
      400,
      'invalid_client',
    )
  })

  it('J-08: rejects a client_id that differs from the assertion', async () => {
    const setup = startServer()
    expect((await setup.sendAssertion(await assertion(), { client_id: 'cj' })).status).toBe(200)
    expectError(await setup.sendAssertion(await assertion(), { client_id: 'pub' }), 400, 'invalid_client')
  })

  it('C-07: rejects an assertion together with another authentication method', async () => {
    const setup = startServer()
    const text = await assertion()
    const headers = { authorization: basic('cb', CB_SECRET) }
    expectError(await setup.sendAssertion(text, {}, { headers }), 400, 'invalid_request')
    expectError(await setup.sendAssertion(text, { client_secret: CB_SECRET }), 400, 'invalid_request')
  })

  it('C-10: authenticates each client only by its registered method', async () => {
    const setup = startServer()
    expectError(await setup.send({ client_id: 'cj' }), 400, 'invalid_client')
    expectError(await setup.send({ client_id: 'cj', client_secret: CB_SECRET }), 400, 'invalid_client')
    expectError(await setup.send({}, { headers: { authorization: basic('cj', CB_SECRET) } }), 401, 'invalid_client')
    for (const clientId of ['cb', 'pub']) {
      const text = await assertion({ claims: { iss: clientId, sub: clientId } })
      expectError(await setup.sendAssertion(text), 400, 'invalid_client')
    }
  })

  it('C-11: responds identically to an unknown client and a wrong signature', async () => {
    const setup = startServer()
    const unknown = await setup.sendAssertion(await assertion({ claims: { iss: 'unknown', sub: 'unknown' } }))
    const wrong = await setup.sendAssertion(await assertion({ alg: 'ES384' }))
    expect(unknown.raw).toEqual(wrong.raw)
  })

  it('C-12: counts failures, and they do not limit requests from other addresses', async () => {
    const { rateLimits } = await import('../../src/index.js')
    const setup = startServer({ rateLimit: rateLimits({ points: 1000, failedAuthentications: 3 }) })
    const bad = await assertion({ alg: 'ES384' })
    for (let count = 0; count < 3; count += 1) expectError(await setup.sendAssertion(bad), 400, 'invalid_client')
    expectError(await setup.sendAssertion(await assertion()), 429, 'too_many_requests')
    const elsewhere = await setup.sendAssertion(await assertion(), {}, { remoteAddress: '198.51.100.1' })
    expect(elsewhere.status).toBe(200)
  })

  it('E-04: responds with 503 during an outage of the store', async () => {
    const setup = startServer()
    const refresh_token = await setup.issue({ clientId: 'cj' })
    setup.state.isDown = true
    const parameters = { grant_type: 'refresh_token', refresh_token, client_assertion_type: TYPE }
    const response = await post(setup.token, { ...parameters, client_assertion: await assertion() })
    expectError(response, 503, 'temporarily_unavailable')
  })

  it('E-06: includes no assertion in a response, event or error', async () => {
    const setup = startServer()
    const bad = await assertion({ alg: 'ES384' })
    const seen = [(await setup.sendAssertion(bad)).raw, setup.events, setup.errors]
    expect(JSON.stringify(seen)).not.toContain(bad.slice(0, 40))
  })
})

describe('registered keys', () => {
  const construct = (client: object, more: object = { issuer: ISSUER }) =>
    startServer(more as Record<string, unknown>, { clientId: 'cj', ...client })

  it.each<[string, () => object]>([
    ['an empty list', () => ({ jwks: { keys: [] } })],
    ['no list', () => ({ jwks: { keys: pairs['ES256']!.jwk } })],
    ['a PEM', () => ({ jwks: { keys: ['-----BEGIN PUBLIC KEY-----'] } })],
    ['a symmetric key', () => ({ jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } })],
    ['a private key', () => ({ jwks: { keys: [{ ...pairs['ES256']!.jwk, d: 'AAAA' }] } })],
    ['a broken key', () => ({ jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }] } })],
    ['more than 16 keys', () => ({ jwks: { keys: Array.from({ length: 17 }, () => pairs['ES256']!.jwk) } })],
    ['a secret as well', () => ({ secret: CB_SECRET })],
  ])('rejects the registration at construction: %s', (_name, client) => {
    expect(() => construct(client())).toThrow(expect.objectContaining({ name: 'ConfigurationError' }))
  })

  it('rejects registered keys without an issuer', () => {
    expect(() => construct({}, { issuer: undefined })).toThrow(/^option "issuer" /)
    for (const issuer of ['as.example', 'https://as.example?x', 5])
      expect(() => construct({}, { issuer })).toThrow(/^option "issuer" /)
    expect(() => construct({}, { issuer: ISSUER, assertionAudiences: [''] })).toThrow(
      /^option "assertionAudiences\[0\]" /,
    )
  })

  it('reports invalid keys from a registry as a server error and does not authenticate the client', async () => {
    const both: Client = { clientId: 'cj', jwks: { keys: [pairs['ES256']!.jwk] }, secretHashes: [] }
    const broken: Client = { clientId: 'cj', jwks: { keys: [{ kty: 'oct' }] } }
    for (const client of [both, broken]) {
      const setup = startServer({ clients: { find: async () => client } })
      expectError(await setup.sendAssertion(await assertion()), 500, 'server_error')
    }
    const fine = startServer({
      clients: { find: async () => ({ clientId: 'cj', jwks: { keys: [pairs['ES256']!.jwk] } }) },
    })
    expect((await fine.sendAssertion(await assertion())).status).toBe(200)
  })
})
