import { listOf, oneOf, optional, type OptionsOf, required, seconds, text, withDefault } from '@baton/core/options'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import type { RemoteAccessTokenClaims, TokenVerifier } from '../access-tokens/access-token.js'
import { isFor, parseRemoteClaims } from '../access-tokens/claims.js'
import { isJwtType } from '../crypto/jwt-type.js'
import { report } from '../pipeline/report.js'
import { deadline, fetchObject, fetchOptions } from './bounded-fetch.js'
import { discover } from './discovery.js'
import { IssuerError } from './issuer-error.js'
import { remoteIssuer } from './issuer-url.js'
import { isUnknownKey, type KeySet, parseKeySet, VERIFICATION_ALGORITHMS } from './key-set.js'
import { remoteDocument } from './remote-document.js'

const remoteOptions = fetchOptions.extend({
  /**
   * The authorization server: `iss` of its tokens and `issuer` of its metadata, compared as text. Its metadata is read by RFC 8414 or
   * OpenID Connect Discovery. An https URL, or http on a loopback host.
   */
  issuer: required(remoteIssuer()),
  /** The name of this API: `aud` of a token must contain it. Compared like a resource (RFC 3986 section 6.2). */
  audience: required(text({ fix: 'use the name of your API, such as https://api.example' })),
  /** The accepted signature algorithms. None of them is symmetric. Default: all. */
  algorithms: optional(listOf(oneOf(...VERIFICATION_ALGORITHMS), { min: 1 })),
  /** The key set is fetched again after this time: a key that the issuer has removed is accepted for so long. 1 to 86 400, default 600. */
  keysMaxAgeSeconds: withDefault(seconds({ min: 1, max: 86_400 }), 600),
  /** The minimum time between two requests for the key set, such as for tokens with an unknown `kid`. 1 to 3600, default 30. */
  cooldownSeconds: withDefault(seconds({ min: 1, max: 3600 }), 30),
  /**
   * How long a key set is used after `keysMaxAgeSeconds` if the issuer is unavailable. Then the response is 503. 0 to 604 800, default
   * 86 400.
   */
  maxStaleSeconds: withDefault(seconds({ min: 0, max: 604_800 }), 86_400),
})

export type RemoteAccessTokensOptions = OptionsOf<typeof remoteOptions>

/**
 * Verifies access tokens that another server issues. `verify` rejects with `IssuerError` if the keys of the issuer are not available. Guards
 * cache its results until the key set changes or has to be fetched again.
 */
export interface RemoteAccessTokens extends TokenVerifier<RemoteAccessTokenClaims> {
  readonly cacheVersion: (now: number) => unknown
}

const TYPE = 'at+jwt'
const MAX_LENGTH = 16_384
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** How far the clock of the issuer may be ahead. */
const CLOCK_SKEW_SECONDS = 5

/**
 * Verifies the JWT access tokens of an authorization server in another process ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)). For
 * the option `accessTokens` of a guard. Keys are fetched at the first token, cached, and fetched again for a token of an unknown key. If
 * the issuer is unavailable at the start, a guard responds with 503 until it is available. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, remoteAccessTokens } from '@baton/http'
 *
 * const accessTokens = remoteAccessTokens({ issuer: 'https://login.example', audience: 'https://api.example' })
 * const guard = accessTokenGuard({ accessTokens, scope: 'orders:read' })
 * ```
 */
export function remoteAccessTokens(options: RemoteAccessTokensOptions): RemoteAccessTokens {
  const parsed = remoteOptions.parse('remoteAccessTokens', options)
  const { issuer, audience, algorithms = VERIFICATION_ALGORITHMS, onError } = parsed
  const keys = remoteDocument({
    async load() {
      const signal = deadline(parsed)
      const url = await discover('jwks_uri', { issuer, signal, options: parsed })
      return parseKeySet(await fetchObject(parsed, { url, document: `the key set at ${url}`, signal }))
    },
    maxAgeMs: parsed.keysMaxAgeSeconds * 1000,
    cooldownMs: parsed.cooldownSeconds * 1000,
    maxStaleMs: parsed.maxStaleSeconds * 1000,
    onError: (error) => report(error, onError),
  })

  /** Other tokens are rejected without a request for keys. */
  function isCandidate(accessToken: string): boolean {
    if (accessToken.length > MAX_LENGTH || !COMPACT.test(accessToken)) return false
    try {
      const { alg, typ } = decodeProtectedHeader(accessToken)
      return isJwtType(typ, TYPE) && algorithms.some((algorithm) => algorithm === alg)
    } catch {
      return false
    }
  }

  async function verifyWith({ getKey }: KeySet, accessToken: string, now: number) {
    try {
      const { payload } = await jwtVerify(accessToken, getKey, {
        typ: TYPE,
        issuer,
        algorithms: [...algorithms],
        currentDate: new Date(now),
        clockTolerance: CLOCK_SKEW_SECONDS,
      })
      const claims = parseRemoteClaims(payload)
      // The tolerance is for `nbf` only: no token is accepted after its expiry.
      return claims !== null && now < claims.exp * 1000 && isFor(claims, [audience]) ? claims : null
    } catch (error) {
      if (error instanceof IssuerError) throw error
      return isUnknownKey(error) ? UNKNOWN_KEY : null
    }
  }

  return {
    async verify(accessToken, now) {
      if (!isCandidate(accessToken)) return null
      const current = await keys.current(now)
      const first = await verifyWith(current, accessToken, now)
      if (first !== UNKNOWN_KEY) return first
      const newer = await keys.newerThan(current, now)
      const second = newer === null ? null : await verifyWith(newer, accessToken, now)
      return second === UNKNOWN_KEY ? null : second
    },
    cacheVersion: (now) => keys.version(now),
  }
}

const UNKNOWN_KEY = 'unknown key'
