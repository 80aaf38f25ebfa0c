import { createHash } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { integer, optional, type OptionsOf, type ParsedOptions, seconds, text, withDefault } from '@baton/core/options'
import type { RemoteAccessTokenClaims, TokenVerifier } from '../access-tokens/access-token.js'
import { isFor, parseRemoteClaims } from '../access-tokens/claims.js'
import { report } from '../pipeline/report.js'
import { basicAuthorization, clientCredentials } from './client-credentials.js'
import { boundedCache } from './bounded-cache.js'
import { deadline, fetchObject, fetchOptions } from './bounded-fetch.js'
import { discover } from './discovery.js'
import { IssuerError, quote } from './issuer-error.js'
import { remoteIssuer, secureUrl } from './issuer-url.js'
import { remoteDocument } from './remote-document.js'
import { sharedCalls } from './shared-calls.js'

const introspectedOptions = fetchOptions.extend({
  /** The authorization server: its metadata names the introspection endpoint, and `iss` of its tokens must be equal. */
  issuer: optional(remoteIssuer()),
  /** The introspection endpoint. Default: from the metadata of `issuer`. Without `issuer`, tokens with any `iss` are accepted. */
  endpoint: optional(secureUrl()),
  ...clientCredentials,
  /**
   * The name of this API: `aud` of a token must contain it. Default: the endpoint decides for which resource servers a token is active, as
   * Baton does by `introspectionAudiences`.
   */
  audience: optional(text({ fix: 'use the name of your API, such as https://api.example' })),
  /** How long a result is used, and therefore how long a revoked token may still be accepted. 0 to 3600, default 10. 0: no result is cached. */
  cacheSeconds: withDefault(seconds({ min: 0, max: 3600 }), 10),
  /** The maximum number of cached results. 1 to 1 000 000, default 10 000. */
  maxEntries: withDefault(integer({ min: 1, max: 1_000_000 }), 10_000),
})

export type IntrospectedAccessTokensOptions = OptionsOf<typeof introspectedOptions>

/**
 * Verifies access tokens by asking the server that issued them. `verify` rejects with `IssuerError` if the introspection endpoint does not
 * respond as RFC 7662 requires. Guards do not cache its results.
 */
export interface IntrospectedAccessTokens extends TokenVerifier<RemoteAccessTokenClaims> {
  readonly cacheVersion?: undefined
}

/** RFC 6750 section 2.1. */
const TOKEN_68 = /^[A-Za-z0-9._~+/-]+=*$/
const MAX_LENGTH = 16_384
/** Separate and small, so that invalid tokens remove no result of a valid one. */
const MAX_INACTIVE_ENTRIES = 1000
const TOKEN_TYPES = ['bearer', 'dpop']
/** An endpoint that was found once is used while the metadata cannot be fetched. */
const METADATA_TIMES = { maxAgeMs: 3_600_000, cooldownMs: 30_000, maxStaleMs: Number.POSITIVE_INFINITY }
const DOCUMENT = 'the introspection response'

/**
 * Verifies access tokens of any format by introspection ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)), such as those of
 * `sealedAccessTokens()` in another process. For the option `accessTokens` of a guard. The response must have the claims of
 * [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068) and a `token_type`. Concurrent requests with one token cause one introspection. Throws
 * `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, introspectedAccessTokens } from '@baton/http'
 *
 * const accessTokens = introspectedAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   clientId: 'api',
 *   clientSecret: process.env['API_CLIENT_SECRET'] ?? '',
 * })
 * const guard = accessTokenGuard({ accessTokens })
 * ```
 */
