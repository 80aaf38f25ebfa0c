import { type LegacyTokenSource, includesResource } from '@baton/core'
import {
  type CryptoKey,
  decodeProtectedHeader,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose'
import {
  declareOptions,
  func,
  listOf,
  nullable,
  optional,
  type OptionsOf,
  required,
  rule,
  text,
  withDefault,
} from '@baton/core/options'
import { type GrantFields, grantOf, importOptions } from './grants.js'
import { createVerifier } from './verify-jwt.js'

type JwtKey = string | Uint8Array | CryptoKey | JWTVerifyGetKey

const jwtTokensOptions = declareOptions({
  until: importOptions.fields.until,
  /** The secret (text or bytes), the public key, or a key set of jose: `createLocalJWKSet(…)` or `createRemoteJWKSet(…)`. */
  key: required(
    rule<JwtKey>('a secret, a public key or a key set of jose', isKey, 'check that the environment variable is set'),
  ),
  /** The algorithms of the old system, such as `['HS256']`. Tokens with another one are rejected. */
  algorithms: required(listOf(text({ maxBytes: 20 }), { min: 1, max: 20 })),
  /** The required claim `iss`. */
  issuer: optional(text()),
  /** A required value of the claim `aud`. */
  audience: optional(text()),
  /**
   * Returns true if the old system has revoked the token or used it up. Null states that there is no such list: then every token that it
   * ever signed is accepted until it expires.
   */
  isRevoked: required(nullable(func<(claims: JWTPayload, token: string) => Promise<boolean> | boolean>())),
  /**
   * Converts the claims to a grant; null rejects the token. It must reject access tokens that the same key signs. Default: `sub`,
   * `client_id`, `scope`, `iat` and `exp`.
   */
  grant: withDefault(func<(claims: JWTPayload) => GrantFields | null>(), claimsOf),
  /** Called after the token was exchanged, to put it on the list. It may be called more than once. */
  moved: optional(func<(claims: JWTPayload, token: string) => Promise<unknown>>()),
  /** Epoch milliseconds. Default: `Date.now`. */
  now: withDefault(func<() => number>(), Date.now),
})

export type JwtTokensOptions = OptionsOf<typeof jwtTokensOptions>

/** An environment variable that is not set gives no key or an empty one. */
function isKey(key: unknown): boolean {
  return typeof key === 'string' ? key !== '' : typeof key === 'function' || (typeof key === 'object' && key !== null)
}

/**
 * Accepts refresh tokens that are JWTs. Throws `ConfigurationError` for unknown, missing or invalid options.
 *
 * @example
 * ```ts
 * import { jwtTokens } from '@baton/import'
 *
 * const legacyTokens = jwtTokens({
 *   key: process.env['OLD_SECRET'] ?? '',
 *   algorithms: ['HS256'],
 *   isRevoked: null,
 *   grant: ({ sub, exp, type }) => (type === 'refresh' && sub !== undefined ? { subject: sub, expiresAt: exp } : null),
 * })
 * ```
 */
export function jwtTokens(options: JwtTokensOptions): LegacyTokenSource {
  const parsed = jwtTokensOptions.parse('jwtTokens', options)
  const { key, algorithms, isRevoked, grant, moved, now, issuer, audience } = parsed
  const verifyClaims = createVerifier(key, algorithms)

  async function verify(token: string): Promise<JWTPayload | null> {
    const checks: JWTVerifyOptions = { currentDate: new Date(now()) }
    if (issuer !== undefined) checks.issuer = issuer
    const payload = await verifyClaims(token, checks)
    return payload === null || (audience !== undefined && !isFor(payload, audience)) ? null : payload
  }

  return {
    normalize: identityOf,
    async lookup(token) {
      const claims = await verify(token)
      if (claims === null || (await isRevoked?.(claims, token)) === true) return null
      const fields = grant(claims)
      return fields === null ? null : grantOf(fields, parsed)
    },
    ...(moved === undefined
      ? {}
      : {
          async onMigrated(token) {
            const claims = await verify(token)
            // The token has expired meanwhile, and the old system rejects it.
            return claims === null ? undefined : moved(claims, token)
          },
        }),
  }
}

/**
 * JWTs of other kinds that one key may sign beside refresh tokens (RFC 9068, 9449, 7523bis, 8417, 9701, 9101 and OpenID Connect
 * Back-Channel Logout).
 */
const OTHER_TYPES: ReadonlySet<string> = new Set([
  'application/at+jwt',
  'application/dpop+jwt',
  'application/client-authentication+jwt',
  'application/secevent+jwt',
  'application/token-introspection+jwt',
  'application/oauth-authz-req+jwt',
  'application/logout+jwt',
])

/** Returns the media type that `typ` abbreviates (RFC 7515 section 4.1.9), without parameters. */
function mediaTypeOf(typ: string): string {
  const [type = ''] = typ.toLowerCase().split(';')
  const name = type.trim()
  return name.includes('/') ? name : `application/${name}`
}

/**
 * Names the token by its signed part and signature. A signature has several spellings: base64 has spare bits, and of an ECDSA
 * signature (r, s) the other half (r, -s) is valid too. Otherwise each spelling would start a separate family.
 */
function identityOf(token: string): string | null {
  const parts = token.split('.')
  const [header, payload, signature] = parts
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) return null
  if (!parts.every((part) => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part)) return null
  const { alg, typ = 'JWT' } = headerOf(token)
  if (typeof alg !== 'string' || typeof typ !== 'string' || OTHER_TYPES.has(mediaTypeOf(typ))) return null
  if (!alg.startsWith('ES')) return token
  const bytes = Buffer.from(signature, 'base64url')
  return `${header}.${payload}.${bytes.subarray(0, bytes.length / 2).toString('base64url')}`
}

function isFor({ aud = [] }: JWTPayload, audience: string): boolean {
  return [aud].flat().some((name) => typeof name === 'string' && includesResource([audience], name))
}

/** Returns the header's members, whose types a sender chooses. */
function headerOf(token: string): { readonly alg?: unknown; readonly typ?: unknown } {
  try {
    return decodeProtectedHeader(token)
  } catch {
    return {}
  }
}

function claimsOf({ sub, iat, exp, client_id, scope }: JWTPayload): GrantFields | null {
  if (sub === undefined || sub === '') return null
  return {
    subject: sub,
    clientId: typeof client_id === 'string' ? client_id : null,
    scope: typeof scope === 'string' ? scope : null,
    createdAt: iat ?? null,
    expiresAt: exp ?? null,
  }
}
