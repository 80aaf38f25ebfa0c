import {
  type Confirmation,
  type Family,
  ConfigurationError,
  parseScope,
  type RefreshTokens,
  sameConfirmation,
} from '@baton/core'
import { type CertificateSource, certificateReader } from '../clients/certificate.js'
import { type ClientPolicy, clientPolicy } from '../clients/client-policy.js'
import type { Clients } from '../clients/registry.js'
import { type DpopOptions, proofChecker } from '../dpop/dpop.js'
import { demandKnown } from '../endpoint.js'
import { type PlainRequest, type PlainResponse, queryOf } from '../message.js'
import { type TransportOptions, transportOptions } from '../options.js'
import { unavailable } from '../respond.js'
import { transportReader, urlOf } from '../transport.js'
import { report, warn } from '../warn.js'
import type { AccessTokenClaims } from './access-token.js'
import { refusals, type Scheme, TOKEN_FAULTS } from './challenges.js'

/** What a guard needs to find in the claims of an access token, whoever made it. */
export interface BearerClaims {
  readonly sub: string
  /** Space-separated. */
  readonly scope?: string
  /** The family's id. */
  readonly sid?: string
  /** The key that the token is bound to (`jkt`, RFC 9449, or `x5t#S256`, RFC 8705). Such a token is worth nothing without a proof of that key. */
  readonly cnf?: unknown
}

/** Null for anything that is not a valid token at `now` (epoch milliseconds); rejecting is an outage, never a verdict. */
export type VerifyAccessToken<Claims> = (accessToken: string, now: number) => Promise<Claims | null>

export interface AccessTokenGuardOptions<Claims extends BearerClaims = AccessTokenClaims> extends TransportOptions {
  /** `jwtAccessTokens(…)`, or a function of your own. */
  readonly verify: VerifyAccessToken<Claims> | { readonly verify: VerifyAccessToken<Claims> }
  /**
   * Asks the store about every request, so that a revoked session ends at once and not when its access token does, and that a
   * proof works once and not for as long as it is fresh.
   */
  readonly tokens?: Pick<RefreshTokens, 'find' | 'once'> | undefined
  /**
   * Registered clients. With `tokens`, a session that the `validAfter` of its client revoked is rejected.
   */
  readonly clients?: Clients | undefined
  /** How proofs of keys are judged. */
  readonly dpop?: DpopOptions | undefined
  /** Where certificates come from, for tokens that are bound to one (RFC 8705). Without it such a token is worth nothing here. */
  readonly clientCertificates?: CertificateSource | undefined
  /** Space-separated; all of it is demanded. */
  readonly scope?: string | undefined
  /** Names what is protected, in challenges. Default `api`. */
  readonly realm?: string | undefined
  /** Told of every error that was answered with 503. Default: a process warning with the error's name and code. */
  readonly onError?: ((error: unknown) => unknown) | undefined
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

export type GuardOutcome<Claims> =
  | {
      readonly ok: true
      readonly claims: Claims
      /** The session behind the token; null unless the guard has `tokens` to ask. */
      readonly family: Family | null
      /** To be set on your answer: the nonce for the client's next proof, if there is one. */
      readonly headers: PlainResponse['headers']
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Judges one request. Never rejects and leaves the body alone. */
export type AccessTokenGuard<Claims = AccessTokenClaims> = (request: PlainRequest) => Promise<GuardOutcome<Claims>>

const KNOWN = [
  'verify',
  'tokens',
  'clients',
  'dpop',
  'clientCertificates',
  'scope',
  'realm',
  'trustProxy',
  'publicUrl',
  'onError',
  'now',
]
const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
])
/** What may stand in a quoted string without escapes. */
const QUOTABLE = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Lets a request through that carries a valid access token in its Authorization header (RFC 6750), with a proof of the token's key
 * if it is bound to one (RFC 9449); everything else gets the challenge that its client can act on. A token in the query or the body
 * counts for nothing. A store or a verifier that does not answer is 503: an outage never reads as signed out.
 */