export function introspectedAccessTokens(options: IntrospectedAccessTokensOptions): IntrospectedAccessTokens {
  const parsed = introspectedOptions.parse('introspectedAccessTokens', options)
  const { audience, cacheSeconds, maxEntries } = parsed
  const introspect = createIntrospection(parsed)
  const calls = sharedCalls<RemoteAccessTokenClaims | null>()
  const active = boundedCache<RemoteAccessTokenClaims>(maxEntries)
  const inactive = boundedCache<null>(MAX_INACTIVE_ENTRIES)

  async function ask(accessToken: string, key: string, now: number): Promise<RemoteAccessTokenClaims | null> {
    const claims = await introspect(accessToken, now)
    const until = now + cacheSeconds * 1000
    if (claims === null) inactive.set(key, null, until)
    else active.set(key, claims, Math.min(until, claims.exp * 1000))
    return claims
  }

  return {
    async verify(accessToken, now) {
      if (accessToken.length > MAX_LENGTH || !TOKEN_68.test(accessToken)) return null
      // The token itself is not kept.
      const key = createHash('sha256').update(accessToken).digest('base64url')
      const cached = active.get(key, now) ?? inactive.get(key, now)
      const claims = cached === undefined ? await calls.run(key, () => ask(accessToken, key, now)) : cached
      if (claims === null || now >= claims.exp * 1000) return null
      return audience === undefined || isFor(claims, [audience]) ? claims : null
    },
  }
}

type Parsed = ParsedOptions<typeof introspectedOptions>

/** Returns a function that introspects a token and returns the claims of an active one, or null. */
function createIntrospection(
  parsed: Parsed,
): (accessToken: string, now: number) => Promise<RemoteAccessTokenClaims | null> {
  const { issuer, clientId } = parsed
  const findEndpoint = endpointFinder(parsed)
  const authorization = basicAuthorization(parsed)
  const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' }

  return async (accessToken, now) => {
    const url = await findEndpoint(now)
    const body = new URLSearchParams({ token: accessToken, token_type_hint: 'access_token' }).toString()
    const request = { url, document: DOCUMENT, signal: deadline(parsed), method: 'POST', headers, body }
    const response = await fetchObject(parsed, request).catch((error: unknown) => {
      throw describeRejection(error, clientId)
    })
    return claimsIn(response, issuer)
  }
}

function endpointFinder(parsed: Parsed): (now: number) => Promise<string> {
  const { issuer, endpoint, onError } = parsed
  if (endpoint !== undefined) return async () => endpoint
  if (issuer === undefined)
    throw new ConfigurationError('issuer', 'is missing; pass the issuer, or the introspection endpoint as "endpoint"')
  const metadata = remoteDocument({
    async load() {
      const url = await discover('introspection_endpoint', { issuer, signal: deadline(parsed), options: parsed })
      return { url, fingerprint: url }
    },
    ...METADATA_TIMES,
    onError: (error) => report(error, onError),
  })
  return async (now) => (await metadata.current(now)).url
}

/** The claims that RFC 9068 requires, of an active token. A refresh token, which has no token type of RFC 6749 section 7.1, is rejected. */
function claimsIn(
  response: Readonly<Record<string, unknown>>,
  issuer: string | undefined,
): RemoteAccessTokenClaims | null {
  const { active, token_type: tokenType, ...claims } = response
  if (typeof active !== 'boolean') throw new IssuerError(DOCUMENT, 'has no member "active" that is true or false')
  if (!active || typeof tokenType !== 'string' || !TOKEN_TYPES.includes(tokenType.toLowerCase())) return null
  const parsed = parseRemoteClaims(claims)
  if (parsed === null)
    throw new IssuerError(
      DOCUMENT,
      'lacks one of the claims iss, sub, aud, client_id, exp, iat and jti, or has one of a wrong type',
    )
  return issuer === undefined || parsed.iss === issuer ? parsed : null
}

function describeRejection(error: unknown, clientId: string): unknown {
  if (!(error instanceof IssuerError) || (error.status !== 401 && error.status !== 403)) return error
  const message = `rejected the credentials of the client ${quote(clientId)}; see clientId and clientSecret`
  return new IssuerError('the introspection endpoint', message, { cause: error, status: error.status })
}

/** RFC 6749 section 2.3.1 and appendix B. */
