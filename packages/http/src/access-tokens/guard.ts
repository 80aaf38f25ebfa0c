import { type Family, MisuseError, parseScope, type RefreshTokens } from '@baton/core'
import { demandKnown } from '../endpoint.js'
import { type PlainRequest, type PlainResponse, queryOf } from '../message.js'
import { json, unavailable } from '../respond.js'
import { report, warn } from '../warn.js'
import type { AccessTokenClaims } from './access-token.js'

/** What a guard needs to find in the claims of an access token, whoever made it. */
export interface BearerClaims {
  readonly sub: string
  /** Space-separated. */
  readonly scope?: string
  /** The family's id. */
  readonly sid?: string
  /** The key that the token is bound to. Such a token is no bearer token. */
  readonly cnf?: unknown
}

/** Null for anything that is not a valid token at `now` (epoch milliseconds); rejecting is an outage, never a verdict. */
export type VerifyAccessToken<Claims> = (accessToken: string, now: number) => Promise<Claims | null>

export interface AccessTokenGuardOptions<Claims extends BearerClaims = AccessTokenClaims> {
  /** `jwtAccessTokens(…)`, or a function of your own. */
  readonly verify: VerifyAccessToken<Claims> | { readonly verify: VerifyAccessToken<Claims> }
  /** Asks the store about every request, so that a revoked session ends at once and not when its access token does. */
  readonly tokens?: Pick<RefreshTokens, 'find'>
  /** Space-separated; all of it is demanded. */
  readonly scope?: string
  /** Names what is protected, in challenges. Default `api`. */
  readonly realm?: string
  /** Told of every error that was answered with 503. Default: a process warning with the error's name and code. */
  readonly onError?: (error: unknown) => void
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

export type GuardOutcome<Claims> =
  | {
      readonly ok: true
      readonly claims: Claims
      /** The session behind the token; null unless the guard has `tokens` to ask. */
      readonly family: Family | null
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Judges one request. Never rejects and leaves the body alone. */
export type AccessTokenGuard<Claims = AccessTokenClaims> = (request: PlainRequest) => Promise<GuardOutcome<Claims>>

const KNOWN = ['verify', 'tokens', 'scope', 'realm', 'onError', 'now']
/** What may stand in a quoted string without escapes. */
const QUOTABLE = /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Lets a request through that carries a valid access token in its Authorization header (RFC 6750); everything else gets the
 * challenge that its client can act on. A token in the query or the body counts for nothing. A store or a verifier that does
 * not answer is 503: an outage never reads as signed out.
 */
export function accessTokenGuard<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): AccessTokenGuard<Claims> {
  const { tokens, realm = 'api', onError = warn, now = Date.now } = options
  demandKnown(options, KNOWN)
  const verify = verifierOf(options)
  const demanded = demandedBy(options.scope ?? '')
  if (!QUOTABLE.test(realm))
    throw new MisuseError(
      'realm',
      `${JSON.stringify(realm)} cannot stand in a challenge; use printable ASCII without " and \\`,
    )
  const refuse = refusals(realm, demanded)

  async function judge(request: PlainRequest): Promise<GuardOutcome<Claims>> {
    const credentials = credentialsOf(request)
    if (credentials.kind === 'none') return refuse.unauthorized
    if (credentials.kind === 'ambiguous') return refuse.ambiguous
    const claims = await verify(credentials.accessToken, now())
    if (claims === null || !isProven(claims)) return refuse.invalid
    const family = tokens === undefined ? null : await tokens.find(claims.sid ?? '')
    if (tokens !== undefined && family === null) return refuse.invalid
    const granted = parseScope(claims.scope ?? '') ?? []
    if (!demanded.every((token) => granted.includes(token))) return refuse.insufficient
    return { ok: true, claims, family }
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
  throw new MisuseError('scope', 'breaks the grammar of RFC 6749 section 3.3; separate tokens by single spaces')
}

function verifierOf<Claims extends BearerClaims>({
  verify,
}: AccessTokenGuardOptions<Claims>): VerifyAccessToken<Claims> {
  if (typeof verify === 'function') return verify
  if (typeof (verify as { verify?: unknown } | undefined)?.verify !== 'function')
    throw new MisuseError('verify', 'expected what jwtAccessTokens returns, or a function of the access token')
  return (accessToken, now) => verify.verify(accessToken, now)
}

type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'ambiguous' }
  | { readonly kind: 'presented'; readonly accessToken: string }

function credentialsOf(request: PlainRequest): Credentials {
  const values = request.headers['authorization'] ?? []
  if (values.length > 1) return { kind: 'ambiguous' }
  // Not by a pattern: one that looks for the last of many spaces takes time by the square of their number.
  const [scheme = '', ...parts] = (values[0] ?? '').split(' ').filter((part) => part !== '')
  const rest = parts.join(' ')
  if (scheme.toLowerCase() !== 'bearer') return { kind: 'none' }
  // Runtimes that merge repeated headers join them with a comma. One token in two places: which of them was checked?
  if (rest.includes(',') || queryOf(request).has('access_token')) return { kind: 'ambiguous' }
  return { kind: 'presented', accessToken: rest }
}

/** A token that is bound to a key is worth nothing without proof of that key (RFC 9449 section 7.2), and no proof is read here. */
function isProven({ cnf }: BearerClaims): boolean {
  return cnf === undefined
}

function refusals(realm: string, demanded: readonly string[]) {
  const scope: Parameter[] = demanded.length === 0 ? [] : [['scope', demanded.join(' ')]]
  const refusal = (status: number, error: string, description: string, parameters: readonly Parameter[] = []) => {
    const body = { error, error_description: description }
    const response = json(status, body, [['www-authenticate', challenge([['realm', realm], ...parameters])]])
    return { ok: false, response } as const
  }
  const named = (status: number, error: string, description: string, parameters: readonly Parameter[] = []) =>
    refusal(status, error, description, [['error', error], ['error_description', description], ...parameters])
  return {
    // A client that sent no credentials may not know that it needs them: the challenge names no error (RFC 6750 section 3.1).
    unauthorized: refusal(401, 'unauthorized', 'Send an access token in the Authorization header.', scope),
    ambiguous: named(400, 'invalid_request', 'Send one access token, in one Authorization header.'),
    invalid: named(401, 'invalid_token', 'The access token is expired, revoked or not valid.'),
    insufficient: named(403, 'insufficient_scope', 'The access token does not cover this.', scope),
  }
}

type Parameter = readonly [name: string, value: string]

/** Every value has been checked at construction: nothing of the request gets in here. */
function challenge(parameters: readonly Parameter[]): string {
  return `Bearer ${parameters.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}
