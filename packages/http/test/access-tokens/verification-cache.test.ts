import { describe, expect, it } from 'vitest'
import {
  accessTokenCacheStats,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  type BearerClaims,
  type TokenVerifier,
  type Verification,
} from '../../src/index.js'
import { request } from '../app.js'

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

it.each<[string, unknown]>([
  ['cache', true],
  ['cache.entries', { entries: 0 }],
  ['cache.size', { size: 100 }],
])('rejects an invalid option %s at construction', (option, cache) => {
  const { verifier } = createVerifier()
  const options = { accessTokens: verifier, ...{ cache: cache as { entries: number } } }
  expect(() => accessTokenGuard(options)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
})
