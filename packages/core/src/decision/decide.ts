/** Why a request was rejected although its token is valid. Such a rejection changes nothing: the token works in a correct request. */
export type RequestRejectionReason =
  /** The scope exceeds the grant or has a syntax error (RFC 6749 section 6). */
  | 'invalid_scope'
  /** A resource is not part of the grant (RFC 8707 section 2). */
  | 'invalid_target'
  /** `beforeRotate` returned `active: false`. */
  | 'inactive'
  /** `checkRateLimit` returned false. */
  | 'rate_limited'
  /** The request names another family than the token's. */
  | 'other_family'

/**
 * Why a request was rejected. On the wire, all reasons but `invalid_scope`, `invalid_target`, `rate_limited` and `other_family` are the
 * same `invalid_grant`.
 */
export type RejectionReason =
  | RequestRejectionReason
  /** Not a token of this server: wrong format, encoding or tag. */
  | 'malformed'
  /** Issued with a secret that is not in `secrets`. */
  | 'unknown_key'
  /** Created before the `validAfter` of its client or subject. */
  | 'superseded'
  /** The store has no such family. */
  | 'unknown'
  /** Another client, another key, or no proof of possession. */
  | 'mismatch'
  | 'revoked'
  | 'expired'
  /** The store had lost more than one rotation. The family is now revoked. */
  | 'rollback'
  /** An old token was presented again. The family is now revoked. */
  | 'reuse'

/** How the token relates to the record of its family. */
export type Relation =
  /** It is the token that the record names. */
  | 'current'
  /** The record's token is its direct successor. */
  | 'predecessor'
  /** Its generation is that of the predecessor, but the record's key is not in `secrets`, so it cannot be verified. */
  | 'unverifiable'
  /** The record's token is its direct predecessor: the store lost one rotation. */
  | 'one_ahead'
  /** Two or more generations ahead of the record: the store lost more than one rotation. */
  | 'far_ahead'
  /** Another system's token that has no family yet. The record is the one that the family would start with. */
  | 'legacy'
  /** Anything else: an older ancestor, or a branch that the record does not contain. */
  | 'unrelated'

/** Which requests the grace window accepts; see `PolicyOptions.grace`. */
export type Grace = 'any-attempt' | 'same-attempt'

export type Decision =
  | { readonly kind: 'mint'; readonly outcome: MintOutcome }
  | Rejected
  | Revoked
  /** The record's key is not in `secrets`. */
  | { readonly kind: 'fault' }

export interface Rejected {
  readonly kind: 'reject'
  readonly reason: Exclude<RejectionReason, 'rollback' | 'reuse'>
}

/** The request is rejected and the family is revoked. */
interface Revoked {
  readonly kind: 'revoke'
  readonly reason: 'rollback' | 'reuse'
}

/** How a refresh succeeded. */
export type MintOutcome =
  /** The current token was exchanged for its successor. */
  | 'rotated'
  /** The current token stays valid; the idle limit starts again. */
  | 'renewed'
  /** The direct predecessor was presented again and received the same successor as before. */
  | 'retried'
  /** The store had lost one rotation; the family continues from the presented token. */
  | 'healed'
  /** Another system's token was exchanged for the first token of a new family. */
  | 'imported'

/** How the Idempotency-Key of a request compares with that of the record's last rotation. */
export type AttemptMatch =
  /** Both have the same key: the client repeats one attempt. */
  | 'same'
  /** The request has a key that is not the rotation's: another attempt. */
  | 'other'
  /** The rotation had a key and the request has none: another attempt. */
  | 'without_key'
  /** Neither has a key: it is unknown whether this is the same attempt. */
  | 'unknown'

/** The result of comparing the presented token with the record. Instants are epoch milliseconds. */
export interface Facts {
  readonly relation: Relation
  readonly sameClient: boolean
  readonly sameKey: boolean
  readonly attempt: AttemptMatch
  readonly revoked: boolean
  readonly rotatedAt: number
  readonly expiresAt: number
}

export interface Circumstances {
  readonly now: number
  /** When the request arrived. A retry that arrived in time is accepted, however slow the store and the hooks are. */
  readonly arrivedAt: number
  /** The reason to reject this request if its token is valid. */
  readonly requestRejection: RequestRejectionReason | null
  /** The family was created before its subject's `validAfter`. */
  readonly superseded: boolean
}

export interface Rules {
  /** Which requests the grace window accepts besides the same attempt. */
  readonly grace: Grace
  readonly graceMs: number
  /** How long after the rotation a retry with its Idempotency-Key is accepted. */
  readonly sameAttemptMs: number
  /** False if the same token is reused for every refresh: the client authenticates or proves a key at each use. */
  readonly rotates: boolean
}

/**
 * Decides by the token alone, before any store call. Returns null if the store must be asked. `validAfter` is epoch milliseconds. Tokens
 * contain whole seconds, and a token of the same second as `validAfter` is rejected.
 */
