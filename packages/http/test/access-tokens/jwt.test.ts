import * as oauth from 'oauth4webapi'
import { createHmac, createPrivateKey, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  type AccessTokenGrant,
  deriveSigningKey,
  generateSigningKey,
  jwtAccessTokens,
  type JwtAccessTokensOptions,
  type SigningAlgorithm,
} from '../../src/index.js'
import { createApp, ISSUER, SIGNING_KEY } from '../app.js'

const API = 'https://api.example'
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

function issuerWith(options: Partial<JwtAccessTokensOptions> = {}) {
  return jwtAccessTokens({ issuer: ISSUER, audience: API, keys: [SIGNING_KEY], ...options })
}

async function grant(differences: Partial<AccessTokenGrant> = {}): Promise<AccessTokenGrant> {
  const { family } = await createApp().tokens.issue({ subject: 'alice', clientId: 'web', scope: 'read write' })
  return {
    family,
    scope: 'read write',
    audience: [],
    claims: {},
    confirmation: null,
    now: NOW,
    maxLifetimeSeconds: 3600,
    ...differences,
  }
}

async function mint(differences: Partial<AccessTokenGrant> = {}, options: Partial<JwtAccessTokensOptions> = {}) {
  return (await issuerWith(options).mint(await grant(differences))).accessToken
}

function partsOf(jwt: string) {
  const [header = '', payload = '', signature = ''] = jwt.split('.')
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { header: parse(header), payload: parse(payload), signature }
}

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** Signs any claims with the key of the server, so that only the checks of the claims can reject the token. */
function forge(jwt: string, change: { header?: object; payload?: object }): string {
  const { header, payload } = partsOf(jwt)
  const input = `${encode({ ...header, ...change.header })}.${encode({ ...payload, ...change.payload })}`
  const key = createPrivateKey({ key: SIGNING_KEY, format: 'jwk' })
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

describe('claims of a JWT access token', () => {
  it('A-01: signs a JWT of type at+jwt with the kid of the signing key', async () => {
    const { header } = partsOf(await mint())
    expect(header).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: SIGNING_KEY['kid'] })
  })

  it('A-03: an access token includes every claim that RFC 9068 requires, with times in seconds, and the family as sid', async () => {
    const { family } = await grant()
    const { payload } = partsOf(await mint({ family }))
    const iat = Math.floor(NOW / 1000)
    expect(payload).toEqual({
      iss: ISSUER,
      aud: API,
      sub: 'alice',
      client_id: 'web',
      scope: 'read write',
      sid: family.id,
      iat,
      exp: iat + 900,
      jti: expect.any(String),
    })
  })

  it('A-04: an access token includes the scope of the response and not that of the family, and omits an empty one', async () => {
    expect(partsOf(await mint({ scope: 'read' })).payload.scope).toBe('read')
    expect(partsOf(await mint({ scope: '' })).payload).not.toHaveProperty('scope')
  })

  it('A-05: an access token names the resources of the grant as audience, or the default audience', async () => {
    const resources = ['https://one.example', 'https://two.example']
    expect(partsOf(await mint({ audience: resources })).payload.aud).toEqual(resources)
    expect(partsOf(await mint({ audience: resources.slice(0, 1) })).payload.aud).toBe('https://one.example')
    expect(partsOf(await mint()).payload.aud).toBe(API)
  })

  it('A-07: an access token expires after 900 seconds by default', async () => {
    const { accessToken, expiresIn } = await issuerWith().mint(await grant())
    const { exp, iat } = partsOf(accessToken).payload
    expect([expiresIn, exp - iat]).toEqual([900, 900])
  })

  it('X-06: an access token does not outlive the family', async () => {
    const { accessToken, expiresIn } = await issuerWith().mint(await grant({ maxLifetimeSeconds: 60 }))
    const { exp, iat } = partsOf(accessToken).payload
    expect([expiresIn, exp - iat]).toEqual([60, 60])
  })

  it('A-08: an access token contains a unique jti with 160 random bits', async () => {
    const server = issuerWith({ keys: [generateSigningKey('EdDSA')] })
    const same = await grant()
    const minted = await Promise.all(Array.from({ length: 2000 }, () => server.mint(same)))
    const ids = minted.map(({ accessToken }): string => partsOf(accessToken).payload.jti)
    expect(new Set(ids).size).toBe(2000)
    expect(new Set(ids.map((id) => Buffer.from(id, 'base64url').length))).toEqual(new Set([20]))
  })

  it('an access token includes the claims of the app, which cannot replace registered claims', async () => {
    const family = (await grant()).family
    const claims = { roles: ['admin'], sub: 'mallory', iss: 'x', aud: 'x', exp: 1, nbf: 9e9, iat: 1, jti: 'x' }
    const more = { client_id: 'x', scope: 'everything', sid: 'x', cnf: { jkt: 'x' } }
    const { payload } = partsOf(await mint({ family, scope: '', claims: { ...claims, ...more } }))
    expect(payload).toMatchObject({
      roles: ['admin'],
      sub: 'alice',
      iss: ISSUER,
      aud: API,
      client_id: 'web',
      sid: family.id,
    })
    expect(payload.exp - payload.iat).toBe(900)
    for (const absent of ['nbf', 'scope', 'cnf']) expect(payload).not.toHaveProperty(absent)
  })

  it('an access token includes the key to which the grant is bound', async () => {
    expect(partsOf(await mint({ confirmation: { jkt: 'thumbprint' } })).payload.cnf).toEqual({ jkt: 'thumbprint' })
    const ofCertificate = await mint({ confirmation: { 'x5t#S256': 'thumbprint' } })
    expect(partsOf(ofCertificate).payload.cnf).toEqual({ 'x5t#S256': 'thumbprint' })
  })
})

