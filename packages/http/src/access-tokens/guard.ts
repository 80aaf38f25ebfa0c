import {
  type Confirmation,
  ConfigurationError,
  type Family,
  parseScope,
  type RefreshTokens,
  isSameConfirmation,
} from '@baton/core'
import {
  literalOr,
  nested,
  objectWith,
  optional,
  type OptionsOf,
  required,
  rule,
  scopeText,
  withDefault,
} from '@baton/core/options'
import { clientOptions } from '../clients/authenticate.js'
import { certificateReader } from '../proof-of-possession/mtls/certificate.js'
import { type ClientPolicy, clientPolicy } from '../clients/client-policy.js'
import { dpopOptions, proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { type PlainRequest, type PlainResponse, getQuery } from '../messages/message.js'
import { endpointOptions, transportOptions } from '../pipeline/options.js'
import { unavailable } from '../messages/responses.js'
import { createTransportReader, getUrl } from '../pipeline/transport.js'
import { report } from '../pipeline/report.js'
import type { RevokedSessions } from './revoked-sessions.js'
import type { AccessTokenClaims, TokenVerifier } from './access-token.js'
import { challengeOptions, createRejections, type Scheme, TOKEN_ERRORS } from './challenges.js'
import { isAuthenticatedAsRequired, stepUpOptions, stepUpParameters } from './step-up.js'
import { cachedVerification, cacheOptions, type Verify } from './verification-cache.js'

/** The claims that a guard needs, for access tokens of any issuer. */
export interface BearerClaims {
  readonly sub: string
  /** Space-separated. */
  readonly scope?: string
  /** The id of the session. */
  readonly sid?: string
  /** The key that the token is bound to (`jkt`, RFC 9449, or `x5t#S256`, RFC 8705). A request without proof of this key is rejected. */
  readonly cnf?: unknown
  /** How the user was authenticated (RFC 9068 section 2.2.1), for the options `acrValues` and `maxAuthAgeSeconds`. */
  readonly acr?: unknown
  /** When the user was authenticated: NumericDate, seconds. */
  readonly auth_time?: unknown
}

/**
 * Returns the claims of an access token that is valid at `now` (epoch milliseconds), or null for any other text. An error is a 503
 * response.
 */
export type VerifyAccessToken<Claims> = (accessToken: string, now: number) => Promise<Claims | null>

/** What verifies access tokens: what `jwtAccessTokens()` returns, or your own function. The results of a function are not cached. */
export type AccessTokenVerifier<Claims> = VerifyAccessToken<Claims> | TokenVerifier<Claims>

/** The option `accessTokens` of a guard. */
export const verifiableAccessTokens = required(
  rule<AccessTokenVerifier<AccessTokenClaims>>(
    'what jwtAccessTokens() returns, or a function of the access token',
    (value) => typeof value === 'function' || typeof (value as { verify?: unknown } | null)?.verify === 'function',
  ),
)

const sharedOptions = transportOptions.extend({
  /**
   * What `createRefreshTokens()` returns: the store is asked at every request, so that a token of a revoked session is rejected at once and
   * not when it expires, and that a DPoP proof is accepted only once. Default: the store is not asked.
   */
  checkSession: optional(
    objectWith<Pick<RefreshTokens, 'find' | 'consumeOnce'>>(
      ['find', 'consumeOnce'],
      'what createRefreshTokens() returns',
    ),
  ),
  /**
   * What `localRevocations()` or `remoteRevocations()` returns: a token of a revoked session is rejected at once, without a store call, and so
   * is a token without `sid`. Default: such a token is accepted until it expires, unless `checkSession` is set.
   */
  revocations: optional(
    objectWith<Pick<RevokedSessions, 'statusOf'>>(
      ['statusOf'],
      'what localRevocations() or remoteRevocations() returns',
    ),
  ),
  /** Registered clients. With `checkSession`, a session that the `validAfter` of its client revoked is rejected. */
  clients: optional(clientOptions.fields.clients.rule),
  /**
   * How DPoP proofs are verified (RFC 9449), `{}` for the defaults. With this option, the response to a request without credentials offers
   * DPoP. Tokens that are bound to a key are checked with or without it.
   */
  dpop: optional(nested(dpopOptions)),
  /** Where client certificates come from. Without it, a token that is bound to a certificate (RFC 8705) is rejected. */
  clientCertificates: clientOptions.fields.clientCertificates,
  /**
   * The cache of verified access tokens: `{ entries }`, or false to verify the signature on every request. Expiry, scope, the proof of the
   * key, the session and its revocation are checked on every request in any case. The results of your own function are not cached.
   */
  cache: withDefault(literalOr(false, nested(cacheOptions)), cacheOptions.parse('cache', undefined)),
  /** Space-separated: the token must have all of these scope tokens. */
  scope: withDefault(scopeText(), ''),
  ...challengeOptions.fields,
  ...stepUpOptions.fields,
  /** Called with every error that is sent as a 503 response. Default: a process warning with the name and code of the error. */
  onError: endpointOptions.fields.onError,
  now: endpointOptions.fields.now,
})

export const guardOptions = sharedOptions.extend({ accessTokens: verifiableAccessTokens })

export interface AccessTokenGuardOptions<Claims extends BearerClaims = AccessTokenClaims> extends OptionsOf<
  typeof sharedOptions
> {
  /** What `jwtAccessTokens()` returns, or your own function that returns the claims of a valid token. */
  readonly accessTokens: AccessTokenVerifier<Claims>
}

export type GuardOutcome<Claims> =
  | {
      readonly ok: true
      readonly claims: Claims
      /** The session of the token; null without `checkSession`. */
      readonly family: Family | null
      /** Headers to set on your response: the nonce for the next DPoP proof of the client, if there is one. */
      readonly headers: PlainResponse['headers']
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Checks the access token of a request. Never rejects, and does not read the body. */
export type AccessTokenGuard<Claims = AccessTokenClaims> = (request: PlainRequest) => Promise<GuardOutcome<Claims>>

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
])

