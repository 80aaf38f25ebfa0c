import type { Confirmation, RefreshTokens, RejectionReason, RotateOutcome, RotateRequest } from '@baton/core'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import type { Minting } from '../access-tokens/issuer.js'
import type { Exchange } from '../pipeline/define-endpoint.js'
import { type PlainResponse, soleHeader } from '../messages/message.js'
import type { Exhausted } from '../messages/rate-limit.js'
import { error, invalidGrant, otherSession, tooManyRequests } from '../messages/responses.js'

/** What an endpoint knows of a refresh; the rest is the same for all of them and added here. */
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
      /** It is about the token or its subject, not about this request. */
      readonly isVerdict: boolean
      readonly response: PlainResponse
    }

/**
 * Exchanges a refresh token and makes the access token that goes with the answer. The limit of the family is asked before any
 * state changes, and so is an access-token function of the app.
 */
export async function refresh(
  { tokens, minting }: { readonly tokens: RefreshTokens; readonly minting: Minting },
  { request, limits, counted, now }: Exchange,
  asked: Refresh,
): Promise<Refreshed> {
  const circumstances = { confirmation: asked.confirmation, now }
  const { early, defaultAudience } = minting
  let exhausted: Exhausted = null
  // Spelt out: of requests that are put together from parts no two look alike to the engine, and each property is then searched for.
  const outcome = await tokens.rotate<MintedAccessToken | undefined>({
    refreshToken: asked.refreshToken,
    legacyOnly: asked.legacyOnly,
    clientId: asked.clientId,
    confidential: asked.confidential,
    confirmation: asked.confirmation,
    scope: asked.scope,
    audience: asked.audience,
    defaultAudience,
    familyId: asked.familyId,
    validAfter: asked.validAfter,
    rotation: asked.rotation,
    idempotencyKey: soleHeader(request, 'idempotency-key'),
    checkRateLimit: async (holder) => {
      exhausted = await limits.countRefresh(holder)
      return exhausted === null
    },
    beforeCommit: early && ((grant) => early(grant, circumstances)),
  })
  if (!outcome.ok) return toRefreshed(outcome.reason, exhausted)
  counted.release()
  return { ok: true, granted: outcome, minted: outcome.prepared ?? (await minting.mint(outcome, circumstances)) }
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
