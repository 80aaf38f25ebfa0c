import type { AttemptMatch, Decision, Facts } from '../decision/decide.js'
import { confirmation, isSameConfirmation } from '../model/confirmation.js'
import { type FamilyId, type FamilyRecord, toFamily, type Verifier } from '../model/family.js'
import { narrowAudience } from '../model/resource.js'
import { isSameText } from '../model/same-text.js'
import {
  declareOptions,
  func,
  instant,
  nullable,
  optional,
  type Resolved,
  text,
  untrusted,
  withDefault,
} from '../options.js'
import type { AuthenticToken } from '../token/authentic-token.js'
import type { Binding } from '../token/derive.js'
import type { KeyRing } from '../token/keys.js'
import { findRelation } from '../token/relation.js'
import { type Context, recordKeyMissing, reject, type Rejection, toEventFields } from './context.js'
import type { BeforeCommit, CheckRateLimit, Grant } from './contracts.js'
import type { LegacyToken } from './legacy-token.js'
import { reportRevoked, revokeFamily } from './revoke.js'

/** The options that `rotate` and `redeem` have in common. What the client sent is rejected if invalid, and never throws. */
export const exchangeOptions = declareOptions({
  /** The key that the request proved: `{ jkt }` or `{ 'x5t#S256' }`. */
  confirmation: withDefault(nullable(confirmation), null),
  /**
   * Random, one for each attempt to exchange one token. A retry with the same key receives the same token. From 22 to 255 characters;
   * any other value is ignored.
   */
  idempotencyKey: optional(untrusted<string | null>()),
  /** Limits this response to some of the granted resources (RFC 8707 section 2.2). */
  audience: optional(untrusted<readonly string[]>()),
  /** The `aud` of access tokens for a grant without an audience: such a grant covers this resource. */
  defaultAudience: optional(text()),
  /** Families created before this instant (epoch milliseconds) are rejected, such as all families of one client. */
  validAfter: withDefault(nullable(instant()), null),
  /** Called after the token was verified and before the store is called. False rejects the request as `rate_limited`. */
  checkRateLimit: optional(func<CheckRateLimit>()),
  /** Work that may fail. Called before anything is consumed. */
  beforeCommit: optional(func<BeforeCommit<unknown>>()),
})

type Narrowing = Pick<Resolved<(typeof exchangeOptions)['fields']>, 'audience' | 'defaultAudience'>

/** The values to compare with the record of a family. */
export interface Presented {
  readonly token: AuthenticToken
  /** The client and the key of the request. */
  readonly binding: Binding
  readonly retryKey: string | null
  /** Null for a token of Baton. */
  readonly legacy: LegacyToken | null
}

/** Compares a presented token with the record of its family, for `decide`. */
export function compareWithRecord({ ring }: Context, presented: Presented, record: FamilyRecord): Facts {
  const { token, binding, legacy } = presented
  return {
    relation: legacy?.isStored === false ? 'legacy' : findRelation(token, record, ring, binding),
    sameClient: isSameText(record.grant.clientId, binding.clientId),
    sameKey: isSameConfirmation(record.grant.confirmation, binding.confirmation),
    attempt: matchAttempt(presented, record),
    revoked: record.revocation !== null,
    rotatedAt: record.current.rotatedAt,
    expiresAt: record.expiresAt,
  }
}

export function matchAttempt({ retryKey }: Pick<Presented, 'retryKey'>, { current }: FamilyRecord): AttemptMatch {
  if (retryKey === null) return current.retryKey === null ? 'unknown' : 'without_key'
  return current.retryKey !== null && isSameText(retryKey, current.retryKey) ? 'same' : 'other'
}

/**
 * Returns true if this call wrote the token that the record has, also if the driver executed the write twice: the nonce in the verifier
 * is new. Between the two executions, a retry may have received and used the token; then it is the predecessor of the record's token.
 */
export function isOwnToken(
  ring: KeyRing,
  {
    token,
    verifier,
    binding,
  }: { readonly token: AuthenticToken; readonly verifier: Verifier; readonly binding: Binding },
  record: FamilyRecord,
): boolean {
  return record.current.verifier === verifier || findRelation(token, record, ring, binding) === 'predecessor'
}

/** Returns the granted audience, or the requested part of it; null if the request exceeds the grant (RFC 8707 section 2.2). */
export function limitAudience({ audience, defaultAudience }: Narrowing, { grant }: FamilyRecord) {
  return narrowAudience(toList(audience), { granted: grant.audience, defaultAudience })
}

/** A parser of requests may not create a list for a single `resource`. */
export function toList(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

/** Returns what a response grants: the grant of the family, or the part of it that the request asked for. */
export function toGrant(
  record: FamilyRecord,
  request: Narrowing & { readonly scope?: readonly string[] | null },
  claims: Grant['claims'],
): Grant {
  const { scope = null } = request
  return {
    family: toFamily(record),
    scope: scope === null || scope.length === 0 ? record.grant.scope : scope.join(' '),
    audience: limitAudience(request, record) ?? record.grant.audience,
    claims,
  }
}

/** The request, for events. */
export interface Presentation {
  readonly operation: 'rotate' | 'redeem'
  readonly familyId: FamilyId
  /** The client of the request, which may not be the client of the family. */
  readonly clientId: string
  /** Null for a reservation. */
  readonly presentedGeneration: number | null
}

/** Rejects a request by a decision, and revokes the family if the decision says so. `record` is the family as the store returned it. */
export async function rejectBy(
  context: Context,
  decision: Exclude<Decision, { readonly kind: 'mint' }>,
  record: FamilyRecord,
  { operation, familyId, clientId, presentedGeneration }: Presentation,
): Promise<Rejection> {
  const rejectAs = (reason: Rejection['reason']) => reject(context, { reason, familyId, clientId })
  if (decision.kind === 'reject') return rejectAs(decision.reason)
  if (decision.kind === 'fault') throw recordKeyMissing(context, record.current.keyId, operation)
  const { reason } = decision
  const { byThisCall } = await revokeFamily(context, record, {
    reason,
    report(revoked, reply) {
      if (reason === 'rollback') {
        reportRevoked(context)(revoked, reply)
        rejectAs(reason)
        return
      }
      const { generation } = revoked.current
      const at = context.now()
      context.emit({ type: 'reuse', at, ...toEventFields(revoked), generation, presentedGeneration, ...reply })
    },
  })
  // Otherwise another call revoked the family and reported it.
  return byThisCall ? { ok: false, reason } : rejectAs('revoked')
}
