import { randomBytes } from 'node:crypto'
import { MisuseError, parseScope } from '@baton/core'
import { importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import type { AccessTokenClaims, AccessTokenGrant, AccessTokens, MintedAccessToken } from './access-token.js'
import { confirmationOf } from '../bound-key.js'
import { demandKnown } from '../endpoint.js'
import { demandIssuer } from '../issuer.js'
import { checkKeys, type PublicJwk, type SigningKey } from './signing-keys.js'

const DEFAULT_LIFETIME_SECONDS = 900
const MOST_LIFETIME_SECONDS = 86_400
const JTI_BYTES = 20
const TYPE = 'at+jwt'
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const KNOWN = ['issuer', 'audience', 'keys', 'lifetimeSeconds']

/** Claims that say who, for whom and how long. The app's own claims never take their place. */
const OWN_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'scope', 'sid', 'cnf']

export interface JwtAccessTokensOptions {
  /** `iss`: this server, a URL without query or fragment (RFC 8414). */
  readonly issuer: string
  /** `aud` of tokens whose grant names no resource, and the name that `verify` demands to find in `aud`. */
  readonly audience: string
  /**
   * `[current, ...others]`. The first one signs, all of them verify and are published. To change keys without refusing a single
   * token, deploy `[old, new]`, once every verifier has fetched the new set `[new, old]`, and drop the old one after `lifetimeSeconds`.
   */
  readonly keys: readonly SigningKey[]
  /** 1 to 86 400, default 900. Short, because a resource server that does not ask the store trusts a token until it ends. */
  readonly lifetimeSeconds?: number
}

export interface JwtAccessTokens extends AccessTokens {
  /** The public keys (RFC 7517), to be served to resource servers. */
  jwks(): { readonly keys: readonly PublicJwk[] }
}

/**
 * Access tokens that resource servers verify by themselves (RFC 9068). Signs with a local key, and signs once at construction:
 * a key that cannot throws `MisuseError` then, and not after a refresh token has been consumed.
 */
export function jwtAccessTokens(options: JwtAccessTokensOptions): JwtAccessTokens {
  const { issuer, audience, lifetimeSeconds = DEFAULT_LIFETIME_SECONDS } = options
  demandKnown(options, KNOWN)
  demandIssuer(issuer)
  if (typeof (audience as unknown) !== 'string' || audience === '')
    throw new MisuseError('audience', 'expected the name of your API, such as https://api.example')
  demandLifetime(lifetimeSeconds)
  const keys = checkKeys(options.keys)
  const [current] = keys
  const signingKey = once(() => importJWK(current.privateJwk, current.alg))
  const verifyingKeys = new Map(
    keys.map((key) => [key.kid, { alg: key.alg, load: once(() => importJWK(key.publicJwk, key.alg)) }]),
  )

  async function mint(grant: AccessTokenGrant): Promise<MintedAccessToken> {
    const expiresIn = Math.max(0, Math.min(lifetimeSeconds, grant.mostSeconds))
    const iat = Math.floor(grant.now / 1000)
    const accessToken = await new SignJWT({
      ...claimsOf(grant),
      iss: issuer,
      aud: audienceOf(grant, audience),
      iat,
      // Whole seconds, counted from the beginning of this one: a token may end up to a second early, and never late.
      exp: iat + expiresIn,
      jti: randomBytes(JTI_BYTES).toString('base64url'),
    })
      .setProtectedHeader({ alg: current.alg, typ: TYPE, kid: current.kid })
      .sign(await signingKey())
    return { accessToken, expiresIn }
  }

  async function verify(accessToken: string, now: number): Promise<AccessTokenClaims | null> {
    // Decoders forgive white space; a token has one spelling.
    if (!COMPACT.test(accessToken)) return null
    try {
      const { payload } = await jwtVerify(
        accessToken,
        async ({ kid, alg }) => {
          const key = kid === undefined ? undefined : verifyingKeys.get(kid)
          if (key?.alg !== alg) throw new UnknownKey()
          return key.load()
        },
        {
          typ: TYPE,
          issuer,
          audience,
          algorithms: [...new Set(keys.map(({ alg }) => alg))],
          currentDate: new Date(now),
          requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id', 'sid'],
        },
      )
      return ourClaims(payload)
    } catch {
      // Everything that can go wrong here is the token's fault: the keys are local and were tried at construction.
      return null
    }
  }

  return { lifetimeSeconds, mint, verify, jwks: () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }) }
}

class UnknownKey extends Error {}

function claimsOf({ family, scope, boundKey, claims }: AccessTokenGrant): JWTPayload {
  const cnf = confirmationOf(boundKey)
  const own = Object.entries(claims).filter(([name]) => !OWN_CLAIMS.includes(name))
  return {
    ...Object.fromEntries(own),
    sub: family.subject,
    client_id: family.clientId,
    sid: family.id,
    ...(scope === '' ? {} : { scope }),
    ...(cnf === null ? {} : { cnf }),
  }
}

function audienceOf({ audience }: AccessTokenGrant, byDefault: string): string | string[] {
  const [first = byDefault, ...others] = audience
  return others.length === 0 ? first : [first, ...others]
}

/** The signature proves that we wrote it; this proves that it was written as an access token, by a version that we understand. */
function ourClaims(payload: JWTPayload): AccessTokenClaims | null {
  const { client_id: clientId, sid, scope = '' } = payload as Record<string, unknown>
  const { iss, sub, aud, exp, iat, jti } = payload
  if (iss === undefined || aud === undefined || exp === undefined || iat === undefined) return null
  if (!isName(sub) || !isName(jti) || !isName(clientId) || !isName(sid)) return null
  if (typeof scope !== 'string' || parseScope(scope) === null) return null
  return { ...payload, iss, sub, aud, exp, iat, jti, client_id: clientId, sid, scope }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function demandLifetime(seconds: unknown): void {
  if (Number.isInteger(seconds) && Number(seconds) >= 1 && Number(seconds) <= MOST_LIFETIME_SECONDS) return
  throw new MisuseError(
    'lifetimeSeconds',
    `${String(seconds)} is not a whole number of seconds from 1 to ${MOST_LIFETIME_SECONDS}; a longer life is what refresh tokens are for`,
  )
}

/** Imports a key at its first use and keeps it. */
function once<Value>(load: () => Promise<Value>): () => Promise<Value> {
  let loaded: Promise<Value> | undefined
  return () => (loaded ??= load())
}
