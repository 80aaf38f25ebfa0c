import { demandKnown } from '../endpoint.js'
import { sealing, type Secrets } from '../sealing.js'
import type { AccessTokenClaims, AccessTokens } from './access-token.js'
import { checkIssuing, claimsFor, isFor, type IssuingOptions, ourClaims } from './claims.js'

export interface SealedAccessTokensOptions extends IssuingOptions {
  /**
   * `[current, ...older]`, at least 32 random bytes each, the same on every instance, and for access tokens alone: whoever has them
   * can make access tokens. To change, deploy `[old, new]` everywhere, then `[new, old]`, and drop the old one after `lifetimeSeconds`.
   */
  readonly secrets: Secrets
}

/** Longer than any that we make; what comes in may be of any length. */
const MOST_LENGTH = 16_384

/**
 * Access tokens that tell nothing to whom they are handed, and that only this server can read: resource servers ask by
 * introspection, which also asks the store whether the session lives. Nothing is stored. Throws `ConfigurationError`.
 */
export function sealedAccessTokens(options: SealedAccessTokensOptions): AccessTokens {
  demandKnown(options, ['secrets', 'issuer', 'audience', 'lifetimeSeconds'])
  const issuing = checkIssuing(options)
  const { issuer, audience, lifetimeSeconds } = issuing
  const sealed = sealing({ option: 'secrets', secrets: options.secrets, purpose: 'access token', prefix: 'bat_' })

  async function read(accessToken: string, now: number): Promise<AccessTokenClaims | null> {
    const content = accessToken.length > MOST_LENGTH ? null : sealed.open(accessToken)
    // Nobody else can have sealed it, and `mint` seals nothing else; another server's may share our secrets.
    const claims = content === null ? null : ourClaims(JSON.parse(content) as Record<string, unknown>)
    return claims !== null && claims.iss === issuer && now < claims.exp * 1000 ? claims : null
  }

  return {
    issuer,
    audience,
    lifetimeSeconds,
    async mint(grant) {
      const { claims, expiresIn } = claimsFor(grant, issuing)
      return { accessToken: sealed.seal(JSON.stringify(claims)), expiresIn }
    },
    async verify(accessToken, now) {
      const claims = await read(accessToken, now)
      return claims !== null && isFor(claims, [audience]) ? claims : null
    },
    read,
  }
}
