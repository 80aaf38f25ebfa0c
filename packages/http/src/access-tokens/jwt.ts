import { type OptionsOf, required } from '@baton/core/options'
import { importJWK, jwtVerify } from 'jose'
import type { AccessTokenClaims, AccessTokenGrant, AccessTokens, MintedAccessToken } from './access-token.js'
import { claimsFor, isFor, issuingOptions, parseClaims } from './claims.js'
import { createSigner } from './signer.js'
import { type PublicJwk, signingKeys } from './signing-keys.js'

const TYPE = 'at+jwt'
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export const jwtOptions = issuingOptions.extend({
  /**
   * `[current, ...others]`. The first key signs; all keys verify and are published. To change keys without rejecting a valid token,
   * deploy `[old, new]`, then `[new, old]` once every verifier has fetched the new set, and remove the old key after `lifetimeSeconds`.
   */
  keys: required(signingKeys()),
})

export type JwtAccessTokensOptions = OptionsOf<typeof jwtOptions>

export interface JwtAccessTokens extends AccessTokens {
  /** Returns the public keys for resource servers, as a JWK set (RFC 7517). */
  jwks(): { readonly keys: readonly PublicJwk[] }
}

/**
 * Issues access tokens that resource servers verify without asking this server ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)). Signs
 * with a local key. Each key is tested once here, so that an unusable key throws `ConfigurationError` at construction and not after a
 * refresh token was consumed.
 *
 * @example
 * ```ts
 * import { deriveSigningKey, jwtAccessTokens } from '@baton/http'
 *
 * const accessTokens = jwtAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   keys: [deriveSigningKey(process.env['BATON_SIGNING_SECRET'])],
 * })
 * ```
 */
export function jwtAccessTokens(options: JwtAccessTokensOptions): JwtAccessTokens {
  const parsed = jwtOptions.parse('jwtAccessTokens', options)
  const { issuer, audience, lifetimeSeconds, keys } = parsed
  const [current] = keys
  const sign = createSigner(current, TYPE)
  const verifyingKeys = new Map(
    keys.map((key) => [key.kid, { alg: key.alg, load: cached(() => importJWK(key.publicJwk, key.alg)) }]),
  )

  async function mint(grant: AccessTokenGrant): Promise<MintedAccessToken> {
    const { claims, expiresIn } = claimsFor(grant, parsed)
    return { accessToken: await sign(claims), expiresIn }
  }

  async function read(accessToken: string, now: number): Promise<AccessTokenClaims | null> {
    // Decoders ignore white space; a token has exactly one spelling.
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
          algorithms: [...new Set(keys.map(({ alg }) => alg))],
          currentDate: new Date(now),
          requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id', 'sid'],
        },
      )
      return parseClaims(payload)
    } catch {
      // Only the token can cause an error here: the keys are local and were tested at construction.
      return null
    }
  }

  return {
    issuer,
    audience,
    lifetimeSeconds,
    mint,
    async verify(accessToken, now) {
      const claims = await read(accessToken, now)
      return claims !== null && isFor(claims, [audience]) ? claims : null
    },
    // The keys never change.
    cacheVersion: () => 0,
    read,
    jwks: () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }),
  }
}

class UnknownKey extends Error {}

/** Caches the result of the first call. */
function cached<Value>(load: () => Promise<Value>): () => Promise<Value> {
  let loaded: Promise<Value> | undefined
  return () => (loaded ??= load())
}
