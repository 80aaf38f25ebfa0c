import { parseScope } from '@baton/core'
import { nested, objectWith, optional, required, type Rule, rule } from '@baton/core/options'
import type { AccessTokenOption, AccessTokens } from '../access-tokens/access-token.js'
import type { AuthorizationCodes } from '../codes/authorization-codes.js'
import { dpopOptions } from '../proof-of-possession/dpop/proof-checker.js'

/**
 * Issues the access tokens: what `jwtAccessTokens()` or `sealedAccessTokens()` returns, or your function of the grant, which returns
 * `{ accessToken, expiresIn }` and is called before the refresh token is consumed.
 */
export const issuedAccessTokens = required(
  rule<AccessTokenOption>(
    'what jwtAccessTokens() or sealedAccessTokens() returns, or a function of the grant',
    (value) => typeof value === 'function' || hasMethod(value, 'mint'),
  ),
)

/** Access tokens that this server can read. */
export const readableAccessTokens = optional(
  rule<AccessTokens>(
    'what jwtAccessTokens() or sealedAccessTokens() returns',
    (value) => hasMethod(value, 'read'),
    'omit it if access tokens are issued by a function',
  ),
)

/** How DPoP proofs are verified (RFC 9449). */
export const dpopField = optional(nested(dpopOptions))

/** What `authorizationCodes(…)` returns. */
export const codesField = optional(
  objectWith<AuthorizationCodes>(['open', 'issue'], 'what authorizationCodes() returns'),
)

/** A scope that may be empty. */
export const scopeText = (): Rule<string> =>
  rule(
    'a scope (RFC 6749 section 3.3)',
    (scope) => typeof scope === 'string' && parseScope(scope) !== null,
    'separate its tokens by single spaces',
  )

function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[name] === 'function'
}