export function decideByToken(
  token: { readonly createdAtSeconds: number; readonly bound: boolean; readonly familyId: string },
  request: {
    readonly validAfter: number | null
    readonly hasConfirmation: boolean
    /** The family that the request names; undefined for any. */
    readonly familyId: unknown
  },
): Rejected | null {
  if (request.validAfter !== null && token.createdAtSeconds * 1000 < request.validAfter) return reject('superseded')
  if (token.bound && !request.hasConfirmation) return reject('mismatch')
  if (request.familyId !== undefined && request.familyId !== token.familyId) return reject('other_family')
  return null
}

/**
 * The decision table for a presented token. Pure and total: no clock, no randomness, no I/O. The first rule that matches wins. `facts`
 * is null if the store has no such family.
 */
export function decide(facts: null, circumstances: Circumstances, rules: Rules): Rejected
export function decide(facts: Facts | null, circumstances: Circumstances, rules: Rules): Decision
export function decide(
  facts: Facts | null,
  { now, arrivedAt, requestRejection, superseded }: Circumstances,
  rules: Rules,
): Decision {
  if (superseded) return reject('superseded')
  if (facts === null) return reject('unknown')
  // A request that could not have succeeded must not revoke a family: otherwise any client could revoke the families of another.
  if (!facts.sameClient || !facts.sameKey) return reject('mismatch')
  if (facts.revoked) return reject('revoked')
  if (now >= facts.expiresAt) return reject('expired')

  const { relation } = facts
  // `unverifiable` may be the predecessor: a request that other instances reject without revoking must not revoke the family here.
  if (requestRejection !== null && relation !== 'far_ahead' && relation !== 'unrelated') return reject(requestRejection)

  switch (relation) {
    case 'current':
      return mint(rules.rotates ? 'rotated' : 'renewed')
    case 'predecessor':
      return isRetry(facts, arrivedAt, rules) ? mint('retried') : revoke('reuse')
    case 'unverifiable':
      // It may be a retry, and revoking on a guess would sign out legitimate users.
      return isRetry(facts, arrivedAt, rules) ? { kind: 'fault' } : revoke('reuse')
    case 'one_ahead':
      return mint('healed')
    case 'legacy':
      return mint('imported')
    case 'far_ahead':
      return revoke('rollback')
    case 'unrelated':
      // A grandparent inside the grace window is reuse as well: its successor has been used.
      return revoke('reuse')
  }
}

export type RedemptionDecision =
  /** The family starts and its first token is returned, or returned again to the same attempt. */
  { readonly kind: 'mint'; readonly outcome: 'issued' | 'retried' } | Rejected | Revoked

/** Decides by the reservation alone, before any store call. Returns null if the store must be asked. `validAfter` as in `decideByToken`. */
export function decideByReservation(
  { createdAtSeconds, expiresAt }: { readonly createdAtSeconds: number; readonly expiresAt: number },
  request: {
    readonly now: number
    readonly validAfter: number | null
    /** The request comes from the client that the reservation was made for and meets its conditions. */
    readonly matches: boolean
  },
): Rejected | null {
  if (request.now >= expiresAt) return reject('expired')
  if (request.validAfter !== null && createdAtSeconds * 1000 < request.validAfter) return reject('superseded')
  // A wrong proof uses nothing up: otherwise any client could break the sign-in of another.
  return request.matches ? null : reject('mismatch')
}

/** What the record says after a redemption tried to create it. */
export interface RedemptionFacts {
  /** This call created the record. */
  readonly isOwn: boolean
  /** Another call with the same Idempotency-Key created it, its token is unused and can be derived again. */
  readonly sameAttempt: boolean
  readonly revoked: boolean
  readonly expiresAt: number
}

/** The decision table for a reservation, which creates one family: two requests that meet its conditions are two holders of one secret. */
export function decideRedemption(facts: RedemptionFacts, now: number): RedemptionDecision {
  if (facts.revoked) return reject('revoked')
  if (facts.isOwn) return { kind: 'mint', outcome: 'issued' }
  // There is no grace window here: without the key, a retry of the client looks like the first request of an attacker.
  if (facts.sameAttempt) return now >= facts.expiresAt ? reject('expired') : { kind: 'mint', outcome: 'retried' }
  return revoke('reuse')
}

/**
 * Every window is bounded: otherwise an attacker with the token and its Idempotency-Key would be accepted until the client uses the
 * successor. The window starts at the rotation, and a retry does not extend it.
 */
function isRetry({ attempt, rotatedAt }: Facts, arrivedAt: number, rules: Rules): boolean {
  const windowMs = retryWindow(attempt, rules)
  return windowMs > 0 && arrivedAt < rotatedAt + windowMs
}

function retryWindow(attempt: AttemptMatch, { grace, graceMs, sameAttemptMs }: Rules): number {
  if (attempt === 'same') return Math.max(graceMs, sameAttemptMs)
  // Two different attempts come from two holders, or from a client that does not wait for its own first attempt.
  return grace === 'same-attempt' && attempt !== 'unknown' ? 0 : graceMs
}

const mint = (outcome: MintOutcome): Decision => ({ kind: 'mint', outcome })
const reject = (reason: Rejected['reason']): Rejected => ({ kind: 'reject', reason })
const revoke = (reason: Revoked['reason']): Revoked => ({ kind: 'revoke', reason })
