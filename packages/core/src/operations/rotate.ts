import {
  type Decision,
  decide,
  decideByToken,
  type MintOutcome,
  type Rejected,
  type RequestRejectionReason,
} from '../decision/decide.js'
import { expiryAt, type FamilyRecord } from '../model/family.js'
import { FIRST_PARTY } from '../model/grant.js'
import { rotates, rotation } from '../model/policy.js'
import { isWithin, parseScope } from '../model/scope.js'
import { boolean, optional, type OptionsOf, required, type Resolved, text, untrusted, withDefault } from '../options.js'
import { createFirstToken, hashRetryKey, isIdempotencyKey } from '../token/derive.js'
import { type Context, fault, reject, type Rejection, toEventFields } from './context.js'
import { type BeforeCommit, type Grant, tokenOriginOptions } from './contracts.js'
import {
  compareWithRecord,
  exchangeOptions,
  limitAudience,
  matchAttempt,
  type Presentation,
  type Presented,
  rejectBy,
  toGrant,
  toList,
} from './exchange.js'
import { type HookResult, isWithinRateLimit, runHooks, withoutHooks } from './hooks.js'
import { notifyMigrated, readToken } from './legacy-token.js'
import { buildSwap, deriveRetry, isOwnWrite, type Swap } from './swap.js'

const MAX_SWAPS = 3

const rotateOptions = exchangeOptions.extend({
  ...tokenOriginOptions.fields,
  /** The token as the client sent it. A value of any other type is rejected as `malformed`. */
  refreshToken: required(untrusted<string>()),
  /** The client of the request, authenticated as its type requires. Default `first-party`. */
  clientId: withDefault(text(), FIRST_PARTY),
  /** True if the client authenticated in this request. */
  confidential: withDefault(boolean(), false),
  /** Limits the scope of this response (RFC 6749 section 6); empty or absent for the whole granted scope. */
  scope: optional(untrusted<string>()),
  /** The family that the caller expects the token to belong to. A token of another family is rejected as `other_family`. */
  familyId: optional(untrusted<string>()),
  /** Overrides the policy for this client. */
  rotation: optional(rotation),
})

export interface RotateRequest<Prepared = undefined> extends OptionsOf<typeof rotateOptions> {
  /** Work that may fail, such as signing with a remote service. Called before the token is consumed. Costs one additional read. */
  readonly beforeCommit?: BeforeCommit<Prepared> | undefined
}

export type RotateOutcome<Prepared = undefined> =
  | (Grant & {
      readonly ok: true
      readonly outcome: MintOutcome
      /** Secret: send it to the client and keep no copy. Identical for every retry of the same rotation. */
      readonly refreshToken: string
      readonly prepared: Prepared
    })
  | Rejection

/** One presented token in one request. */
interface Attempt<Prepared> extends Presented {
  readonly refreshToken: string
  readonly request: Resolved<(typeof rotateOptions)['fields']>
  readonly beforeCommit: BeforeCommit<Prepared> | undefined
  readonly arrivedAt: number
  /** False if the response contains the same refresh token, and only the expiry of the family changes. */
  readonly rotates: boolean
  /** Null for a syntax error; empty for the whole granted scope. */
  readonly scope: readonly string[] | null
}

/**
 * Exchanges a refresh token for its successor. Makes one store call in the common case. Reads the record first only if a hook runs or the
 * request limits the scope or the audience.
 */
export async function rotate<Prepared>(
  context: Context,
  given: RotateRequest<Prepared>,
): Promise<RotateOutcome<Prepared>> {
  const request = rotateOptions.parse('rotate', given)
  const { clientId, confirmation, familyId: expectedFamilyId, validAfter } = request
  const arrivedAt = context.now()
  const presented = await readToken(context, request.refreshToken, request.legacyOnly)
  if (presented.kind !== 'authentic') return reject(context, { reason: presented.kind, familyId: null, clientId })
  const { token, legacy } = presented
  const { familyId } = token
  const createdAtSeconds = legacy === null ? token.createdAtSeconds : Math.floor(legacy.signedInAt / 1000)
  const rejected = decideByToken(
    { createdAtSeconds, familyId, bound: token.bound },
    { validAfter, familyId: expectedFamilyId, hasConfirmation: confirmation !== null },
  )
  if (rejected !== null) return reject(context, { reason: rejected.reason, familyId, clientId })
  const holder = { familyId, clientId, confirmation: token.bound ? confirmation : null }
  if (!(await isWithinRateLimit(context, request.checkRateLimit, holder)))
    return reject(context, { reason: 'rate_limited', familyId, clientId })
  const attempt = toAttempt(context, { request, beforeCommit: given.beforeCommit, token, legacy, arrivedAt })
  if (needsRecord(context, attempt)) return swapAfterHooks(context, attempt)
  if (legacy === null) return swapDirectly(context, attempt)
  return swapUntilDecided(context, attempt, { record: legacy.record, hooks: withoutHooks(), swapsLeft: MAX_SWAPS })
}

