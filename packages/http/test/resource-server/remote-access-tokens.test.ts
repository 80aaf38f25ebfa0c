import { createHmac } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { generateSigningKey, IssuerError, remoteAccessTokens, type RemoteAccessTokensOptions } from '../../src/index.js'
import {
  AUDIENCE,
  clientOf,
  KEYS,
  METADATA,
  publicOf,
  redirectTo,
  type Respond,
  sendJson,
  startIssuer,
} from './issuer.js'

type Issuer = Awaited<ReturnType<typeof startIssuer>>

const running: Issuer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((issuer) => issuer.stop()))
})

async function setup({ path, ...options }: Partial<RemoteAccessTokensOptions> & { readonly path?: string } = {}) {
  const issuer = await startIssuer({ path })
  running.push(issuer)
  const staleErrors: unknown[] = []
  const onError = (error: unknown) => staleErrors.push(error)
  const accessTokens = remoteAccessTokens({ issuer: issuer.url, audience: AUDIENCE, onError, ...options })
  const api = clientOf(accessTokens, { now: () => issuer.clock.now })
  const advance = (seconds: number) => (issuer.clock.now += seconds * 1000)
  return { ...issuer, ...api, accessTokens, staleErrors, advance }
}

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
const invalid = { status: 401, error: 'invalid_token' }
const unavailable = { status: 503 }

describe('a token of the issuer', () => {
  it('is accepted with its claims, with and without a session id', async () => {
    const { send, sign, url } = await setup()
    const claims = { iss: url, sub: 'alice', client_id: 'web', aud: AUDIENCE }
    expect(await send(await sign())).toMatchObject({ status: 200, claims: { ...claims, scope: '' } })
    expect(await send(await sign({ claims: { sid: 's', scope: 'read', tenant: 't' } }))).toMatchObject({
      status: 200,
      claims: { ...claims, sid: 's', scope: 'read', tenant: 't' },
    })
  })

  it.each(['ES256', 'EdDSA', 'RS256'] as const)('is accepted with the algorithm %s', async (algorithm) => {
    const { send, sign, publish } = await setup()
    const key = generateSigningKey(algorithm)
    publish(publicOf(key))
    expect(await send(await sign({ key }))).toMatchObject({ status: 200 })
  })

  it('is accepted without a kid if one key fits', async () => {
    const { send, sign, publish, key } = await setup()
    publish(publicOf(key), publicOf(generateSigningKey('RS256')))
    expect(await send(await sign({ header: { kid: undefined } }))).toMatchObject({ status: 200 })
  })

  it.each([
    ['another type', { header: { typ: 'JWT' } }],
    ['no type', { header: { typ: undefined } }],
    ['another issuer', { claims: { iss: 'https://other.example' } }],
    ['another audience', { claims: { aud: 'https://other.example' } }],
    ['no audience', { claims: { aud: undefined } }],
    ['no subject', { claims: { sub: undefined } }],
    ['no client id', { claims: { client_id: undefined } }],
    ['no expiry', { claims: { exp: undefined } }],
    ['no time of issue', { claims: { iat: undefined } }],
    ['no jti', { claims: { jti: undefined } }],
    ['a scope of a wrong type', { claims: { scope: ['read'] } }],
    ['a session id of a wrong type', { claims: { sid: 1 } }],
  ])('is rejected with %s', async (_, changes) => {
    const { send, sign } = await setup()
    expect(await send(await sign(changes))).toMatchObject(invalid)
  })

  it('is rejected with an algorithm that is not in the option algorithms', async () => {
    const { send, sign, publish, key } = await setup({ algorithms: ['RS256'] })
    const rsa = generateSigningKey('RS256')
    publish(publicOf(key), publicOf(rsa))
    expect(await send(await sign())).toMatchObject(invalid)
    expect(await send(await sign({ key: rsa }))).toMatchObject({ status: 200 })
  })

  it('is rejected if it is unsigned or signed with the public key as a secret', async () => {
    const { send, sign, key } = await setup()
    const [, payload = ''] = (await sign()).split('.')
    const publicKey = JSON.stringify(publicOf(key))
    for (const [alg, signature] of [
      ['none', () => ''],
      ['HS256', (input: string) => createHmac('sha256', publicKey).update(input).digest('base64url')],
    ] as const) {
      const input = `${encode({ alg, typ: 'at+jwt', kid: key.kid })}.${payload}`
      expect(await send(`${input}.${signature(input)}`)).toMatchObject(invalid)
    }
  })

  it('is rejected with a signature of another key under the same kid, without a request for keys', async () => {
    const { send, sign, key, requestsFor } = await setup()
    const other = { ...generateSigningKey(), kid: key.kid ?? '' }
    for (let count = 0; count < 3; count += 1) expect(await send(await sign({ key: other }))).toMatchObject(invalid)
    expect(requestsFor(KEYS)).toBe(1)
  })

  it('is accepted with a clock that is 2 s behind or ahead, and never after its expiry', async () => {
    const { send, sign, clock, advance } = await setup()
    const start = Math.floor(clock.now / 1000)
    const token = await sign({ claims: { nbf: start, iat: start, exp: start + 60 } })
    for (const skew of [-2, 2]) {
      clock.now = (start + skew) * 1000
      expect(await send(token)).toMatchObject({ status: 200 })
    }
    clock.now = (start - 10) * 1000
    expect(await send(await sign({ claims: { nbf: start } }))).toMatchObject(invalid)
    clock.now = (start + 60) * 1000
    expect(await send(token)).toMatchObject(invalid)
    advance(-1)
    expect(await send(token)).toMatchObject({ status: 200 })
  })
})

