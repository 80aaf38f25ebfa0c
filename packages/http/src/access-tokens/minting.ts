import { type Confirmation, type Grant, ConfigurationError, type Policy } from '@baton/core'
import type { AccessTokenFunction, AccessTokenOption, MintedAccessToken } from './access-token.js'

/** What an access token is made for, besides the grant. */
interface MintingCircumstances {
  readonly confirmation: Confirmation | null
  /** Epoch milliseconds. */
  readonly now: number
}

/** Makes access tokens before the rotation or after it, wherever their kind belongs. */
export interface Minting {
  /** How long its tokens live at most, in seconds. */
  readonly lifetimeSeconds: number
  /** The resource of a grant that names none; undefined where a function of the app decides. */
  readonly defaultAudience: string | undefined
  /** Runs before anything is consumed; undefined where minting cannot fail by itself and may come afterwards. */
  readonly early?: (grant: Grant, circumstances: MintingCircumstances) => Promise<MintedAccessToken>
  /** Makes one for a family that already stands as `grant` says. */
  mint(grant: Grant, circumstances: MintingCircumstances): Promise<MintedAccessToken>
}

/** A function says how long its token lives once it has made it; where that has to be known before, it is an hour at most. */
const MOST_SECONDS_BY_FUNCTION = 3600

/** RFC 6750 section 2.1. */
const TOKEN_68 = /^[A-Za-z0-9._~+/-]+=*$/

/** Throws `ConfigurationError` for what is no access-token option, or lives as long as an idle family. */
export function mintingOf(accessToken: AccessTokenOption, policy: Policy): Minting {
  if (typeof accessToken === 'function') {
    const early = minter(accessToken)
    return { lifetimeSeconds: MOST_SECONDS_BY_FUNCTION, defaultAudience: undefined, early, mint: early }
  }
  if (typeof (accessToken as Partial<typeof accessToken> | undefined)?.mint !== 'function')
    throw new ConfigurationError('accessToken', 'is neither jwtAccessTokens({ … }) nor a function of the grant')
  demandShorterThanIdle(accessToken.lifetimeSeconds, policy)
  const { lifetimeSeconds, audience: defaultAudience } = accessToken
  return { lifetimeSeconds, defaultAudience, mint: minter((grant) => accessToken.mint(grant)) }
}

/** No access token outlives its family: `grant` has the family as it will stand once the answer has been given. */
function minter(make: AccessTokenFunction): Minting['mint'] {
  return async ({ family, scope, audience, claims }, { confirmation, now }) => {
    const mostSeconds = secondsUntil(family.expiresAt, now)
    const { accessToken, expiresIn } = await make({ family, scope, audience, claims, confirmation, now, mostSeconds })
    if (typeof accessToken !== 'string' || !TOKEN_68.test(accessToken))
      throw new ConfigurationError(
        'accessToken',
        'was made with characters that do not fit into an Authorization header',
      )
    if (!Number.isInteger(expiresIn) || expiresIn < 1)
      throw new ConfigurationError(
        'accessToken',
        `was made with expiresIn ${String(expiresIn)}, not whole seconds of 1 or more`,
      )
    return { accessToken, expiresIn: Math.min(expiresIn, mostSeconds) }
  }
}

function demandShorterThanIdle(lifetimeSeconds: number, { idleMs, offline }: Policy): void {
  for (const [name, limit] of [
    ['policy.idleSeconds', idleMs],
    ['policy.offline.idleSeconds', offline.idleMs],
  ] as const) {
    if (limit !== null && lifetimeSeconds * 1000 >= limit)
      throw new ConfigurationError(
        'accessToken',
        `lives for ${String(lifetimeSeconds)} seconds and ${name} is ${String(limit / 1000)}: people would expire while their access token still works; shorten it`,
      )
  }
}

/** A family that is alive has a last second, however little of it is left. */
function secondsUntil(instant: number, now: number): number {
  return Math.max(1, Math.floor((instant - now) / 1000))
}