export function accessTokenGuard<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): AccessTokenGuard<Claims> {
  const { clients, tokens } = options
  if (clients !== undefined && tokens === undefined)
    throw new ConfigurationError(
      'tokens',
      'must be given with clients: the guard finds out from the store when a session began',
    )
  const policy = clientPolicy({ clients })
  return guardBy(options, { policy, permits: (claims, demanded) => holds(claims, demanded) })
}

/** Returns true if the scope of an access token has all of these scope tokens. */
export function holds({ scope = '' }: BearerClaims, demanded: readonly string[]): boolean {
  const granted = parseScope(scope) ?? []
  return demanded.every((token) => granted.includes(token))
}

/** What differs between guards. */
export interface GuardRules<Claims> {
  readonly policy: Pick<ClientPolicy, 'alive'>
  /** Decides about a valid token, given the scope tokens of `options.scope`; false is `insufficient_scope`. */
  readonly permits: (claims: Claims, demanded: readonly string[], family: Family | null) => boolean | Promise<boolean>
}

/** The guard behind `accessTokenGuard`, with rules of its own. Throws `ConfigurationError`. */
export function guardBy<Claims extends BearerClaims>(
  options: AccessTokenGuardOptions<Claims>,
  { policy, permits }: GuardRules<Claims>,
): AccessTokenGuard<Claims> {
  const { tokens, realm = 'api', onError = warn, now = Date.now } = options
  demandKnown(options, KNOWN)
  const verify = verifierOf(options)
  const demanded = demandedBy(options.scope ?? '')
  if (!QUOTABLE.test(realm))
    throw new ConfigurationError(
      'realm',
      `${JSON.stringify(realm)} cannot stand in a challenge; use printable ASCII without " and \\`,
    )
  const proofs = proofChecker(options.dpop)
  const { trustProxy, publicUrl } = options
  const transportOf = transportReader(transportOptions.parse('accessTokenGuard', { trustProxy, publicUrl }))
  const certificateIn = certificateReader(options.clientCertificates, options.trustProxy)
  const refuse = refusals({ realm, demanded, algorithms: proofs.algorithms })

  /** Judges what the token is bound to: the headers for the answer, or the refusal. */
  async function judgeBinding(request: PlainRequest, { scheme, accessToken }: Presented, binding: Binding, at: number) {
    const { jkt, certificateConfirmation } = binding
    const shown = certificateIn(request)?.confirmation ?? null
    if (certificateConfirmation !== undefined && !sameConfirmation(shown, certificateConfirmation))
      return refuse.unacceptable(scheme, TOKEN_FAULTS.uncertified)
    if (jkt === null) return scheme === 'Bearer' ? [] : refuse.unacceptable(scheme, TOKEN_FAULTS.unbound)
    const nonce = proofs.nonceHeaders(at)
    if (scheme === 'Bearer') return refuse.unacceptable('DPoP', TOKEN_FAULTS.unproven, nonce)
    const [url, confirmation] = [urlOf(request, transportOf(request)), { jkt }]
    const proven = await proofs.prove({ request, url, now: at, accessToken, confirmation, memory: tokens })
    if (!proven.ok) return refuse.unacceptable(scheme, proven, nonce)
    if (proven.confirmation === null) return refuse.unacceptable(scheme, TOKEN_FAULTS.proofless, nonce)
    // An answer from a cache would bring a nonce that is long over (RFC 9449 section 8.2).
    return nonce.length === 0 ? [] : [['cache-control', 'no-store'] as const, ...nonce]
  }

  async function judge(request: PlainRequest): Promise<GuardOutcome<Claims>> {
    const credentials = credentialsOf(request)
    if (credentials.kind === 'none') return refuse.unauthorized(credentials.description)
    if (credentials.kind === 'ambiguous') return refuse.ambiguous(credentials.description)
    const { scheme, accessToken } = credentials
    const at = now()
    const claims = await verify(accessToken, at)
    const binding = claims && bindingOf(claims)
    if (claims === null || binding === null) return refuse.unacceptable(scheme, TOKEN_FAULTS.invalid)
    const headers = await judgeBinding(request, credentials, binding, at)
    if ('ok' in headers) return headers
    const family = tokens === undefined ? null : await policy.alive(await tokens.find(claims.sid ?? ''))
    if (tokens !== undefined && family === null) return refuse.unacceptable(scheme, TOKEN_FAULTS.invalid)
    if (!(await permits(claims, demanded, family))) return refuse.insufficient(scheme)
    return { ok: true, claims, family, headers }
  }

  return async (request) => {
    try {
      return await judge(request)
    } catch (error) {
      report(error, onError)
      return { ok: false, response: unavailable() }
    }
  }
}

