import { type ForeignTokens, includesResource } from '@baton/core'
import {
  type CryptoKey,
  decodeProtectedHeader,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose'
import { type GrantFields, grantOf, type ImportOptions } from './grants.js'
import { createVerifier } from './verify-jwt.js'

export interface JwtTokensOptions extends Omit<ImportOptions, 'matches'> {
  /** The secret (text or bytes), the public key, or jose's `createLocalJWKSet(…)` or `createRemoteJWKSet(…)`. */
  readonly key: string | Uint8Array | CryptoKey | JWTVerifyGetKey
  /** What your old system signs with, such as `['HS256']`. Anything else is refused. */
  readonly algorithms: readonly string[]
  readonly issuer?: string
  readonly audience?: string
  /**
   * Whether the old system has revoked the token, or used it up: ask its list. Null says that there is no such list, so that every
   * token which it ever signed and that has not expired will be accepted.
   */
  readonly isRevoked: ((claims: JWTPayload, token: string) => Promise<boolean> | boolean) | null
  /**
   * What the claims say; null refuses the token. An access token signed with the same key must be refused here. Default: `sub`,
   * `client_id`, `scope`, `iat` and `exp`.
   */
  readonly grant?: (claims: JWTPayload) => GrantFields | null
  /** Told once the token has been exchanged, to put it on the list. It may come more than once. */
  readonly moved?: (claims: JWTPayload, token: string) => Promise<unknown>
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/** Accepts refresh tokens that are JWTs. Throws `TypeError` for options that cannot work. */
export function jwtTokens(options: JwtTokensOptions): ForeignTokens {
  const { algorithms, isRevoked, grant = claimsOf, moved, now = Date.now, issuer, audience } = options
  if (!Array.isArray(algorithms) || algorithms.length === 0)
    throw new TypeError("jwtTokens: algorithms is empty; name what your old system signs with, such as ['HS256']")
  if (isRevoked !== null && typeof isRevoked !== 'function')
    throw new TypeError('jwtTokens: isRevoked is neither a function nor null; null says that nothing was ever revoked')
  // An environment variable that is not set would otherwise look like tokens that are all forged.
  if ((options.key as unknown) === undefined || options.key === '')
    throw new TypeError('jwtTokens: key is missing; is the environment variable set?')
  const verifyClaims = createVerifier(options.key, algorithms)

  async function verify(token: string): Promise<JWTPayload | null> {
    const checks: JWTVerifyOptions = { currentDate: new Date(now()) }
    if (issuer !== undefined) checks.issuer = issuer
    const payload = await verifyClaims(token, checks)
    return payload === null || (audience !== undefined && !isFor(payload, audience)) ? null : payload
  }

  return {
    identify: identityOf,
    async find(token) {
      const claims = await verify(token)
      if (claims === null || (await isRevoked?.(claims, token)) === true) return null
      const fields = grant(claims)
      return fields === null ? null : grantOf(fields, options)
    },
    ...(moved === undefined
      ? {}
      : {
          async moved(token) {
            const claims = await verify(token)
            // Expired meanwhile: the old system refuses it by itself.
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
 * signature (r, s) the other half (r, -s) is valid too. Each spelling would otherwise start a family of its own.
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
