import type { Confirmation, RefreshTokens, RejectionReason, RotateOutcome, RotateRequest } from '@baton/core'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import type { AccessTokenIssuer } from '../access-tokens/issuer.js'
import type { Exchange } from '../pipeline/define-endpoint.js'
import { type PlainResponse, soleHeader } from '../messages/message.js'
import type { Exhausted } from '../messages/rate-limit.js'
import { error, invalidGrant, otherSession, tooManyRequests } from '../messages/responses.js'

/** The members of a `RotateRequest` that endpoints provide. `refresh` adds those that are the same for all endpoints. */
export type Refresh = Omit<
  RotateRequest,
  'beforeCommit' | 'checkRateLimit' | 'idempotencyKey' | 'confirmation' | 'defaultAudience'
> & {
  readonly confirmation: Confirmation | null
}

type Granted = Extract<RotateOutcome<MintedAccessToken | undefined>, { ok: true }>

export type Refreshed =
  | { readonly ok: true; readonly granted: Granted; readonly minted: MintedAccessToken }
  | {
      readonly ok: false
      /** True if the rejection concerns the token or its subject, not this request. */
      readonly isVerdict: boolean
      readonly response: PlainResponse
    }

/**
 * Exchanges a refresh token and issues the access token of the response. The rate limit of the family is checked before any state
 * changes. An access-token function of the app runs before that, too.
 */
export async function refresh(
  { tokens, accessTokenIssuer }: { readonly tokens: RefreshTokens; readonly accessTokenIssuer: AccessTokenIssuer },
  { request, limits, counted, now }: Exchange,
  presented: Refresh,
): Promise<Refreshed> {
  const context = { confirmation: presented.confirmation, now }
  const { early, defaultAudience } = accessTokenIssuer
  let exhausted: Exhausted = null
  // Written out instead of spread: the object then always has the same shape, which is faster in V8.
  const outcome = await tokens.rotate<MintedAccessToken | undefined>({
    refreshToken: presented.refreshToken,
    legacyOnly: presented.legacyOnly,
    clientId: presented.clientId,
    confidential: presented.confidential,
    confirmation: presented.confirmation,
    scope: presented.scope,
    audience: presented.audience,
    defaultAudience,
    familyId: presented.familyId,
    validAfter: presented.validAfter,
    rotation: presented.rotation,
    idempotencyKey: soleHeader(request, 'idempotency-key'),
    checkRateLimit: async (holder) => {
      exhausted = await limits.countRefresh(holder)
      return exhausted === null
    },
    beforeCommit: early && ((grant) => early(grant, context)),
  })
  if (!outcome.ok) return toRefreshed(outcome.reason, exhausted)
  counted.release()
  return { ok: true, granted: outcome, minted: outcome.prepared ?? (await accessTokenIssuer.mint(outcome, context)) }
}

/**
 * Every problem of the token has the same response, because details would help an attacker. A problem of the request is described, because
 * it concerns its sender.
 */
function toRefreshed(reason: RejectionReason, exhausted: Exhausted): Refreshed {
  const response = requestRejection(reason, exhausted)
  return { ok: false, isVerdict: response === null, response: response ?? invalidGrant() }
}

/** Returns the response to a request that was rejected although its token or code is valid; null for every other reason. */
export function requestRejection(reason: RejectionReason, exhausted: Exhausted): PlainResponse | null {
  switch (reason) {
    case 'invalid_scope':
      return error('invalid_scope', { description: 'The scope is malformed or exceeds what was granted.' })
    case 'invalid_target':
      return error('invalid_target', { description: 'The resource is not part of the grant.' })
    case 'rate_limited':
      return tooManyRequests(exhausted)
    case 'other_family':
      return otherSession()
    default:
      return null
  }
}