function demandedBy(scope: string): readonly string[] {
  const demanded = parseScope(scope)
  if (demanded !== null) return demanded
  throw new ConfigurationError('scope', 'breaks the grammar of RFC 6749 section 3.3; separate tokens by single spaces')
}

function verifierOf<Claims extends BearerClaims>({
  verify,
}: AccessTokenGuardOptions<Claims>): VerifyAccessToken<Claims> {
  if (typeof verify === 'function') return verify
  if (typeof (verify as { verify?: unknown } | undefined)?.verify !== 'function')
    throw new ConfigurationError('verify', 'must be what jwtAccessTokens returns, or a function of the access token')
  return (accessToken, now) => verify.verify(accessToken, now)
}

interface Presented {
  readonly scheme: Scheme
  readonly accessToken: string
}

type Credentials =
  | { readonly kind: 'none'; readonly description: string }
  | { readonly kind: 'ambiguous'; readonly description: string }
  | ({ readonly kind: 'presented' } & Presented)

function credentialsOf(request: PlainRequest): Credentials {
  const values = request.headers['authorization'] ?? []
  if (values.length > 1) return { kind: 'ambiguous', description: 'The Authorization header is repeated.' }
  // Not by a pattern: one that looks for the last of many spaces takes time by the square of their number.
  const [name = '', ...parts] = (values[0] ?? '').split(' ').filter((part) => part !== '')
  const scheme = SCHEMES.get(name.toLowerCase())
  const accessToken = parts.join(' ')
  const isInQuery = queryOf(request).has('access_token')
  if (scheme === undefined) return { kind: 'none', description: missing(name, isInQuery) }
  // Runtimes that merge repeated headers join them with a comma.
  if (accessToken.includes(',')) return { kind: 'ambiguous', description: 'The Authorization header has two values.' }
  // One token in two places: it would be unclear which of them was verified.
  return isInQuery
    ? { kind: 'ambiguous', description: 'Remove access_token from the query; the Authorization header has a token.' }
    : { kind: 'presented', scheme, accessToken }
}

function missing(scheme: string, isInQuery: boolean): string {
  if (scheme !== '') return 'The scheme of the Authorization header must be Bearer or DPoP.'
  return isInQuery
    ? 'Send the access token in the Authorization header; one in the query is not accepted.'
    : 'Send an access token in the Authorization header.'
}

interface Binding {
  /** Thumbprint of the key that must be proven; null for a token that is bound to none. */
  readonly jkt: string | null
  /** The certificate that the client must present. */
  readonly certificateConfirmation?: Confirmation
}

/** Null for a binding that nobody here can check: the token is then worth nothing. */
function bindingOf({ cnf }: BearerClaims): Binding | null {
  if (cnf === undefined) return { jkt: null }
  if (typeof cnf !== 'object' || cnf === null) return null
  const [[kind, thumbprint] = [], another] = Object.entries(cnf)
  if (typeof thumbprint !== 'string' || another !== undefined) return null
  if (kind === 'x5t#S256') return { jkt: null, certificateConfirmation: { 'x5t#S256': thumbprint } }
  return kind === 'jkt' ? { jkt: thumbprint } : null
}
