import { createPrivateKey, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  accessTokenCacheStats,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  type BearerClaims,
  generateSigningKey,
  jwtAccessTokens,
  type TokenVerifier,
  type Verification,
} from '../../src/index.js'
import { createApp, ISSUER, request } from '../app.js'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const IN_ONE_MINUTE = NOW / 1000 + 60

interface Claims extends BearerClaims {
  readonly exp?: number
  readonly nbf?: number
  readonly roles?: string[]
}

/** A verifier whose results can be changed, and that counts its calls. */
function createVerifier(members: Partial<TokenVerifier<Claims>> = {}) {
  const valid = new Map<string, Claims>()
  const calls: string[] = []
  const state = { version: 1 }
  const verifier: TokenVerifier<Claims> = {
    async verify(token) {
      calls.push(token)
      const claims = valid.get(token)
      return claims === undefined ? null : structuredClone(claims)
    },
    cacheVersion: () => state.version,
    ...members,
  }
  return { valid, calls, state, verifier }
}

function createApi(
  options: Partial<AccessTokenGuardOptions<Claims>> = {},
  members: Partial<TokenVerifier<Claims>> = {},
) {
  const made = createVerifier(members)
  const clock = { now: NOW }
  const guard = accessTokenGuard<Claims>({ accessTokens: made.verifier, now: () => clock.now, ...options })
  const call = (token: string, at = guard) => at(request({ headers: { authorization: `Bearer ${token}` } }))
  const isAccepted = async (token: string, at = guard) => (await call(token, at)).ok
  const claimsOf = async (token: string) => {
    const outcome = await call(token)
    if (!outcome.ok) throw new Error('the guard rejected the token')
    return outcome.claims
  }
  return { ...made, clock, call, isAccepted, claimsOf }
}

const claims = (more: Partial<Claims> = {}): Claims => ({ sub: 'alice', exp: IN_ONE_MINUTE, ...more })

describe('the cache of verified access tokens', () => {
  it('verifies a token once and accepts it until it expires', async () => {
    const { valid, calls, clock, isAccepted } = createApi()
    valid.set('a', claims())
    expect([await isAccepted('a'), await isAccepted('a')]).toEqual([true, true])
    expect(calls).toEqual(['a'])
    valid.delete('a')
    clock.now = IN_ONE_MINUTE * 1000 - 1
    expect(await isAccepted('a')).toBe(true)
    clock.now += 1
    expect(await isAccepted('a')).toBe(false)
  })

  it('rejects a cached token before the time from which it is valid', async () => {
    const { valid, clock, isAccepted } = createApi()
    valid.set('a', claims({ nbf: NOW / 1000 }))
    expect(await isAccepted('a')).toBe(true)
    valid.delete('a')
    clock.now -= 1
    expect(await isAccepted('a')).toBe(false)
  })

  it('verifies a cached token again after a change of the version', async () => {
    const { valid, state, isAccepted } = createApi()
    valid.set('a', claims())
    expect(await isAccepted('a')).toBe(true)
    valid.delete('a')
    expect(await isAccepted('a')).toBe(true)
    state.version += 1
    expect(await isAccepted('a')).toBe(false)
    state.version -= 1
    expect(await isAccepted('a')).toBe(false)
  })

  it('does not cache a result of which the version changed during the verification', async () => {
    let finish = (_claims: Claims | null) => {}
    const verify = () => new Promise<Claims | null>((resolve) => (finish = resolve))
    const { state, isAccepted } = createApi({}, { verify })
    const first = isAccepted('a')
    state.version += 1
    finish(claims())
    expect(await first).toBe(true)
    const second = isAccepted('a')
    finish(null)
    expect(await second).toBe(false)
  })
})

