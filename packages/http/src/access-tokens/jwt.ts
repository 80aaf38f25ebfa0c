import { createPublicKey } from 'node:crypto'
import { type OptionsOf, required } from '@baton/core/options'
import type {
  AccessTokenClaims,
  AccessTokenGrant,
  AccessTokens,
  MintedAccessToken,
  Verification,
} from './access-token.js'
import { claimsFor, isFor, issuingOptions } from './claims.js'
import { ACCESS_TOKEN_TYPE, createJwtVerifier, signatureVerifier } from './jwt-verifier.js'
import { createSigner } from './signer.js'
import { type CheckedKey, type PublicJwk, signingKeys } from './signing-keys.js'

export const jwtOptions = issuingOptions.extend({
  /**
   * `[current, ...others]`, each a JWK, a PEM text, a `KeyObject`, or `{ key, kid }`. The first key signs; all keys verify and are
   * published, and the others may be public keys. To change keys without rejecting a valid token,
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
  const sign = createSigner(current, ACCESS_TOKEN_TYPE)
  const verificationKeys = new Map(keys.map((key) => [key.kid, toVerificationKey(key)]))
  const verifyAnyAudience = createJwtVerifier({ issuer, findKey: (kid) => verificationKeys.get(kid) })

  async function mint(grant: AccessTokenGrant): Promise<MintedAccessToken> {
    const { claims, expiresIn } = claimsFor(grant, parsed)
    return { accessToken: await sign(claims), expiresIn }
  }

  function verifyForCache(accessToken: string, now: number): Verification<AccessTokenClaims> {
    const result = verifyAnyAudience(accessToken, now)
    return result.claims === null || isFor(result.claims, [audience]) ? result : OTHER_AUDIENCE
  }

  return {
    issuer,
    audience,
    lifetimeSeconds,
    mint,
    verify: async (accessToken, now) => verifyForCache(accessToken, now).claims,
    // The keys never change.
    cacheVersion: () => 0,
    verifyForCache,
    read: async (accessToken, now) => verifyAnyAudience(accessToken, now).claims,
    jwks: () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }),
  }
}

const OTHER_AUDIENCE = { claims: null, isFinal: true } as const

function toVerificationKey({ alg, publicJwk }: CheckedKey) {
  const key = createPublicKey({ key: publicJwk, format: 'jwk' })
  return { alg, isSignatureValid: signatureVerifier(alg, key) }
}