/** Returns true if a hook runs or if the request limits the scope or audience: both need the record before the swap. */
function needsRecord({ beforeRotate }: Context, { request, beforeCommit }: Attempt<unknown>): boolean {
  if (beforeRotate !== undefined || beforeCommit !== undefined) return true
  return (request.scope ?? '') !== '' || toList(request.audience).length > 0
}

/** Swaps without reading first: the store compares the verifier. */
async function swapDirectly<Prepared>(context: Context, attempt: Attempt<Prepared>): Promise<RotateOutcome<Prepared>> {
  const swap = buildSwap(context, attempt, attempt.rotates ? 'rotated' : 'renewed')
  const hooks = withoutHooks<Prepared>()
  const record = await context.store.rotate(swap.command)
  if (record !== null && isOwnWrite(context, attempt, swap, record))
    return accept(context, attempt, { ...swap, record, hooks, generation: swap.token.generation })
  return swapUntilDecided(context, attempt, { record, hooks, swapsLeft: MAX_SWAPS - 1 })
}

/** Reads the record, runs the hooks if the token would be accepted, then swaps. */
async function swapAfterHooks<Prepared>(
  context: Context,
  attempt: Attempt<Prepared>,
): Promise<RotateOutcome<Prepared>> {
  const { token, legacy, beforeCommit } = attempt
  const stored = legacy?.record ?? (await context.store.find(token.familyId))
  const evaluation = evaluate(context, attempt, stored, withoutHooks())
  if (evaluation.record === null)
    return reject(context, { ...toPresentation(attempt), reason: evaluation.decision.reason })
  const { record, decision } = evaluation
  if (decision.kind !== 'mint') return rejectBy(context, decision, record, toPresentation(attempt))
  const isRetry = decision.outcome === 'retried'
  // All outcomes except a retry set a new idle expiry, which also limits the lifetime of the access token.
  const committed = isRetry ? record : { ...record, expiresAt: expiryAt(context.now(), record.lifetime) }
  const hooks = await runHooks(context, {
    record,
    signedInAt: legacy?.signedInAt ?? record.grant.createdAt,
    toGrant: (claims) => toGrant(committed, toNarrowing(attempt), claims),
    beforeCommit,
  })
  // Hooks may be slow, and a retry is valid only while its successor is unused.
  const current = isRetry ? await context.store.find(token.familyId) : record
  return swapUntilDecided(context, attempt, { record: current, hooks, swapsLeft: MAX_SWAPS })
}

interface SwapRound<Prepared> {
  readonly record: FamilyRecord | null
  readonly hooks: HookResult<Prepared>
  readonly swapsLeft: number
}

/** Decides by the record and swaps. If another call wins the swap, decides again by the record that the store returned. */
async function swapUntilDecided<Prepared>(
  context: Context,
  attempt: Attempt<Prepared>,
  { record: stored, hooks, swapsLeft }: SwapRound<Prepared>,
): Promise<RotateOutcome<Prepared>> {
  const evaluation = evaluate(context, attempt, stored, hooks)
  if (evaluation.record === null)
    return reject(context, { ...toPresentation(attempt), reason: evaluation.decision.reason })
  const { record, decision } = evaluation
  if (decision.kind !== 'mint') return rejectBy(context, decision, record, toPresentation(attempt))
  if (decision.outcome === 'retried')
    return accept(context, attempt, { record, hooks, ...deriveRetry(context, attempt.token, record) })
  if (swapsLeft === 0) {
    const message = `another caller won every swap of family ${attempt.token.familyId}`
    throw fault(context, { code: 'contended', operation: 'rotate', message })
  }
  const swap = buildSwap(context, attempt, decision.outcome, record)
  const written = await write(context, attempt, swap)
  const next = afterCreation(context, attempt, written)
  if (written !== null && isOwnWrite(context, next, swap, written))
    return accept(context, next, { ...swap, record: written, hooks, generation: swap.token.generation })
  return swapUntilDecided(context, next, { record: written, hooks, swapsLeft: swapsLeft - 1 })
}

