import { hash } from 'node:crypto'
import { declareOptions, integer, type OptionsOf, withDefault } from '@baton/core/options'
import type { TokenVerifier, Verification } from './access-token.js'

export const cacheOptions = declareOptions({
  /**
   * The maximum number of access tokens whose verification is cached. The least recently used one is removed first. Default 10 000. An
   * entry takes about one kilobyte and twice the size of the claims.
   */
  entries: withDefault(integer({ min: 1, max: 1_000_000 }), 10_000),
})

export type AccessTokenCacheOptions = OptionsOf<typeof cacheOptions>

/** Numbers since the start of the process, for metrics. */
export interface AccessTokenCacheStats {
  /** Access tokens that were accepted without verifying their signature again. */
  readonly hits: number
  /** Access tokens that were verified. */
  readonly misses: number
  /** Access tokens that were rejected without verifying their signature again. */
  readonly rejections: number
  /** Accepted access tokens that were removed because the cache was full. */
  readonly evictions: number
  /** Accepted access tokens in the cache now. */
  readonly entries: number
}

interface Entry<Claims> {
  readonly claims: Claims
  readonly version: unknown
  /** Epoch milliseconds. */
  readonly notBefore: number
  readonly expiresAt: number
}

interface Rejection {
  readonly version: unknown
  readonly until: number
}

/** Returns the claims of a valid access token or null: at once from a cache, or later. */
export type Verify<Claims> = (accessToken: string, now: number) => Claims | null | Promise<Claims | null>

interface VerificationCache<Claims> {
  readonly verify: Verify<Claims>
  readonly stats: () => AccessTokenCacheStats
}

const MAX_REJECTIONS = 1000
const REJECTION_MS = 10_000

/** The caches of a verifier by their number of entries: all guards of a verifier share them. */
const caches = new WeakMap<object, Map<number, VerificationCache<unknown>>>()

/**
 * Returns `verify` of a verifier with a cache of its results, or without one if the verifier has no `cacheVersion`. Guards with the same
 * verifier and the same number of entries share a cache.
 */
export function cachedVerification<Claims extends object>(
  verifier: TokenVerifier<Claims>,
  entries: number,
): Verify<Claims> {
  if (verifier.cacheVersion === undefined) return async (accessToken, now) => verifier.verify(accessToken, now)
  const bySize = caches.get(verifier) ?? new Map<number, VerificationCache<unknown>>()
  caches.set(verifier, bySize)
  // The claims of a verifier always have the same type.
  const shared = bySize.get(entries) as VerificationCache<Claims> | undefined
  if (shared !== undefined) return shared.verify
  const created = createCache(verifier, entries)
  bySize.set(entries, created)
  return created.verify
}

/**
 * Returns the numbers of the caches in which guards keep the verified access tokens of `accessTokens`: what `jwtAccessTokens()` or another
 * function with that name returns.
 *
 * @example
 * ```ts
 * import { accessTokenCacheStats, type AccessTokens } from '@baton/http'
 *
 * declare const accessTokens: AccessTokens
 * const { hits, misses } = accessTokenCacheStats(accessTokens)
 * ```
 */
export function accessTokenCacheStats(accessTokens: object): AccessTokenCacheStats {
  const total = { hits: 0, misses: 0, rejections: 0, evictions: 0, entries: 0 }
  for (const cache of caches.get(accessTokens)?.values() ?? []) {
    const stats = cache.stats()
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += stats[name]
  }
  return total
}

function createCache<Claims extends object>(
  verifier: TokenVerifier<Claims>,
  entries: number,
): VerificationCache<Claims> {
  const counts = { hits: 0, misses: 0, rejections: 0, evictions: 0 }
  // The order of a map is the order of insertion: the first entry is the least recently used one.
  const accepted = new Map<string, Entry<Claims>>()
  // Separate and small, so that invalid tokens remove no entry of a valid one.
  const rejected = new Map<string, Rejection>()

  function findAccepted(key: string, version: unknown, now: number): Claims | null {
    const entry = accepted.get(key)
    if (entry === undefined) return null
    accepted.delete(key)
    if (now >= entry.expiresAt || !Object.is(entry.version, version)) return null
    accepted.set(key, entry)
    return now >= entry.notBefore ? entry.claims : null
  }

  function isRejected(key: string, version: unknown, now: number): boolean {
    const rejection = rejected.get(key)
    return rejection !== undefined && now < rejection.until && Object.is(rejection.version, version)
  }

  function accept(key: string, claims: Claims, version: unknown): void {
    const period = validityOf(claims)
    if (period === null) return
    accepted.set(key, { claims: freezeDeep(claims), version, ...period })
    if (accepted.size > entries) {
      removeFirst(accepted)
      counts.evictions += 1
    }
  }

  /** `version` was read before the verification: the result of an older key must not get a newer version. */
  function keep(result: Verification<Claims>, key: string, version: unknown, now: number): Claims | null {
    if (!('isFinal' in result)) {
      accept(key, result.claims, version)
      return result.claims
    }
    if (result.isFinal) {
      rejected.set(key, { version, until: now + REJECTION_MS })
      if (rejected.size > MAX_REJECTIONS) removeFirst(rejected)
    }
    return null
  }

  return {
    verify(accessToken, now) {
      // All 256 bits are compared. The token itself is not kept.
      const key = hash('sha256', accessToken, 'binary')
      const version = verifier.cacheVersion?.(now)
      const claims = findAccepted(key, version, now)
      if (claims !== null) {
        counts.hits += 1
        return claims
      }
      if (isRejected(key, version, now)) {
        counts.rejections += 1
        return null
      }
      counts.misses += 1
      const result = verifyNow(verifier, accessToken, now)
      return 'claims' in result
        ? keep(result, key, version, now)
        : Promise.resolve(result).then((settled) => keep(settled, key, version, now))
    },
    stats: () => ({ ...counts, entries: accepted.size }),
  }
}

function verifyNow<Claims>(
  verifier: TokenVerifier<Claims>,
  accessToken: string,
  now: number,
): Verification<Claims> | Promise<Verification<Claims>> {
  if (verifier.verifyForCache !== undefined) return verifier.verifyForCache(accessToken, now)
  return verifier.verify(accessToken, now).then((claims) => (claims === null ? NOT_FINAL : { claims }))
}

const NOT_FINAL = { claims: null, isFinal: false } as const

/** Returns when the claims are valid, or null for claims that cannot be cached. */
function validityOf(claims: object): Pick<Entry<unknown>, 'notBefore' | 'expiresAt'> | null {
  const { exp, nbf = 0 } = claims as { readonly exp?: unknown; readonly nbf?: unknown }
  if (typeof exp !== 'number' || !Number.isFinite(exp) || typeof nbf !== 'number') return null
  return { notBefore: nbf * 1000, expiresAt: exp * 1000 }
}

/** A request that changed the claims would change them for all later requests with this token. */
function freezeDeep<Value extends object>(value: Value): Value {
  for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) freezeDeep(member)
  return Object.freeze(value)
}

function removeFirst(map: Map<string, unknown>): void {
  for (const [key] of map) {
    map.delete(key)
    return
  }
}
