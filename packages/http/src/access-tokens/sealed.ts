import { type OptionsOf, required, secretRing } from '@baton/core/options'
import { createSealer } from '../crypto/sealer.js'
import type { AccessTokenClaims, AccessTokens } from './access-token.js'
import { claimsFor, isFor, issuingOptions, parseClaims } from './claims.js'

export const sealedOptions = issuingOptions.extend({
  /**
   * `[current, ...older]`, at least 32 random bytes each, the same on every instance and used for access tokens only: the secrets
   * are enough to create access tokens. To change a secret, deploy `[old, new]` everywhere, then `[new, old]`, and remove the old one
   * after `lifetimeSeconds`.
   */
  secrets: required(secretRing()),
})

export type SealedAccessTokensOptions = OptionsOf<typeof sealedOptions>

/** Longer than any token that `mint` returns; a request may bring a text of any length. */
const MAX_LENGTH = 16_384

/**
 * Issues encrypted access tokens that only this server can read. Resource servers use introspection
 * ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)), which also asks the store whether the session is active. Nothing is stored. Throws
 * `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { sealedAccessTokens } from '@baton/http'
 *
 * const accessTokens = sealedAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   secrets: [process.env['BATON_ACCESS_TOKEN_SECRET']],
 * })
 * ```
 */
export function sealedAccessTokens(options: SealedAccessTokensOptions): AccessTokens {
  const parsed = sealedOptions.parse('sealedAccessTokens', options)
  const { issuer, audience, lifetimeSeconds, secrets } = parsed
  const sealer = createSealer({ secrets, purpose: 'access token', prefix: 'bat_' })

  async function read(accessToken: string, now: number): Promise<AccessTokenClaims | null> {
    const content = accessToken.length > MAX_LENGTH ? null : sealer.open(accessToken)
    // Only `mint` seals for this purpose, but a server with another issuer may share the secrets.
    const claims = content === null ? null : parseClaims(JSON.parse(content) as Record<string, unknown>)
    return claims !== null && claims.iss === issuer && now < claims.exp * 1000 ? claims : null
  }

  return {
    issuer,
    audience,
    lifetimeSeconds,
    async mint(grant) {
      const { claims, expiresIn } = claimsFor(grant, parsed)
      return { accessToken: sealer.seal(JSON.stringify(claims)), expiresIn }
    },
    async verify(accessToken, now) {
      const claims = await read(accessToken, now)
      return claims !== null && isFor(claims, [audience]) ? claims : null
    },
    // The secrets never change.
    cacheVersion: () => 0,
    read,
  }
}
