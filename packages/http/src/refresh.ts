import type { Confirmation, Objection, RefreshTokens, Refused, RotateOutcome, RotateRequest } from '@baton/core'
import type { MintedAccessToken } from './access-tokens/access-token.js'
import type { Minting } from './access-tokens/issuer.js'
import type { Exchange } from './endpoint.js'
import { type PlainResponse, soleHeader } from './message.js'
import type { Exhausted } from './rate-limits/bucket.js'
import { error, invalidGrant, otherSession, tooManyRequests } from './respond.js'

/** What an endpoint knows of a refresh; the rest is the same for all of them and added here. */
export type Refresh = Omit<
  RotateRequest,
  'prepare' | 'admit' | 'idempotencyKey' | 'confirmation' | 'defaultAudience'
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
    admit: async (holder) => {
      exhausted = await limits.countRefresh(holder)
      return exhausted === null
    },
    prepare: early && ((grant) => early(grant, circumstances)),
  })
  if (!outcome.ok) return refusal(outcome, exhausted)
  counted.release()
  return { ok: true, granted: outcome, minted: outcome.prepared ?? (await minting.mint(outcome, circumstances)) }
}

/** Whatever is wrong with the token, the answer is the same. What is wrong with the request may be told: it concerns its sender. */
function refusal(refused: Refused, exhausted: Exhausted): Refreshed {
  if (refused.reason !== 'declined' || refused.objection === 'inactive')
    return { ok: false, isVerdict: true, response: invalidGrant() }
  return { ok: false, isVerdict: false, response: declined(refused.objection, exhausted) }
}

/** What is wrong with a request whose token or code is in order. */
export function declined(objection: Exclude<Objection, 'inactive'>, exhausted: Exhausted): PlainResponse {
  switch (objection) {
    case 'invalid_scope':
      return error('invalid_scope', { description: 'The scope is malformed or exceeds what was granted.' })
    case 'invalid_target':
      return error('invalid_target', { description: 'The resource is not part of the grant.' })
    case 'rate_limited':
      return tooManyRequests(exhausted)
    case 'other_family':
      return otherSession()
  }
}