describe('metadata', () => {
  const oidc = '/.well-known/openid-configuration'
  it.each([
    ['', METADATA],
    ['', oidc],
    ['/tenant', `${METADATA}/tenant`],
    ['/tenant', `${oidc}/tenant`],
    ['/tenant', `/tenant${oidc}`],
    ['/tenant/', `/tenant${oidc}`],
  ])('of an issuer with the path "%s" is found at %s', async (path, location) => {
    const { send, sign, routes, url, origin } = await setup({ path })
    routes.delete(METADATA)
    routes.set(location, sendJson({ issuer: url, jwks_uri: origin + KEYS }))
    expect(await send(await sign())).toMatchObject({ status: 200 })
  })

  it.each<[string, (origin: string) => Respond, RegExp]>([
    ['of another issuer', (origin) => sendJson({ issuer: 'https://other.example', jwks_uri: origin + KEYS }), /issuer/],
    [
      'of an issuer that differs in a slash',
      (origin) => sendJson({ issuer: `${origin}/`, jwks_uri: origin + KEYS }),
      /issuer/,
    ],
    ['without jwks_uri', (origin) => sendJson({ issuer: origin }), /has no jwks_uri/],
    [
      'with a jwks_uri over plain http',
      (origin) => sendJson({ issuer: origin, jwks_uri: 'http://keys.example/' }),
      /https URL/,
    ],
    [
      'with a jwks_uri with a password',
      (origin) => sendJson({ issuer: origin, jwks_uri: 'https://a:b@keys.example/' }),
      /https URL/,
    ],
    ['that is a list', () => sendJson([]), /not a JSON object/],
    ['that is HTML', () => (_, response) => response.end('<!doctype html><title>Sign in</title>'), /HTML/],
    ['that is a redirect', (origin) => redirectTo(`${origin}/moved`), /redirect/],
    ['with the status 500', () => sendJson({}, 500), /status 500/],
  ])('%s is an error of the issuer', async (_, respond, message) => {
    const { send, sign, routes, origin, errors, messages } = await setup()
    routes.set('/moved', sendJson({ issuer: origin, jwks_uri: origin + KEYS }))
    routes.set(METADATA, respond(origin))
    expect(await send(await sign())).toMatchObject(unavailable)
    expect(errors).toEqual([expect.any(IssuerError)])
    expect(messages()[0]).toMatch(message)
  })
})

