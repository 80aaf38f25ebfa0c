import { includesResource, parseScope } from '@baton/core'
import { declareOptions, type ParsedOptions, required, seconds, text, withDefault } from '@baton/core/options'
import { createRandomPool } from '../crypto/random-pool.js'
import { issuerUrl } from '../clients/issuer-url.js'
import type { AccessTokenClaims, AccessTokenGrant, RemoteAccessTokenClaims } from './access-token.js'

const MAX_LIFETIME_SECONDS = 86_400
const JTI_BYTES = 20
const randomId = createRandomPool(JTI_BYTES)

/** Claims that Baton sets. Claims of the app never replace them. */
const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'scope', 'sid', 'cnf']

/** The options of every kind of access token. */
export const issuingOptions = declareOptions({
  /** `iss`: this server, a URL without query or fragment (RFC 8414). */
  issuer: required(issuerUrl()),
  /**
   * `aud` of tokens whose grant names no resource, and the resource that `verify` requires in `aud`. URLs that differ only in the
   * case of scheme or host, the default port or an empty path are the same resource (RFC 3986 section 6.2).
   */
  audience: required(text({ fix: 'use the name of your API, such as https://api.example' })),
  /**
   * How long an access token is valid, in seconds: 1 to 86 400, default 900; never longer than its session. A resource server that does not ask the store accepts a token until
   * it expires, also after its session was revoked.
   */
  lifetimeSeconds: withDefault(
    seconds({ min: 1, max: MAX_LIFETIME_SECONDS, fix: 'refresh tokens keep a session alive for longer' }),
    900,
  ),
})

type Issuing = ParsedOptions<typeof issuingOptions>

/** Returns the claims of an access token for a grant (RFC 9068 section 2.2). */
export function claimsFor(
  grant: AccessTokenGrant,
  { issuer, audience, lifetimeSeconds }: Issuing,
): { readonly claims: Record<string, unknown>; readonly expiresIn: number } {
  const { family, scope, confirmation } = grant
  const expiresIn = Math.max(0, Math.min(lifetimeSeconds, grant.maxLifetimeSeconds))
  const iat = Math.floor(grant.now / 1000)
  const claims = {
    ...withoutReserved(grant.claims),
    ...authenticationClaims(family),
    iss: issuer,
    sub: family.subject,
    aud: audienceFor(grant, audience),
    client_id: family.clientId,
    sid: family.id,
    // JSON.stringify omits what is undefined.
    scope: scope === '' ? undefined : scope,
    cnf: confirmation ?? undefined,
    iat,
    // Counted from the start of the current second: a token may expire up to a second early, but never late.
    exp: iat + expiresIn,
    jti: randomId().toString('base64url'),
  }
  return { claims, expiresIn }
}

const NO_CLAIMS = {}

/** How and when the user was authenticated (RFC 9068 section 2.2.1). What the session does not contain, the app may set. */
function authenticationClaims({ authTime, acr, amr }: AccessTokenGrant['family']): Record<string, unknown> {
  if (authTime === undefined && acr === undefined && amr === undefined) return NO_CLAIMS
  return {
    ...(authTime === undefined ? {} : { auth_time: Math.floor(authTime / 1000) }),
    ...(acr === undefined ? {} : { acr }),
    ...(amr === undefined ? {} : { amr }),
  }
}

function withoutReserved(claims: AccessTokenGrant['claims']): Record<string, unknown> {
  const entries = Object.entries(claims)
  if (entries.length === 0) return NO_CLAIMS
  return Object.fromEntries(entries.filter(([name]) => !RESERVED_CLAIMS.includes(name)))
}

/**
 * Returns the claims of a token whose signature or seal is valid, or null if they are not those of an access token: the key proves
 * who wrote the token, this check proves that it was written as an access token.
 */
export function parseClaims(payload: Readonly<Record<string, unknown>>): AccessTokenClaims | null {
  const claims = parseRemoteClaims(payload)
  return claims !== null && hasSession(claims) ? claims : null
}

function hasSession(claims: RemoteAccessTokenClaims): claims is AccessTokenClaims {
  return claims.sid !== undefined
}

/** `parseClaims` for the tokens of other servers, which may have no sessions: `sid` is optional (RFC 9068 section 2.2). */
export function parseRemoteClaims(payload: Readonly<Record<string, unknown>>): RemoteAccessTokenClaims | null {
  const { iss, sub, aud, exp, iat, jti, client_id: clientId, sid, scope = '' } = payload
  if (!isName(iss) || !isAudience(aud) || typeof exp !== 'number' || typeof iat !== 'number') return null
  if (!isName(sub) || !isName(jti) || !isName(clientId) || !(sid === undefined || isName(sid))) return null
  if (typeof scope !== 'string' || parseScope(scope) === null) return null
  return { ...payload, iss, sub, aud, exp, iat, jti, client_id: clientId, scope, ...(sid === undefined ? {} : { sid }) }
}

/** Returns true if the token is for one of these resources. */
export function isFor({ aud }: RemoteAccessTokenClaims, resources: readonly string[]): boolean {
  return [aud].flat().some((audience) => includesResource(resources, audience))
}

function audienceFor({ audience }: AccessTokenGrant, defaultAudience: string): string | string[] {
  const [first = defaultAudience, ...others] = audience
  return others.length === 0 ? first : [first, ...others]
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isAudience(value: unknown): value is string | string[] {
  return typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'))
}
