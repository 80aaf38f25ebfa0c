import { type Confirmation, ConfigurationError, type Grant, type Policy } from '@baton/core'
import { describeValue } from '@baton/core/options'
import type { AccessTokenFunction, AccessTokenOption, MintedAccessToken } from './access-token.js'

/** What an access token is issued for, besides the grant. */
interface IssueContext {
  readonly confirmation: Confirmation | null
  /** Epoch milliseconds. */
  readonly now: number
}

/** Issues access tokens before or after the rotation, depending on their kind. */
export interface AccessTokenIssuer {
  /** The maximum lifetime of its tokens in seconds. */
  readonly lifetimeSeconds: number
  /** The resource of a grant that names none; undefined if a function of the app decides. */
  readonly defaultAudience: string | undefined
  /** Runs before the refresh token is consumed; undefined if issuing cannot fail and may run afterwards. */
  readonly early?: (grant: Grant, context: IssueContext) => Promise<MintedAccessToken>
  /** Issues an access token for a family that is already stored. */
  mint(grant: Grant, context: IssueContext): Promise<MintedAccessToken>
}

/** The lifetime that is assumed before a function of the app has returned its token. */
const MAX_SECONDS_BY_FUNCTION = 3600

/** RFC 6750 section 2.1. */
const TOKEN_68 = /^[A-Za-z0-9._~+/-]+=*$/

/** Throws `ConfigurationError` for access tokens with a lifetime that is not below the idle limit of sessions. */
export function createAccessTokenIssuer(accessTokens: AccessTokenOption, policy: Policy): AccessTokenIssuer {
  if (typeof accessTokens === 'function') {
    const early = minter(accessTokens)
    return { lifetimeSeconds: MAX_SECONDS_BY_FUNCTION, defaultAudience: undefined, early, mint: early }
  }
  assertBelowIdleLimit(accessTokens.lifetimeSeconds, policy)
  const { lifetimeSeconds, audience: defaultAudience } = accessTokens
  return { lifetimeSeconds, defaultAudience, mint: minter((grant) => accessTokens.mint(grant)) }
}

/** No access token outlives its family: `grant` contains the family as it will be after the response. */
function minter(make: AccessTokenFunction): AccessTokenIssuer['mint'] {
  return async ({ family, scope, audience, claims }, { confirmation, now }) => {
    const maxLifetimeSeconds = secondsUntil(family.expiresAt, now)
    const { accessToken, expiresIn } = await make({
      family,
      scope,
      audience,
      claims,
      confirmation,
      now,
      maxLifetimeSeconds,
    })
    if (typeof accessToken !== 'string' || !TOKEN_68.test(accessToken))
      throw new ConfigurationError(
        'accessTokens',
        `must return an access token of the characters of RFC 6750 section 2.1, got ${typeof accessToken === 'string' ? 'other characters' : describeValue(accessToken)}`,
      )
    if (!Number.isInteger(expiresIn) || expiresIn < 1)
      throw new ConfigurationError(
        'accessTokens',
        `must return expiresIn in whole seconds of 1 or more, got ${describeValue(expiresIn)}`,
      )
    return { accessToken, expiresIn: Math.min(expiresIn, maxLifetimeSeconds) }
  }
}

function assertBelowIdleLimit(lifetimeSeconds: number, { idleMs, offline }: Policy): void {
  for (const [name, limit] of [
    ['policy.idleSeconds', idleMs],
    ['policy.offline.idleSeconds', offline.idleMs],
  ] as const) {
    if (limit !== null && lifetimeSeconds * 1000 >= limit)
      throw new ConfigurationError(
        'accessTokens',
        `must have lifetimeSeconds below ${name}, which is ${String(limit / 1000)}, got ${String(lifetimeSeconds)}; otherwise a session would expire before its access token`,
      )
  }
}

/** At least 1, also in the last second of a family. */
function secondsUntil(instant: number, now: number): number {
  return Math.max(1, Math.floor((instant - now) / 1000))
}