describe('verification of a JWT access token', () => {
  const verify = (jwt: string, now = NOW) => issuerWith().verify(jwt, now)

  it.each<SigningAlgorithm>(['ES256', 'EdDSA', 'RS256'])(
    'A-02: accepts a token that was signed with %s',
    async (alg) => {
      const server = issuerWith({ keys: [generateSigningKey(alg)] })
      const { accessToken } = await server.mint(await grant())
      expect(partsOf(accessToken).header.alg).toBe(alg)
      expect(await server.verify(accessToken, NOW)).toMatchObject({ sub: 'alice', scope: 'read write' })
    },
  )

  it('returns an empty scope for a token without one', async () => {
    expect((await verify(await mint({ scope: '' })))?.scope).toBe('')
  })

  it.each([0, 1, 999])(
    'S-03 X-06: an access token does not outlive expires_in for a token created %i ms into a second',
    async (ms) => {
      const now = Math.floor(NOW / 1000) * 1000 + ms
      const { accessToken, expiresIn } = await issuerWith().mint(await grant({ now }))
      const { exp } = partsOf(accessToken).payload
      expect(exp * 1000).toBeLessThanOrEqual(now + expiresIn * 1000)
      expect(exp * 1000).toBeGreaterThan(now + expiresIn * 1000 - 1000)
    },
  )

  it('X-05: accepts a token until the second before exp and rejects it at exp', async () => {
    const jwt = await mint()
    const exp = partsOf(jwt).payload.exp * 1000
    expect(await verify(jwt, exp - 1)).not.toBeNull()
    expect(await verify(jwt, exp)).toBeNull()
  })

  it('B-05: accepts a token for several resources that include its own', async () => {
    expect(await verify(await mint({ audience: ['https://other.example', API] }))).not.toBeNull()
    expect(await verify(await mint({ audience: ['https://other.example'] }))).toBeNull()
  })

  it('accepts the forged token of the next tests if it is unchanged', async () => {
    expect(await verify(forge(await mint(), {}))).not.toBeNull()
  })

  it.each(['AT+JWT', 'application/at+jwt', 'Application/At+Jwt'])('B-05: accepts the type %s', async (typ) => {
    expect(await verify(forge(await mint(), { header: { typ } }))).not.toBeNull()
  })

  it.each([
    ['an ID token', { header: { typ: 'JWT' } }],
    ['no typ', { header: { typ: undefined } }],
    ['another type with the same subtype', { header: { typ: 'text/at+jwt' } }],
    ['a list as typ', { header: { typ: ['at+jwt'] } }],
    ['another issuer', { payload: { iss: 'https://login.example.evil' } }],
    ['the same issuer in another spelling', { payload: { iss: `${ISSUER}/` } }],
    ['another audience', { payload: { aud: 'https://login.example' } }],
    ['no audience', { payload: { aud: undefined } }],
    ['no exp', { payload: { exp: undefined } }],
    ['exp as text', { payload: { exp: '9999999999' } }],
    ['not valid yet', { payload: { nbf: Math.floor(NOW / 1000) + 60 } }],
    ['no sub', { payload: { sub: undefined } }],
    ['an empty sub', { payload: { sub: '' } }],
    ['sub as a number', { payload: { sub: 7 } }],
    ['client_id as a list', { payload: { client_id: ['web'] } }],
    ['an empty sid', { payload: { sid: '' } }],
    ['jti as a number', { payload: { jti: 7 } }],
    ['iat as text', { payload: { iat: '1' } }],
    ['no client_id', { payload: { client_id: undefined } }],
    ['no sid', { payload: { sid: undefined } }],
    ['no jti', { payload: { jti: undefined } }],
    ['no iat', { payload: { iat: undefined } }],
    ['scope as a list', { payload: { scope: ['read'] } }],
    ['an unknown kid', { header: { kid: 'unknown' } }],
    ['no kid', { header: { kid: undefined } }],
    ['another algorithm than the key has', { header: { alg: 'ES384' } }],
    ['a critical extension that we do not know', { header: { crit: ['x'], x: 1 } }],
  ])('B-05: rejects %s although the token is signed with a known key', async (_, change) => {
    expect(await verify(forge(await mint(), change))).toBeNull()
  })

  it('B-05: rejects alg none, with and without a signature', async () => {
    const { header, payload, signature } = partsOf(await mint())
    for (const alg of ['none', 'None', 'NONE'])
      for (const end of ['', signature])
        expect(await verify(`${encode({ ...header, alg })}.${encode(payload)}.${end}`)).toBeNull()
  })

  it('B-05: rejects an HMAC computed with the public key', async () => {
    const { header, payload } = partsOf(await mint())
    const input = `${encode({ ...header, alg: 'HS256' })}.${encode(payload)}`
    const [publicKey] = issuerWith().jwks().keys
    const signature = createHmac('sha256', JSON.stringify(publicKey)).update(input).digest('base64url')
    expect(await verify(`${input}.${signature}`)).toBeNull()
  })

  it('B-05: ignores a key in the header of the token', async () => {
    const foreign = generateSigningKey()
    const { accessToken } = await issuerWith({ keys: [{ key: foreign, kid: String(SIGNING_KEY['kid']) }] }).mint(
      await grant(),
    )
    expect(await verify(accessToken)).toBeNull()
    const { jwk } = { jwk: { ...foreign, d: undefined } }
    expect(await verify(forge(accessToken, { header: { jwk, kid: foreign['kid'] } }))).toBeNull()
  })

  it('B-05: rejects another spelling of the signature', async () => {
    const jwt = await mint()
    const last = jwt.slice(-1)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    // The last character of 64 bytes has four bits that decoders ignore.
    const start = alphabet.indexOf(last)
    const spellings = [1, 2, 15].map((bits) => jwt.slice(0, -1) + String(alphabet[start + bits]))
    const bytesOf = (text: string) => Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url')
    for (const spelling of spellings) {
      expect(bytesOf(spelling)).toEqual(bytesOf(jwt))
      expect(await verify(spelling)).toBeNull()
    }
    expect(await verify(jwt)).not.toBeNull()
  })

  it('B-05: rejects a changed signature and any text that is not a JWT, and never throws', async () => {
    const jwt = await mint()
    const [header, payload, signature = ''] = jwt.split('.')
    const other = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)
    for (const bad of [
      '',
      '.',
      '..',
      'x',
      'a.b.c',
      `${header}.${payload}`,
      `${jwt}.x`,
      `${header}.${payload}.${other}`,
      `${jwt}\n`,
    ])
      expect(await verify(bad), bad).toBeNull()
    expect(await verify(undefined as unknown as string)).toBeNull()
  })
})