/**
 * Creates a guard that accepts requests with a valid access token in the Authorization header
 * ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)), and with a proof of the token's key if the token is bound to one
 * ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449), [RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)). Any other request gets a
 * response with a challenge. Tokens in the query or the body are not accepted. An error of the store or the verifier is a 503 response,
 * never a 401. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, deriveSigningKey, jwtAccessTokens } from '@baton/http'
 *
 * const accessTokens = jwtAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   keys: [deriveSigningKey(process.env['BATON_SIGNING_SECRET'])],
 * })
 * const guard = accessTokenGuard({ accessTokens, scope: 'orders:read' })
 * ```
 */
export function accessTokenGuard<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): AccessTokenGuard<Claims> {
  const { clients, checkSession } = guardOptions.parse('accessTokenGuard', options)
  if (clients !== undefined && checkSession === undefined)
    throw new ConfigurationError(
      'checkSession',
      'is missing; with clients, the guard must find out from the store when a session was created',
    )
  const policy = clientPolicy({ clients })
  return createGuard(options, { policy, permits: (claims, scope) => hasScope(claims, scope) })
}

/** Returns true if the scope of an access token contains all of these scope tokens. */
export function hasScope({ scope = '' }: BearerClaims, required: readonly string[]): boolean {
  const granted = parseScope(scope) ?? []
  return required.every((token) => granted.includes(token))
}

/** What differs between guards. */
export interface GuardRules<Claims> {
  readonly policy: Pick<ClientPolicy, 'onlyIfActive'>
  /** Decides about a valid token, given the scope tokens of `options.scope`; false is `insufficient_scope`. */
  readonly permits: (claims: Claims, scope: readonly string[], family: Family | null) => boolean | Promise<boolean>
}

/** `accessTokenGuard` with other rules. Throws `ConfigurationError`. */
export function createGuard<Claims extends BearerClaims>(
  options: AccessTokenGuardOptions<Claims>,
  { policy, permits }: GuardRules<Claims>,
): AccessTokenGuard<Claims> {
  const parsed = guardOptions.parse('accessTokenGuard', options)
  const { checkSession, revocations, cache, onError, now, dpop, clientCertificates, trustProxy, publicUrl, scope } =
    parsed
  const verify = verification(options.accessTokens, cache)
  const requiredScope = parseScope(scope) ?? []
  const proofs = proofChecker(dpop)
  const transportOf = createTransportReader({ trustProxy, publicUrl })
  const certificateIn = certificateReader(clientCertificates, trustProxy)
  const reject = createRejections({
    realm: parsed.realm,
    parameters: parsed.challengeParameters,
    scope: requiredScope,
    algorithms: proofs.algorithms,
    offersDpop: dpop !== undefined,
    stepUp: stepUpParameters(parsed),
  })

  /** Checks the key that the token is bound to. Returns headers for the response, or the rejection. */
  async function checkBinding(request: PlainRequest, { scheme, accessToken }: Presented, binding: Binding, at: number) {
    const { jkt, certificateConfirmation } = binding
    const presented = certificateIn(request)?.confirmation ?? null
    if (certificateConfirmation !== undefined && !isSameConfirmation(presented, certificateConfirmation))
      return reject.invalidToken(scheme, TOKEN_ERRORS.certificateMissing)
    if (jkt === null) return scheme === 'Bearer' ? [] : reject.invalidToken(scheme, TOKEN_ERRORS.notBound)
    const nonce = proofs.nonceHeaders(at)
    if (scheme === 'Bearer') return reject.invalidToken('DPoP', TOKEN_ERRORS.bound, nonce)
    const [url, confirmation] = [getUrl(request, transportOf(request)), { jkt }]
    const proven = await proofs.prove({ request, url, now: at, accessToken, confirmation, oneTimeKeys: checkSession })
    if (!proven.ok) return reject.invalidToken(scheme, proven, nonce)
    if (proven.confirmation === null) return reject.invalidToken(scheme, TOKEN_ERRORS.proofMissing, nonce)
    // A cached response would contain an expired nonce (RFC 9449 section 8.2).
    return nonce.length === 0 ? [] : [['cache-control', 'no-store'] as const, ...nonce]
  }

  async function check(request: PlainRequest): Promise<GuardOutcome<Claims>> {
    const credentials = parseAuthorization(request)
    if (credentials.kind === 'none') return reject.unauthorized(credentials.description)
    if (credentials.kind === 'ambiguous') return reject.ambiguous(credentials.description)
    const { scheme, accessToken } = credentials
    const at = now()
    // The result may come from a cache. Everything below is checked on every request.
    const verified = verify(accessToken, at)
    const claims = verified instanceof Promise ? await verified : verified
    const binding = claims && parseBinding(claims)
    if (claims === null || binding === null) return reject.invalidToken(scheme, TOKEN_ERRORS.invalid)
    const status = revocations === undefined ? 'active' : statusIn(revocations, claims)
    if (status === 'revoked') return reject.invalidToken(scheme, TOKEN_ERRORS.invalid)
    if (status === 'unknown') return { ok: false, response: unavailable() }
    const headers = await checkBinding(request, credentials, binding, at)
    if ('ok' in headers) return headers
    const family =
      checkSession === undefined ? null : await policy.onlyIfActive(await checkSession.find(claims.sid ?? ''))
    if (checkSession !== undefined && family === null) return reject.invalidToken(scheme, TOKEN_ERRORS.invalid)
    if (!(await permits(claims, requiredScope, family))) return reject.insufficientScope(scheme)
    if (!isAuthenticatedAsRequired(claims, parsed, at)) return reject.insufficientAuthentication(scheme)
    return { ok: true, claims, family, headers }
  }

  return async (request) => {
    try {
      return await check(request)
    } catch (error) {
      report(error, onError)
      return { ok: false, response: unavailable() }
    }
  }
}

