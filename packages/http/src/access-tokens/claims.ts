import { includesResource, ConfigurationError, parseScope } from '@baton/core'
import { freshBytes } from '../fresh.js'
import { demandIssuer } from '../issuer.js'
import type { AccessTokenClaims, AccessTokenGrant } from './access-token.js'

const DEFAULT_LIFETIME_SECONDS = 900
const MOST_LIFETIME_SECONDS = 86_400
const JTI_BYTES = 20
const freshId = freshBytes(JTI_BYTES)

/** Claims that say who, for whom and how long. The app's own claims never take their place. */
const OWN_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'scope', 'sid', 'cnf']

/** What access tokens of every kind are made by. */
export interface IssuingOptions {
  /** `iss`: this server, a URL without query or fragment (RFC 8414). */
  readonly issuer: string
  /**
   * `aud` of tokens whose grant names no resource, and the resource that `verify` requires in `aud`. URLs that differ only in the
   * case of scheme or host, the default port or an empty path are the same resource (RFC 3986 section 6.2).
   */
  readonly audience: string
  /** 1 to 86 400, default 900. Short, because a resource server that does not ask the store trusts a token until it ends. */
  readonly lifetimeSeconds?: number
}

/** Checks the options and fills in the default. Throws `ConfigurationError`. */
export function checkIssuing({
  issuer,
  audience,
  lifetimeSeconds = DEFAULT_LIFETIME_SECONDS,
}: IssuingOptions): Required<IssuingOptions> {
  demandIssuer(issuer)
  if (typeof (audience as unknown) !== 'string' || audience === '')
    throw new ConfigurationError('audience', 'must be the name of your API, such as https://api.example')
  demandLifetime(lifetimeSeconds)
  return { issuer, audience, lifetimeSeconds }
}

/** The claims of RFC 9068 section 2.2 for a grant. */
export function claimsFor(
  grant: AccessTokenGrant,
  { issuer, audience, lifetimeSeconds }: Required<IssuingOptions>,
): { readonly claims: Record<string, unknown>; readonly expiresIn: number } {
  const { family, scope, confirmation } = grant
  const expiresIn = Math.max(0, Math.min(lifetimeSeconds, grant.mostSeconds))
  const iat = Math.floor(grant.now / 1000)
  const claims = {
    ...claimsOfTheApp(grant.claims),
    iss: issuer,
    sub: family.subject,
    aud: audienceOf(grant, audience),
    client_id: family.clientId,
    sid: family.id,
    // What is undefined is left out of the JSON.
    scope: scope === '' ? undefined : scope,
    cnf: confirmation ?? undefined,
    iat,
    // Whole seconds, counted from the beginning of this one: a token may end up to a second early, and never late.
    exp: iat + expiresIn,
    jti: freshId().toString('base64url'),
  }
  return { claims, expiresIn }
}

const NO_CLAIMS = {}

function claimsOfTheApp(claims: AccessTokenGrant['claims']): Record<string, unknown> {
  const entries = Object.entries(claims)
  if (entries.length === 0) return NO_CLAIMS
  return Object.fromEntries(entries.filter(([name]) => !OWN_CLAIMS.includes(name)))
}

/** A signature or a seal proves that we wrote it; this proves that it was written as an access token, by a version that we understand. */
export function ourClaims(payload: Readonly<Record<string, unknown>>): AccessTokenClaims | null {
  const { iss, sub, aud, exp, iat, jti, client_id: clientId, sid, scope = '' } = payload
  if (!isName(iss) || !isAudience(aud) || typeof exp !== 'number' || typeof iat !== 'number') return null
  if (!isName(sub) || !isName(jti) || !isName(clientId) || !isName(sid)) return null
  if (typeof scope !== 'string' || parseScope(scope) === null) return null
  return { ...payload, iss, sub, aud, exp, iat, jti, client_id: clientId, sid, scope }
}

/** Returns true if the token is for one of these resources. */
export function isFor({ aud }: AccessTokenClaims, resources: readonly string[]): boolean {
  return [aud].flat().some((audience) => includesResource(resources, audience))
}

function audienceOf({ audience }: AccessTokenGrant, byDefault: string): string | string[] {
  const [first = byDefault, ...others] = audience
  return others.length === 0 ? first : [first, ...others]
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isAudience(value: unknown): value is string | string[] {
  return typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'))
}

function demandLifetime(seconds: unknown): void {
  if (Number.isInteger(seconds) && Number(seconds) >= 1 && Number(seconds) <= MOST_LIFETIME_SECONDS) return
  throw new ConfigurationError(
    'lifetimeSeconds',
    `${String(seconds)} is not a whole number of seconds from 1 to ${MOST_LIFETIME_SECONDS}; a longer life is what refresh tokens are for`,
  )
}