describe('tokens that are not cached', () => {
  it.each<[string, Partial<AccessTokenGuardOptions<Claims>>, Partial<TokenVerifier<Claims>>]>([
    ['the option cache is false', { cache: false }, {}],
    ['the verifier has no cacheVersion', {}, { cacheVersion: undefined }],
  ])('verifies every request if %s', async (_, options, members) => {
    const { valid, calls, isAccepted } = createApi(options, members)
    valid.set('a', claims())
    expect([await isAccepted('a'), await isAccepted('a')]).toEqual([true, true])
    expect(calls).toEqual(['a', 'a'])
  })

  it('verifies every request if the claims have no exp', async () => {
    const { valid, calls, isAccepted } = createApi()
    valid.set('a', { sub: 'alice' })
    expect([await isAccepted('a'), await isAccepted('a')]).toEqual([true, true])
    expect(calls).toEqual(['a', 'a'])
  })

  it('accepts a token that becomes valid after a rejection', async () => {
    const { valid, isAccepted } = createApi()
    expect(await isAccepted('a')).toBe(false)
    valid.set('a', claims())
    expect(await isAccepted('a')).toBe(true)
  })
})

describe('cached rejections', () => {
  function createForgery() {
    const calls: string[] = []
    const verifyForCache = (token: string): Verification<Claims> => {
      calls.push(token)
      return token === 'good' ? { claims: claims() } : { claims: null, isFinal: token !== 'later' }
    }
    return { ...createApi({ cache: { entries: 10 } }, { verifyForCache }), calls }
  }

  it('rejects a token without another verification only if its rejection is final, for ten seconds', async () => {
    const { calls, clock, isAccepted } = createForgery()
    expect([await isAccepted('forged'), await isAccepted('forged')]).toEqual([false, false])
    expect([await isAccepted('later'), await isAccepted('later')]).toEqual([false, false])
    expect(calls).toEqual(['forged', 'later', 'later'])
    clock.now += 10_000
    expect(await isAccepted('forged')).toBe(false)
    expect(calls).toHaveLength(4)
  })

  it('verifies a rejected token again after a change of the version', async () => {
    const { calls, state, isAccepted } = createForgery()
    await isAccepted('forged')
    state.version += 1
    await isAccepted('forged')
    expect(calls).toEqual(['forged', 'forged'])
  })

  it('keeps valid tokens during requests with very many invalid ones, and no more rejections than a fixed number', async () => {
    const { calls, isAccepted, verifier } = createForgery()
    expect(await isAccepted('good')).toBe(true)
    for (let index = 0; index < 5000; index += 1) await isAccepted(`forged ${String(index)}`)
    calls.length = 0
    expect(await isAccepted('good')).toBe(true)
    expect(calls).toEqual([])
    // The first one was removed again, and the last one was not.
    await isAccepted('forged 0')
    await isAccepted('forged 4999')
    expect(calls).toEqual(['forged 0'])
    expect(accessTokenCacheStats(verifier)).toEqual({ hits: 1, misses: 5002, rejections: 1, evictions: 0, entries: 1 })
  })
})

it('removes the token that was not used for the longest time from a full cache', async () => {
  const { valid, calls, isAccepted, verifier } = createApi({ cache: { entries: 2 } })
  for (const token of ['a', 'b', 'c']) valid.set(token, claims())
  for (const token of ['a', 'b', 'a', 'c']) await isAccepted(token)
  calls.length = 0
  for (const token of ['a', 'c', 'b']) await isAccepted(token)
  expect(calls).toEqual(['b'])
  expect(accessTokenCacheStats(verifier)).toEqual({ hits: 3, misses: 4, rejections: 0, evictions: 2, entries: 2 })
})

it('returns claims that no request can change for another one', async () => {
  const { valid, claimsOf } = createApi()
  valid.set('a', claims({ roles: ['reader'] }))
  for (const found of [await claimsOf('a'), await claimsOf('a')]) {
    expect(() => Object.assign(found, { sub: 'mallory' })).toThrow(TypeError)
    expect(() => found.roles?.push('admin')).toThrow(TypeError)
  }
  expect(await claimsOf('a')).toEqual(claims({ roles: ['reader'] }))
})

it('shares a cache between the guards of a verifier, and not between verifiers', async () => {
  const { valid, calls, isAccepted, verifier } = createApi()
  const other = createVerifier()
  valid.set('a', claims())
  const at = (accessTokens: TokenVerifier<Claims>) => accessTokenGuard<Claims>({ accessTokens, now: () => NOW })
  expect(await isAccepted('a')).toBe(true)
  expect(await isAccepted('a', at(verifier))).toBe(true)
  expect(calls).toEqual(['a'])
  expect(await isAccepted('a', at(other.verifier))).toBe(false)
})