describe('a key set', () => {
  const [one, other, rsa] = [generateSigningKey(), generateSigningKey(), generateSigningKey('RS256')]
  const keys = (...list: readonly unknown[]) => sendJson({ keys: list })
  const endless: Respond = (_, response) => {
    const chunk = Buffer.alloc(65_536, 32)
    const write = () => {
      if (!response.destroyed) response.write(chunk, () => setImmediate(write))
    }
    write()
  }

  it.each<[string, Respond, RegExp]>([
    ['that is HTML', (_, response) => response.end('<html></html>'), /HTML/],
    ['that is not JSON', (_, response) => response.end('{"keys":'), /not JSON/],
    ['without keys', sendJson({}), /no list "keys"/],
    ['that is empty', keys(), /no public key/],
    ['that never ends', endless, /longer than 262144 bytes/],
    ['with too many keys', keys(...Array.from({ length: 101 }, () => publicOf(one))), /101 keys/],
    ['with a kid twice', keys(publicOf(one), { ...publicOf(other), kid: one.kid }), /several keys with the kid/],
    [
      'with two keys without kid',
      keys({ ...publicOf(one), kid: undefined }, { ...publicOf(rsa), kid: undefined }),
      /without kid/,
    ],
    ['with an alg of another key type', keys({ ...publicOf(one), alg: 'RS256' }), /alg RS256/],
    ['with an alg of another curve', keys({ ...publicOf(one), alg: 'ES384' }), /alg ES384/],
    ['with a private key', keys(one), /private members/],
    ['with a symmetric key only', keys({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }), /no public key/],
    ['with an encryption key only', keys({ ...publicOf(one), use: 'enc' }), /no public key/],
    ['with a key that is not on the curve', keys({ ...publicOf(one), x: publicOf(other)['x'] }), /do not form a key/],
    ['that is a redirect', redirectTo('/other-keys'), /redirect/],
    ['with the status 500', sendJson({}, 500), /status 500/],
  ])('%s is an error of the issuer', async (_, respond, message) => {
    const { send, sign, routes, errors, messages } = await setup()
    routes.set('/other-keys', keys(publicOf(one)))
    routes.set(KEYS, respond)
    expect(await send(await sign({ key: one }))).toMatchObject(unavailable)
    expect(errors).toEqual([expect.any(IssuerError)])
    expect(messages()[0]).toMatch(message)
  })

  it('that does not arrive within timeoutSeconds is an error of the issuer', async () => {
    const { send, sign, routes, messages } = await setup({ timeoutSeconds: 1 })
    routes.set(KEYS, (_, response) => response.write('{'))
    expect(await send(await sign())).toMatchObject(unavailable)
    expect(messages()[0]).toMatch(/within timeoutSeconds/)
  })

  it('that a custom fetch never returns is an error of the issuer', async () => {
    const fetch = async () => new Promise<never>(() => undefined)
    const { send, sign, messages } = await setup({ timeoutSeconds: 1, fetch })
    expect(await send(await sign())).toMatchObject(unavailable)
    expect(messages()[0]).toMatch(/within timeoutSeconds/)
  })

  it('is used without its keys for other purposes and its unknown keys', async () => {
    const { send, sign, routes } = await setup()
    const ignored = [{ kty: 'oct', k: 'c2VjcmV0' }, { kty: 'LMS' }, { ...publicOf(other), use: 'enc' }, null, 'key']
    routes.set(KEYS, keys(...ignored, publicOf(one)))
    expect(await send(await sign({ key: one }))).toMatchObject({ status: 200 })
    expect(await send(await sign({ key: other }))).toMatchObject(invalid)
  })

  it('is not fetched for text that cannot be a token of the issuer', async () => {
    const { send, sign, requests } = await setup()
    const signed = await sign()
    for (const text of ['x', 'a.b.c', `${signed}.x`, 'e30.e30.e30', `${signed}${'x'.repeat(16_384)}`])
      expect(await send(text)).toMatchObject(invalid)
    expect(await send(await sign({ header: { typ: 'JWT' } }))).toMatchObject(invalid)
    expect(requests).toEqual([])
  })
})

describe('rotation of keys', () => {
  it('accepts tokens of the old and the new key while both are published', async () => {
    const { send, sign, publish, key, advance } = await setup()
    const newer = generateSigningKey()
    expect(await send(await sign())).toMatchObject({ status: 200 })
    publish(publicOf(key), publicOf(newer))
    advance(30)
    expect(await send(await sign({ key: newer }))).toMatchObject({ status: 200 })
    expect(await send(await sign())).toMatchObject({ status: 200 })
  })

  it('rejects cached tokens of a key that was removed once the key set has its maximum age', async () => {
    const { send, sign, publish, advance, accessTokens, clock } = await setup({ keysMaxAgeSeconds: 600 })
    const old = await sign()
    const newer = generateSigningKey()
    expect(await send(old)).toMatchObject({ status: 200 })
    expect(await send(old)).toMatchObject({ status: 200 })
    const version = accessTokens.cacheVersion(clock.now)
    publish(publicOf(newer))
    advance(599)
    expect(accessTokens.cacheVersion(clock.now)).toBe(version)
    expect(await send(old)).toMatchObject({ status: 200 })
    advance(1)
    expect(await send(old)).toMatchObject(invalid)
    expect(accessTokens.cacheVersion(clock.now)).not.toBe(version)
    expect(await send(await sign({ key: newer }))).toMatchObject({ status: 200 })
  })

  it('keeps the version if the key set has the same keys', async () => {
    const { send, sign, advance, accessTokens, clock, requestsFor } = await setup()
    await send(await sign())
    const version = accessTokens.cacheVersion(clock.now)
    advance(600)
    await send(await sign())
    expect(requestsFor(KEYS)).toBe(2)
    expect(accessTokens.cacheVersion(clock.now)).toBe(version)
  })

  it('fetches the key set once per cool-down for any number of unknown keys', async () => {
    const { send, sign, advance, requestsFor } = await setup()
    expect(await send(await sign())).toMatchObject({ status: 200 })
    const storm = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => sign({ header: { kid: `unknown ${String(index)}` } })),
    )
    for (const token of storm) expect(await send(token)).toMatchObject(invalid)
    expect(requestsFor(KEYS)).toBe(1)
    advance(30)
    const outcomes = await Promise.all(storm.map(send))
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set([401]))
    expect(requestsFor(KEYS)).toBe(2)
  })
})

