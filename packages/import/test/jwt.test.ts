import { ConfigurationError } from '@baton/core'
import { createHmac } from 'node:crypto'
import { memoryStore } from '@baton/store-memory'
import { createLocalJWKSet, createRemoteJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose'
import jwt from 'jsonwebtoken'
import { describe, expect, it } from 'vitest'
import { jwtTokens, type JwtTokensOptions } from '../src/index.js'
import { createApp, expectReuse, expectImportedOnce, expectSuccess, waitForCall } from './world.js'

const SECRET = 'REFRESH_TOKEN_SECRET of many a tutorial'
const DAY_SECONDS = 86_400

/** As tutorials have it: signed by jsonwebtoken, with a list of what was logged out. */
function tutorial() {
  const revoked = new Set<string>()
  const accept = jwtTokens({
    key: SECRET,
    algorithms: ['HS256'],
    isRevoked: (_claims, token) => revoked.has(token),
    grant: ({ userId, iat, exp }) =>
      typeof userId === 'number' ? { subject: userId, createdAt: iat, expiresAt: exp } : null,
    moved: async (_claims, token) => revoked.add(token),
  })
  const sign = (claims: object = { userId: 7 }, options: jwt.SignOptions = { expiresIn: '7d' }) =>
    jwt.sign(claims, SECRET, options)
  return { revoked, accept, sign }
}

describe('tokens of jsonwebtoken', () => {
  it('imports a token once despite 50 parallel requests, a lost response and a restart, and detects reuse', async () => {
    const { accept, sign, revoked } = tutorial()
    const token = sign()
    const store = memoryStore()
    const moved = await expectImportedOnce(token, { start: () => createApp(store, accept) })
    const { iat } = jwt.decode(token) as { iat: number }
    expect(moved.family).toMatchObject({ subject: '7', createdAt: iat * 1000 })
    await waitForCall(() => {
      expect(revoked.has(token)).toBe(true)
    })
    await expectReuse(token, { moved })
  })

  it.each([
    ['revoked', (old: ReturnType<typeof tutorial>) => (token: string) => (old.revoked.add(token), token)],
    ['signed with another secret', () => () => jwt.sign({ userId: 7 }, 'another secret', { expiresIn: '7d' })],
    ['signed with another algorithm', () => () => jwt.sign({ userId: 7 }, SECRET, { algorithm: 'HS512' })],
    ['without a signature', () => () => jwt.sign({ userId: 7 }, '', { algorithm: 'none' })],
    ['expired', (old: ReturnType<typeof tutorial>) => () => old.sign({ userId: 7 }, { expiresIn: -60 })],
    ['an access token, according to `grant`', (old: ReturnType<typeof tutorial>) => () => old.sign({ user: 7 })],
  ])('rejects a token that is %s', async (_name, spoil) => {
    const old = tutorial()
    const here = createApp(memoryStore(), old.accept)
    const refreshToken = spoil(old)(old.sign())
    expect(await here.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
  })

  it.each([
    'at+jwt',
    'AT+JWT',
    'application/at+jwt',
    'Application/At+Jwt',
    'application/at+jwt; v=1',
    'dpop+jwt',
    'application/logout+jwt',
    'client-authentication+jwt',
  ])('rejects a JWT of type %s, whatever `grant` returns', async (typ) => {
    const old = tutorial()
    const refreshToken = old.sign({ userId: 7 }, { expiresIn: '1h', header: { alg: 'HS256', typ } })
    expect(await createApp(memoryStore(), old.accept).rotate({ refreshToken })).toMatchObject({ reason: 'malformed' })
  })

  it.each(['JWT', 'jwt', 'application/jwt', 'rt+jwt'])('accepts a refresh token of type %s', async (typ) => {
    const old = tutorial()
    const refreshToken = old.sign({ userId: 7 }, { expiresIn: '1h', header: { alg: 'HS256', typ } })
    expect(expectSuccess(await createApp(memoryStore(), old.accept).rotate({ refreshToken })).outcome).toBe('imported')
  })

  it('rejects other spellings of a token', async () => {
    const old = tutorial()
    const token = old.sign()
    const [header, payload, signature] = token.split('.') as [string, string, string]
    // Of the last character of 32 bytes in base64url two bits are spare.
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const twin = last[last.indexOf(signature.at(-1)!) ^ 1]!
    const here = createApp(memoryStore(), old.accept)
    for (const spelling of [
      `${header}.${payload}.${signature.slice(0, -1)}${twin}`,
      `${token}=`,
      ` ${token}`,
      `${token}.`,
      `${header}.${payload}`,
      token.replace('.', '..'),
    ])
      expect(await here.rotate({ refreshToken: spelling })).toEqual({ ok: false, reason: 'malformed' })
    expect(expectSuccess(await here.rotate({ refreshToken: token })).outcome).toBe('imported')
  })

  it('requires `until` for a token without an expiry', async () => {
    const options: JwtTokensOptions = { key: SECRET, algorithms: ['HS256'], isRevoked: null }
    const refreshToken = jwt.sign({ sub: 'alice' }, SECRET)
    await expect(createApp(memoryStore(), jwtTokens(options)).rotate({ refreshToken })).rejects.toMatchObject({
      code: 'hook_failed',
      cause: { message: 'expiresAt: the token does not expire; set the option until' },
    })
    const until = new Date(Date.now() + 30 * DAY_SECONDS * 1000)
    const { family } = expectSuccess(
      await createApp(memoryStore(), jwtTokens({ ...options, until })).rotate({ refreshToken }),
    )
    expect(family.subject).toBe('alice')
  })

  it('reports an unavailable revocation list as an error and signs no user out', async () => {
    const accept = jwtTokens({
      key: SECRET,
      algorithms: ['HS256'],
      isRevoked: () => Promise.reject(new Error('connection refused')),
    })
    const refreshToken = jwt.sign({ sub: 'alice' }, SECRET, { expiresIn: '1h' })
    await expect(createApp(memoryStore(), accept).rotate({ refreshToken })).rejects.toMatchObject({
      code: 'hook_failed',
    })
  })
})

describe('tokens of jose', () => {
  const claims = { sub: 'alice', client_id: 'app', scope: 'read write' }
  const options = {
    algorithms: ['ES256'],
    isRevoked: null,
    issuer: 'https://old.example',
    audience: 'https://old.example',
  }

  async function issuer() {
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    const keys = [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'ES256' }]
    const sign = (kid = 'one') =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuedAt()
        .setIssuer('https://old.example')
        .setAudience('https://old.example')
        .setExpirationTime('30d')
        .sign(privateKey)
    return { sign, publicKey, keySet: createLocalJWKSet({ keys }) }
  }

  it('imports client and scope, with a public key or a key set', async () => {
    const { sign, publicKey, keySet } = await issuer()
    for (const key of [publicKey, keySet]) {
      const token = await sign()
      const store = memoryStore()
      const accept = jwtTokens({ ...options, key })
      const moved = await expectImportedOnce(token, { start: () => createApp(store, accept), clientId: 'app' })
      expect(moved.family).toMatchObject({ subject: 'alice', clientId: 'app', scope: 'read write' })
      await expectReuse(token, { moved, clientId: 'app' })
    }
  })

  it('treats both valid signatures of an ECDSA token as one token', async () => {
    const { sign, keySet } = await issuer()
    const token = await sign()
    const twin = otherSignature(token)
    expect(twin).not.toBe(token)
    const store = memoryStore()
    const accept = jwtTokens({ ...options, key: keySet })
    // Each is good by itself.
    expect(
      expectSuccess(await createApp(memoryStore(), accept).rotate({ refreshToken: twin, clientId: 'app' })).ok,
    ).toBe(true)
    const here = createApp(store, accept)
    const first = expectSuccess(await here.rotate({ refreshToken: token, clientId: 'app' }))
    expectSuccess(await here.rotate({ refreshToken: first.refreshToken, clientId: 'app' }))
    expect(await here.rotate({ refreshToken: twin, clientId: 'app' })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('rejects a wrong issuer, audience or key id', async () => {
    const { sign, keySet } = await issuer()
    for (const [wrong, kid] of [
      [{ issuer: 'https://other.example' }, 'one'],
      [{ audience: 'https://other.example' }, 'one'],
      [{}, 'two'],
    ] as const) {
      const here = createApp(memoryStore(), jwtTokens({ ...options, ...wrong, key: keySet }))
      expect(await here.rotate({ refreshToken: await sign(kid), clientId: 'app' })).toMatchObject({
        reason: 'malformed',
      })
    }
  })

  it('accepts the audience in an equivalent spelling', async () => {
    const { sign, keySet } = await issuer()
    for (const audience of ['https://OLD.example', 'https://old.example:443/']) {
      const here = createApp(memoryStore(), jwtTokens({ ...options, audience, key: keySet }))
      expect(await here.rotate({ refreshToken: await sign('one'), clientId: 'app' })).toMatchObject({ ok: true })
    }
  })

  it('reports an unreachable key set as an error and signs no user out', async () => {
    const { sign } = await issuer()
    // The discard port: no server listens.
    const key = createRemoteJWKSet(new URL('http://127.0.0.1:9/jwks'))
    const here = createApp(memoryStore(), jwtTokens({ ...options, key }))
    await expect(here.rotate({ refreshToken: await sign(), clientId: 'app' })).rejects.toMatchObject({
      code: 'hook_failed',
    })
  })

  it('does not accept a public key as an HMAC secret', async () => {
    const { publicKey } = await issuer()
    const jwk = JSON.stringify(await exportJWK(publicKey))
    const input = [{ alg: 'HS256' }, { sub: 'mallory', exp: 4e9 }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    const forged = `${input}.${createHmac('sha256', jwk).update(input).digest('base64url')}`
    const here = createApp(memoryStore(), jwtTokens({ algorithms: ['ES256'], isRevoked: null, key: publicKey }))
    expect(await here.rotate({ refreshToken: forged })).toMatchObject({ reason: 'malformed' })
  })
})

describe('input from outside', () => {
  const headers: [string, unknown][] = [
    ['a number as alg', { alg: 1 }],
    ['null as alg', { alg: null }],
    ['an object as alg', { alg: {} }],
    ['a list as alg', { alg: ['HS256'] }],
    ['an empty alg', { alg: '' }],
    ['no alg', {}],
    ['a number as typ', { alg: 'HS256', typ: 1 }],
    ['a list as typ', { alg: 'HS256', typ: ['JWT'] }],
    ['a number as kid', { alg: 'ES256', kid: 1 }],
    ['an object as kid', { alg: 'ES256', kid: {} }],
    ['null as kid', { alg: 'ES256', kid: null }],
    ['an unknown critical header', { alg: 'HS256', crit: ['x'], x: 1 }],
    ['a number as crit', { alg: 'HS256', crit: 1 }],
    ['an unencoded payload', { alg: 'HS256', crit: ['b64'], b64: false }],
    ['an algorithm that the key cannot verify', { alg: 'RS256' }],
    ['another hash', { alg: 'ES512' }],
    ['a name of Object.prototype as alg', { alg: 'constructor' }],
    ['a list', []],
    ['null', null],
    ['text', 'HS256'],
  ]

  it.each(headers)('rejects a header with %s without a fault event', async (_name, header) => {
    const { publicKey } = await generateKeyPair('ES256')
    const es256 = { ...(await exportJWK(publicKey)), alg: 'ES256' }
    const algorithms = ['HS256', 'ES256', 'ES512', 'RS256']
    // A function as the examples of jose have it: it relies on the types.
    const byFunction: JwtTokensOptions['key'] = ({ kid }) => (kid?.startsWith('a') === true ? publicKey : publicKey)
    for (const key of [SECRET, publicKey, createLocalJWKSet({ keys: [es256] }), byFunction])
      for (const payload of [{ sub: 'mallory' }, { sub: 'mallory', exp: 'soon' }, []])
        for (const signature of [
          'AA',
          Buffer.alloc(32).toString('base64url'),
          Buffer.alloc(64).toString('base64url'),
        ]) {
          const here = createApp(memoryStore(), jwtTokens({ key, algorithms, isRevoked: null }))
          const [head, body] = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
          const refreshToken = `${head!}.${body!}.${signature}`
          expect(await here.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
          expect(here.events.filter(({ type }) => type === 'fault')).toEqual([])
        }
  })

  it('verifies a token without kid with every key of an ambiguous set', async () => {
    const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair('ES256')))
    const keys = await Promise.all(pairs.slice(0, 2).map(async ({ publicKey }) => exportJWK(publicKey)))
    const accept = jwtTokens({ key: createLocalJWKSet({ keys }), algorithms: ['ES256'], isRevoked: null })
    const sign = ({ privateKey }: (typeof pairs)[number], exp = '1h') =>
      new SignJWT({ sub: 'alice' }).setProtectedHeader({ alg: 'ES256' }).setExpirationTime(exp).sign(privateKey)
    for (const pair of pairs.slice(0, 2))
      expect(expectSuccess(await createApp(memoryStore(), accept).rotate({ refreshToken: await sign(pair) })).ok).toBe(
        true,
      )
    const here = createApp(memoryStore(), accept)
    for (const refreshToken of [await sign(pairs[2]!), await sign(pairs[1]!, '-1h')])
      expect(await here.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
    expect(here.events.filter(({ type }) => type === 'fault')).toEqual([])
  })

  it('recognizes errors of another copy of jose', async () => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    class OfAnotherCopy extends Error {
      constructor(readonly code: string) {
        super('an error of another copy of jose')
      }
      async *[Symbol.asyncIterator]() {
        yield publicKey
      }
    }
    const acceptWith = (code: string) =>
      jwtTokens({ key: () => Promise.reject(new OfAnotherCopy(code)), algorithms: ['ES256'], isRevoked: null })
    const refreshToken = await new SignJWT({ sub: 'alice' })
      .setProtectedHeader({ alg: 'ES256' })
      .setExpirationTime('1h')
      .sign(privateKey)
    const several = createApp(memoryStore(), acceptWith('ERR_JWKS_MULTIPLE_MATCHING_KEYS'))
    expect(expectSuccess(await several.rotate({ refreshToken })).ok).toBe(true)
    const none = createApp(memoryStore(), acceptWith('ERR_JWKS_NO_MATCHING_KEY'))
    expect(await none.rotate({ refreshToken })).toEqual({ ok: false, reason: 'malformed' })
  })

  it('reports a key that fits none of the algorithms as an error', async () => {
    const { publicKey } = await generateKeyPair('ES256')
    const accept = jwtTokens({ key: publicKey, algorithms: ['HS256'], isRevoked: null })
    const refreshToken = jwt.sign({ sub: 'alice' }, SECRET, { expiresIn: '1h' })
    await expect(createApp(memoryStore(), accept).rotate({ refreshToken })).rejects.toMatchObject({
      code: 'hook_failed',
    })
  })

  it('reports a key function that throws as an error', async () => {
    const key = () => Promise.reject(new TypeError('the key service answered 500'))
    const accept = jwtTokens({ key, algorithms: ['HS256'], isRevoked: null })
    const refreshToken = jwt.sign({ sub: 'alice' }, SECRET, { expiresIn: '1h' })
    await expect(createApp(memoryStore(), accept).rotate({ refreshToken })).rejects.toMatchObject({
      code: 'hook_failed',
    })
  })
})

describe('invalid options', () => {
  it.each([
    [{ algorithms: [] }, /^option "algorithms" must be a list of 1 to 20 items/],
    [{ isRevoked: undefined }, /^option "isRevoked" is missing; it must be a function or null/],
    [{ key: undefined }, /^option "key" is missing; it must be a secret, a public key or a key set of jose/],
    [{ key: '' }, /^option "key" must be a secret.*got ""; check that the environment variable is set/],
  ])('%o', (wrong, message) => {
    const options = { key: SECRET, algorithms: ['HS256'], isRevoked: null, ...wrong } as JwtTokensOptions
    expect(() => jwtTokens(options)).toThrow(message)
    expect(() => jwtTokens(options)).toThrow(ConfigurationError)
  })
})

/** Of an ECDSA signature (r, s) over P-256, (r, n - s) is valid as well, and needs no key. */
function otherSignature(token: string): string {
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const bytes = Buffer.from(signature, 'base64url')
  const n = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
  const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const other = Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex')
  return `${header}.${payload}.${Buffer.concat([bytes.subarray(0, 32), other]).toString('base64url')}`
}