/** A token without a session cannot be revoked, so it is rejected. */
function statusIn(revocations: Pick<RevokedSessions, 'statusOf'>, { sid }: BearerClaims) {
  return sid === undefined ? 'revoked' : revocations.statusOf(sid)
}

/** Returns the function that verifies access tokens, with or without a cache. What the app provides is always awaited. */
function verification<Claims extends object>(
  accessTokens: AccessTokenVerifier<Claims>,
  cache: false | { readonly entries: number },
): Verify<Claims> {
  if (typeof accessTokens === 'function') return async (accessToken, now) => accessTokens(accessToken, now)
  return cache === false
    ? async (accessToken, now) => accessTokens.verify(accessToken, now)
    : cachedVerification(accessTokens, cache.entries)
}

interface Presented {
  readonly scheme: Scheme
  readonly accessToken: string
}

type Credentials =
  | { readonly kind: 'none'; readonly description: string }
  | { readonly kind: 'ambiguous'; readonly description: string }
  | ({ readonly kind: 'presented' } & Presented)

function parseAuthorization(request: PlainRequest): Credentials {
  const values = request.headers['authorization'] ?? []
  if (values.length > 1) return { kind: 'ambiguous', description: 'The Authorization header is repeated.' }
  // Not a regular expression: backtracking over many spaces would take quadratic time.
  const [name = '', ...parts] = (values[0] ?? '').split(' ').filter((part) => part !== '')
  const scheme = SCHEMES.get(name.toLowerCase())
  const accessToken = parts.join(' ')
  const isInQuery = getQuery(request).has('access_token')
  if (scheme === undefined) return { kind: 'none', description: describeMissing(name, isInQuery) }
  // Some runtimes join repeated headers with a comma.
  if (accessToken.includes(',')) return { kind: 'ambiguous', description: 'The Authorization header has two values.' }
  // With two tokens it would be ambiguous which one was verified.
  return isInQuery
    ? { kind: 'ambiguous', description: 'Remove access_token from the query; the Authorization header has a token.' }
    : { kind: 'presented', scheme, accessToken }
}

function describeMissing(scheme: string, isInQuery: boolean): string {
  if (scheme !== '') return 'The scheme of the Authorization header must be Bearer or DPoP.'
  return isInQuery
    ? 'Send the access token in the Authorization header; one in the query is not accepted.'
    : 'Send an access token in the Authorization header.'
}

interface Binding {
  /** The thumbprint of the key that must be proven; null for a token that is not bound to a key. */
  readonly jkt: string | null
  /** The client certificate that the request must have. */
  readonly certificateConfirmation?: Confirmation
}

/** Returns the binding of a token, or null for one that this guard cannot check: the token is then rejected. */
function parseBinding({ cnf }: BearerClaims): Binding | null {
  if (cnf === undefined) return { jkt: null }
  if (typeof cnf !== 'object' || cnf === null) return null
  const [[kind, thumbprint] = [], another] = Object.entries(cnf)
  if (typeof thumbprint !== 'string' || another !== undefined) return null
  if (kind === 'x5t#S256') return { jkt: null, certificateConfirmation: { 'x5t#S256': thumbprint } }
  return kind === 'jkt' ? { jkt: thumbprint } : null
}