describe('an unavailable issuer', () => {
  it('causes 503 at the start, never 401, until it is available', async () => {
    const { send, sign, stop, start, advance, errors } = await setup()
    const token = await sign()
    await stop()
    for (let second = 0; second < 5; second += 1) {
      expect(await send(token)).toMatchObject(unavailable)
      advance(1)
    }
    expect(errors).toEqual(Array.from({ length: 5 }, () => expect.any(IssuerError)))
    await start()
    expect(await send(token)).toMatchObject({ status: 200 })
  })

  it('is asked once per second at the start', async () => {
    const { send, sign, routes, requestsFor, advance } = await setup()
    const token = await sign()
    routes.set(METADATA, sendJson({}, 500))
    for (let count = 0; count < 10; count += 1) expect(await send(token)).toMatchObject(unavailable)
    expect(requestsFor(METADATA)).toBe(1)
    advance(1)
    expect(await send(token)).toMatchObject(unavailable)
    expect(requestsFor(METADATA)).toBe(2)
  })

  it('causes one request for concurrent tokens at the start', async () => {
    const { send, sign, requests } = await setup()
    const token = await sign()
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => send(token)))
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set([200]))
    expect(requests).toEqual([METADATA, KEYS])
  })

  it('does not end the use of its last keys, which maxStaleSeconds limits', async () => {
    const { send, sign, stop, start, advance, staleErrors } = await setup({ maxStaleSeconds: 3600 })
    expect(await send(await sign())).toMatchObject({ status: 200 })
    await stop()
    advance(601)
    expect(await send(await sign())).toMatchObject({ status: 200 })
    expect(await send(await sign())).toMatchObject({ status: 200 })
    expect(staleErrors).toEqual([expect.any(IssuerError)])
    advance(3600)
    expect(await send(await sign())).toMatchObject(unavailable)
    await start()
    advance(1)
    expect(await send(await sign())).toMatchObject({ status: 200 })
  })

  it('does not end the use of its last keys if it publishes an invalid key set', async () => {
    const { send, sign, publish, key, advance, staleErrors } = await setup()
    expect(await send(await sign())).toMatchObject({ status: 200 })
    publish(publicOf(key), { ...publicOf(generateSigningKey()), kid: key.kid })
    advance(601)
    expect(await send(await sign())).toMatchObject({ status: 200 })
    expect(staleErrors).toEqual([expect.any(IssuerError)])
  })

  it('causes 503 for a token of an unknown key, which may be valid', async () => {
    const { send, sign, stop, start, publish, key, advance } = await setup()
    const newer = generateSigningKey()
    expect(await send(await sign())).toMatchObject({ status: 200 })
    await stop()
    advance(30)
    expect(await send(await sign({ key: newer }))).toMatchObject(unavailable)
    expect(await send(await sign({ key: newer }))).toMatchObject(unavailable)
    expect(await send(await sign())).toMatchObject({ status: 200 })
    publish(publicOf(key), publicOf(newer))
    await start()
    advance(1)
    expect(await send(await sign({ key: newer }))).toMatchObject({ status: 200 })
  })
})

describe('options', () => {
  it.each([
    'http://login.example',
    'login.example',
    'https://login.example?tenant=1',
    'https://user:password@login.example',
  ])('reject the issuer %s', (issuer) => {
    expect(() => remoteAccessTokens({ issuer, audience: AUDIENCE })).toThrow(/^option "issuer" must be /)
  })

  it('reject symmetric algorithms and an empty list', () => {
    const issuer = 'https://login.example'
    for (const algorithms of [['HS256'], ['none'], []])
      expect(() => remoteAccessTokens({ issuer, audience: AUDIENCE, algorithms: algorithms as never })).toThrow(
        /^option "algorithms/,
      )
  })
})
