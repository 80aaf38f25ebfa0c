import type { Confirmation } from './confirmation.js'
import type { RevocationReason } from './family.js'
import type { Grace } from './policy.js'
import type { AuthenticToken, Relation } from './token.js'

/** What is wrong with a request whose token is in order. It consumes nothing: the same token works in a better request. */
export type Objection =
  /** Asks for more scope than was granted, or breaks the grammar (RFC 6749 section 6). */
  | 'invalid_scope'
  /** Names a resource outside the grant (RFC 8707 section 2). */
  | 'invalid_target'
  /** `beforeRotate` says that the subject may not go on. */
  | 'inactive'
  /** `admit` says that there were too many requests for this family. */
  | 'rate_limited'
  /** The caller expected another family than the token's. */
  | 'other_family'

/** Why a refresh was refused. On the wire all of them but `declined` are one and the same `invalid_grant`. */
export type RefusalReason =
  /** Not a token of ours: shape, spelling or tag. */
  | 'malformed'
  /** Made under a secret that is not, or no longer, in the ring. */
  | 'unknown_key'
  /** Created before the `validAfter` of its client or subject. */
  | 'superseded'
  /** No such family in the store. */
  | 'unknown'
  /** Another client, another key, or no proof of the key. */
  | 'mismatch'
  | 'revoked'
  | 'expired'
  /** The token is in order, the request is not: see `objection`. */
  | 'declined'
  /** The store had fallen back by more than one rotation; the family is now ended. */
  | 'lost'
  /** A token that had been rotated away came back; the family is now ended. */
  | 'reuse'

export type Decision =
  | { readonly kind: 'mint'; readonly outcome: MintOutcome }
  | { readonly kind: 'refuse'; readonly reason: Exclude<RefusalReason, 'declined' | 'lost' | 'reuse'> }
  | { readonly kind: 'decline'; readonly objection: Objection }
  | { readonly kind: 'end'; readonly reason: 'lost' | 'reuse'; readonly revocation: RevocationReason }
  | { readonly kind: 'fault' }

/** How a refresh succeeded. */
export type MintOutcome =
  /** The current token was exchanged for its successor. */
  | 'rotated'
  /** The current token stays; the idle limit starts again. */
  | 'renewed'
  /** The direct predecessor came again and received the successor that it had been given before. */
  | 'retried'
  /** The store had lost one rotation; the family goes on from the token that its holder has. */
  | 'healed'
  /** Another system's token was exchanged for the first one of a new family. */
  | 'imported'

/** How the Idempotency-Key of a request compares with that of the record's last rotation. */
export type AttemptMatch =
  /** Both carry the same key: the client repeats one attempt. */
  | 'same'
  /** The request carries a key that is not the rotation's: another attempt. */
  | 'other'
  /** The rotation carried a key and the request carries none: another attempt. */
  | 'without_key'
  /** Neither carries a key: whether it is the same attempt cannot be told. */
  | 'unknown'

/** What the presented token and the record say together; computed in token.ts, judged here. Instants are epoch milliseconds. */
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
  /** When the request came in: a retry that came in time is one, however slow the store or the app's own work is. */
  readonly arrivedAt: number
  readonly objection: Objection | null
  /** The family is older than its subject's `validAfter`. */
  readonly superseded: boolean
}

export interface Rules {
  /** Which requests the grace window accepts besides the same attempt. */
  readonly grace: Grace
  readonly graceMs: number
  /** How long after the rotation a retry with its Idempotency-Key is accepted. */
  readonly sameAttemptMs: number
  /** False where the same token may be used again and again: the client authenticates or proves a key at each use. */
  readonly rotates: boolean
}

/**
 * What a token alone is refused for, before any store call; null lets it pass. `validAfter` is epoch milliseconds. Tokens carry
 * whole seconds, and a token from the very second of `validAfter` is refused: the doubt goes to safety.
 */
export function admit(
  token: Pick<AuthenticToken, 'createdAtSeconds' | 'bound' | 'familyId'>,
  request: {
    readonly validAfter: number | null
    readonly confirmation: Confirmation | null
    /** The family that the caller believes the token to be of; undefined for whichever it is. */
    readonly familyId: string | undefined
  },
): Decision | null {
  if (request.validAfter !== null && token.createdAtSeconds * 1000 < request.validAfter) return refuse('superseded')
  if (token.bound && request.confirmation === null) return refuse('mismatch')
  if (request.familyId !== undefined && request.familyId !== token.familyId) return decline('other_family')
  return null
}

/**
 * The decision table: what a presented token earns, given what the store holds. Pure and total: no clock, no randomness, no I/O.
 * The first rule that matches wins. `facts` is null when the store has no such family.
 */