describe('signing keys', () => {
  it('A-03: lets an independent client verify a token with the published keys', async () => {
    for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
      const server = issuerWith({ keys: [generateSigningKey(alg)] })
      const { accessToken } = await server.mint(await grant({ now: Date.now() }))
      const metadata = { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` }
      const call = new Request(API, { headers: { authorization: `Bearer ${accessToken}` } })
      const claims = await oauth.validateJwtAccessToken(metadata, call, API, {
        [oauth.customFetch]: async () => Response.json(server.jwks()),
      })
      expect(claims).toMatchObject({ sub: 'alice', client_id: 'web', scope: 'read write' })
    }
  })

  it('A-09: publishes no private or symmetric member, and each key once with kid, alg and use', () => {
    const keys = (['ES256', 'EdDSA', 'RS256'] as const).map((alg) => generateSigningKey(alg))
    const published = issuerWith({ keys }).jwks().keys
    for (const key of published) {
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) expect(key).not.toHaveProperty(secret)
      expect(key).toMatchObject({ kid: expect.any(String), use: 'sig' })
    }
    expect(published.map(({ alg }) => alg)).toEqual(['ES256', 'EdDSA', 'RS256'])
    expect(new Set(published.map(({ kid }) => kid)).size).toBe(3)
  })

  it('A-10: keeps every token valid for verifiers with a cached key set during a key rotation', async () => {
    const [old, next] = [generateSigningKey(), generateSigningKey()]
    const before = issuerWith({ keys: [old] })
    const published = issuerWith({ keys: [old, next] })
    const switched = issuerWith({ keys: [next, old] })
    const after = issuerWith({ keys: [next] })
    const minted = async (server: typeof before) => (await server.mint(await grant())).accessToken
    const outcomes = async (jwt: string, ...servers: (typeof before)[]) =>
      Promise.all(servers.map(async (server) => (await server.verify(jwt, NOW)) !== null))
    expect(await outcomes(await minted(before), before, published, switched)).toEqual([true, true, true])
    expect(await outcomes(await minted(published), before, published, switched)).toEqual([true, true, true])
    // A verifier that fetched the key set while the new key was announced and not yet used.
    expect(await outcomes(await minted(switched), published, switched, after)).toEqual([true, true, true])
    expect(await outcomes(await minted(before), after)).toEqual([false])
  })

  it('accepts a token after a restart if the key is derived from a secret', async () => {
    const secret = 'x'.repeat(32)
    const { accessToken } = await issuerWith({ keys: [deriveSigningKey(secret)] }).mint(await grant())
    expect(await issuerWith({ keys: [deriveSigningKey(secret)] }).verify(accessToken, NOW)).not.toBeNull()
    expect(await issuerWith({ keys: [deriveSigningKey(`${secret}y`)] }).verify(accessToken, NOW)).toBeNull()
  })
})

describe('invalid options', () => {
  it.each<[string, object]>([
    ['issuer', { issuer: 'login.example' }],
    ['issuer', { issuer: 'https://login.example?x' }],
    ['issuer', { issuer: 'https://login.example/#' }],
    ['audience', { audience: '' }],
    ['lifetimeSeconds', { lifetimeSeconds: 0 }],
    ['lifetimeSeconds', { lifetimeSeconds: 900_000 }],
    ['lifetimeSeconds', { lifetimeSeconds: 1.5 }],
    ['keys', { keys: [] }],
    ['key', { key: SIGNING_KEY }],
  ])('rejects at construction: %s', (option, bad) => {
    expect(() => issuerWith(bad)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
  })
})