/** Writes a swap. The first swap of a legacy token creates the family at generation 1. */
function write({ store }: Context, { legacy }: Attempt<unknown>, { command }: Swap): Promise<FamilyRecord | null> {
  const { next, now } = command
  if (legacy === null || legacy.isStored || next === null) return store.rotate(command)
  return store.create({ ...legacy.record, current: next, expiresAt: expiryAt(now, legacy.record.lifetime) }, now)
}

/** The call that created the family of a legacy token set its `createdAt`, which the token does not contain. */
function afterCreation<Prepared>(context: Context, attempt: Attempt<Prepared>, record: FamilyRecord | null) {
  const { legacy } = attempt
  if (legacy === null || legacy.isStored || record === null) return attempt
  const token = createFirstToken(legacy.seed, record.grant)
  return toAttempt(context, { ...attempt, token, legacy: { ...legacy, token, record, isStored: true } })
}

function toAttempt<Prepared>(
  { policy }: Context,
  given: Pick<Attempt<Prepared>, 'request' | 'beforeCommit' | 'token' | 'legacy' | 'arrivedAt'>,
): Attempt<Prepared> {
  const { request, beforeCommit, token, legacy, arrivedAt } = given
  const { clientId, confidential, idempotencyKey } = request
  // With the token of an unbound family, a proof binds the access token and not the family.
  const confirmation = token.bound ? request.confirmation : null
  return {
    request,
    refreshToken: String(request.refreshToken),
    beforeCommit,
    token,
    legacy,
    arrivedAt,
    binding: { clientId, confirmation },
    retryKey: isIdempotencyKey(idempotencyKey) ? hashRetryKey(token, idempotencyKey) : null,
    rotates: rotates(request.rotation ?? policy.rotation, { confidential, confirmation }),
    scope: parseScope(request.scope ?? ''),
  }
}

type Evaluation =
  | { readonly record: null; readonly decision: Rejected }
  | { readonly record: FamilyRecord; readonly decision: Decision }

/** Decides by the record; without one, the request is always rejected. */
function evaluate(
  context: Context,
  attempt: Attempt<unknown>,
  record: FamilyRecord | null,
  { rejection }: HookResult<unknown>,
): Evaluation {
  const rules = { ...context.policy, rotates: attempt.rotates }
  const circumstances = {
    now: context.now(),
    arrivedAt: attempt.arrivedAt,
    requestRejection: (record && findRejection(attempt, record)) ?? (rejection === 'inactive' ? rejection : null),
    superseded: rejection === 'superseded',
  }
  if (record === null) return { record, decision: decide(null, circumstances, rules) }
  return { record, decision: decide(compareWithRecord(context, attempt, record), circumstances, rules) }
}

/** The scope and audience of a response may be narrower than those of the grant, never wider (RFC 6749 section 6, RFC 8707 section 2.2). */
function findRejection({ request, scope }: Attempt<unknown>, record: FamilyRecord): RequestRejectionReason | null {
  if (scope === null || !isWithin(scope, record.grant.scope.split(' '))) return 'invalid_scope'
  return limitAudience(request, record) === null ? 'invalid_target' : null
}

function toNarrowing({ request, scope }: Attempt<unknown>) {
  return { scope, audience: request.audience, defaultAudience: request.defaultAudience }
}

function toPresentation({ request, token }: Attempt<unknown>): Presentation {
  const { familyId, generation } = token
  return { operation: 'rotate', familyId, clientId: request.clientId, presentedGeneration: generation }
}

/** Emits the event of a success and returns the outcome. */
function accept<Prepared>(
  context: Context,
  attempt: Attempt<Prepared>,
  minted: Pick<Swap, 'outcome' | 'refreshToken'> & {
    readonly record: FamilyRecord
    readonly hooks: HookResult<Prepared>
    readonly generation: number
  },
): RotateOutcome<Prepared> {
  const { record, hooks, outcome, generation, refreshToken } = minted
  const fields = { at: context.now(), ...toEventFields(record), generation }
  if (outcome === 'retried') {
    const match = matchAttempt(attempt, record)
    const by = match === 'same' ? 'idempotency_key' : 'grace'
    context.emit({ type: outcome, ...fields, by, attempt: match })
  } else context.emit({ type: outcome, ...fields })
  if (attempt.legacy !== null) notifyMigrated(context, attempt.legacy, record)
  const grant = toGrant(record, toNarrowing(attempt), hooks.claims)
  return { ok: true, outcome, refreshToken, prepared: hooks.prepared, ...grant }
}