export function decide(
  facts: Facts | null,
  { now, arrivedAt, objection, superseded }: Circumstances,
  rules: Rules,
): Decision {
  if (superseded) return refuse('superseded')
  if (facts === null) return refuse('unknown')
  // A replay that could not have succeeded must not end a family: else any client could end any other's.
  if (!facts.sameClient || !facts.sameKey) return refuse('mismatch')
  if (facts.revoked) return refuse('revoked')
  if (now >= facts.expiresAt) return refuse('expired')

  const { relation } = facts
  // `unverifiable` may be the predecessor: whatever is declined elsewhere must not end the family here.
  if (objection !== null && relation !== 'far_ahead' && relation !== 'stranger') return decline(objection)

  switch (relation) {
    case 'current':
      return mint(rules.rotates ? 'rotated' : 'renewed')
    case 'predecessor':
      return isRetry(facts, arrivedAt, rules) ? mint('retried') : end('reuse', 'reuse')
    case 'unverifiable':
      // Whether it is a retry cannot be told here, and ending a family on a guess would sign out honest people.
      return isRetry(facts, arrivedAt, rules) ? { kind: 'fault' } : end('reuse', 'reuse')
    case 'one_ahead':
      return mint('healed')
    case 'foreign':
      return mint('imported')
    case 'far_ahead':
      return end('lost', 'rollback')
    case 'stranger':
      // A grandparent inside the grace window is reuse as well: its successor has been used.
      return end('reuse', 'reuse')
  }
}

/** Any no. */
export type Denial = Extract<Decision, { readonly kind: 'refuse' | 'decline' | 'end' }>

export type Redemption =
  /** The family begins, and its first token is handed out; or handed out again, to the same attempt. */
  { readonly kind: 'mint'; readonly outcome: 'issued' | 'retried' } | Denial

/** What a reservation is refused for before any store call; null lets it pass. `validAfter` as in `admit`. */
export function admitRedemption(
  { createdAtSeconds, expiresAt }: { readonly createdAtSeconds: number; readonly expiresAt: number },
  request: {
    readonly now: number
    readonly validAfter: number | null
    /** The request is the one that the reservation was made for: its client, and whatever else was agreed. */
    readonly matches: boolean
  },
): Denial | null {
  if (request.now >= expiresAt) return refuse('expired')
  if (request.validAfter !== null && createdAtSeconds * 1000 < request.validAfter) return refuse('superseded')
  // Whoever comes with the wrong proof has consumed nothing: else any client could spoil any other's sign-in.
  return request.matches ? null : refuse('mismatch')
}

/** What the record says that stands after a redemption tried to create it. */
export interface RedemptionFacts {
  /** It is this call's. */
  readonly isOurs: boolean
  /** It is still as another call with the same Idempotency-Key made it, and that call's token can be computed again. */
  readonly sameAttempt: boolean
  readonly revoked: boolean
  readonly expiresAt: number
}

/** A reservation is good for one family: two that come with everything that it takes are two holders of one secret. */
export function decideRedemption(facts: RedemptionFacts, now: number): Redemption {
  if (facts.revoked) return refuse('revoked')
  if (facts.isOurs) return { kind: 'mint', outcome: 'issued' }
  // There is no bare grace here: without the key, nothing tells the owner's second try from a thief's first.
  if (facts.sameAttempt) return now >= facts.expiresAt ? refuse('expired') : { kind: 'mint', outcome: 'retried' }
  return end('reuse', 'reuse')
}

/**
 * Every window is bounded: without a bound, a second holder of the token and of its Idempotency-Key would be accepted until the owner
 * uses the successor. The window opens at the rotation, and a retry never moves it.
 */
function isRetry({ attempt, rotatedAt }: Facts, arrivedAt: number, rules: Rules): boolean {
  const windowMs = windowOf(attempt, rules)
  return windowMs > 0 && arrivedAt < rotatedAt + windowMs
}

function windowOf(attempt: AttemptMatch, { grace, graceMs, sameAttemptMs }: Rules): number {
  if (attempt === 'same') return Math.max(graceMs, sameAttemptMs)
  // Two attempts that can be told apart have two holders, or one that does not wait for its own first attempt.
  return grace === 'same-attempt' && attempt !== 'unknown' ? 0 : graceMs
}

type Refusal = Extract<Decision, { kind: 'refuse' }>

const mint = (outcome: MintOutcome): Decision => ({ kind: 'mint', outcome })
const refuse = (reason: Refusal['reason']): Refusal => ({ kind: 'refuse', reason })
const decline = (objection: Objection): Extract<Decision, { kind: 'decline' }> => ({ kind: 'decline', objection })
const end = (reason: 'lost' | 'reuse', revocation: RevocationReason): Extract<Decision, { kind: 'end' }> => ({
  kind: 'end',
  reason,
  revocation,
})