describe('cached tokens of a server', () => {
  const API = 'https://api.example'
  const key = generateSigningKey()

  async function createServer() {
    const app = createApp()
    const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: API, keys: [key] })
    const { family } = await app.tokens.issue({ subject: 'alice', clientId: 'web', scope: 'read' })
    const grant = { family, scope: 'read', claims: {}, confirmation: null, maxLifetimeSeconds: 900 }
    const mint = async (...audience: string[]) =>
      (await accessTokens.mint({ ...grant, audience, now: app.clock.now })).accessToken
    const guardWith = (options: Partial<AccessTokenGuardOptions>) => {
      const guard = accessTokenGuard({ accessTokens, now: app.shared.now, ...options })
      return async (token: string) => {
        const outcome = await guard(request({ headers: { authorization: `Bearer ${token}` } }))
        return outcome.ok ? 200 : outcome.response.status
      }
    }
    return { ...app, accessTokens, family, mint, guardWith }
  }

  it('rejects a cached token with insufficient scope', async () => {
    const { mint, guardWith, accessTokens } = await createServer()
    const token = await mint(API)
    expect(await guardWith({ scope: 'read' })(token)).toBe(200)
    expect(await guardWith({ scope: 'write' })(token)).toBe(403)
    expect(accessTokenCacheStats(accessTokens)).toMatchObject({ hits: 1, misses: 1 })
  })

  it('rejects a cached token of a revoked session', async () => {
    const { tokens, family, mint, guardWith } = await createServer()
    const [call, token] = [guardWith({ checkSession: tokens }), await mint(API)]
    expect([await call(token), await call(token)]).toEqual([200, 200])
    await tokens.revoke({ familyId: family.id })
    expect(await call(token)).toBe(401)
  })

  it('rejects a token at another audience although it is cached for its own', async () => {
    const { mint, guardWith } = await createServer()
    const other = jwtAccessTokens({ issuer: ISSUER, audience: 'https://other.example', keys: [key] })
    const [own, foreign] = [guardWith({}), guardWith({ accessTokens: other })]
    const token = await mint(API)
    expect([await own(token), await foreign(token), await own(token)]).toEqual([200, 401, 200])
    const forOther = await mint('https://other.example')
    expect([await foreign(forOther), await own(forOther), await own(forOther)]).toEqual([200, 401, 401])
  })

  it('rejects a token with another signature than a cached one, again and again', async () => {
    const { mint, guardWith, accessTokens } = await createServer()
    const [call, token, another] = [guardWith({}), await mint(API), await mint(API)]
    const forged = token.slice(0, token.lastIndexOf('.')) + another.slice(another.lastIndexOf('.'))
    expect([await call(token), await call(forged), await call(forged), await call(token)]).toEqual([200, 401, 401, 200])
    expect(accessTokenCacheStats(accessTokens)).toEqual({ hits: 1, misses: 2, rejections: 1, evictions: 0, entries: 1 })
  })

  it('accepts a token once its clock has reached nbf, although it was rejected before', async () => {
    const { clock, mint, guardWith, accessTokens } = await createServer()
    const token = await mint(API)
    const [header = '', payload = ''] = token.split('.')
    const members = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const later = { ...members, nbf: clock.now / 1000 + 1 }
    const signedText = `${header}.${Buffer.from(JSON.stringify(later)).toString('base64url')}`
    const privateKey = createPrivateKey({ key, format: 'jwk' })
    const signature = sign('sha256', Buffer.from(signedText), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const early = `${signedText}.${signature.toString('base64url')}`
    const call = guardWith({})
    expect([await call(early), await call(early)]).toEqual([401, 401])
    clock.now += 1000
    expect(await call(early)).toBe(200)
    expect(accessTokenCacheStats(accessTokens)).toMatchObject({ rejections: 0 })
  })
})

it.each<[string, unknown]>([
  ['cache', true],
  ['cache.entries', { entries: 0 }],
  ['cache.size', { size: 100 }],
])('rejects an invalid option %s at construction', (option, cache) => {
  const { verifier } = createVerifier()
  const options = { accessTokens: verifier, ...{ cache: cache as { entries: number } } }
  expect(() => accessTokenGuard(options)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
})
