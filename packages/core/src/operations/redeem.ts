import { type Decision, decideByReservation, decideRedemption } from '../decision/decide.js'
import { ConfigurationError } from '../model/errors.js'
import type { FamilyRecord } from '../model/family.js'
import { grantOptions } from '../model/grant.js'
import { MAX_SKEW_MS } from '../model/numbers.js'
import { isSameText } from '../model/same-text.js'
import { assertObject, describeValue } from '../model/validate.js'
import { boolean, integer, optional, type OptionsOf, required, type Resolved, type Rule } from '../options.js'
import type { AuthenticToken } from '../token/authentic-token.js'
import {
  type Binding,
  computeVerifier,
  createFirstToken,
  deriveReservedSeed,
  hashRedemptionKey,
  isIdempotencyKey,
  isSeed,
  type Seed,
} from '../token/derive.js'
import { formatToken } from '../token/format.js'
import { type Context, findRecordKey, type Rejection, toEventFields } from './context.js'
import type { BeforeCommit, Grant } from './contracts.js'
import { createFamily } from './create-family.js'
import { exchangeOptions, isOwnToken, limitAudience, type Presentation, rejectBy, toGrant } from './exchange.js'
import { type HookResult, isWithinRateLimit, runHooks } from './hooks.js'
import type { Reservation } from './reserve.js'

const reservation: Rule<Reservation> = {
  expected: 'a reservation that reserve() returned',
  parse(value, option) {
    assertObject(option, value)
    const given = value as Reservation
    assertObject(`${option}.grant`, given.grant)
    for (const instant of ['issuedAt', 'expiresAt'] as const) {
      if (!Number.isSafeInteger(given[instant]))
        throw new ConfigurationError(
          `${option}.${instant}`,
          `must be epoch milliseconds, got ${describeValue(given[instant])}`,
        )
    }
    return given
  },
}

const redeemOptions = exchangeOptions.extend({
  /** The return value of `reserve`, from a place where it could not be changed. */
  reservation: required(reservation),
  /**
   * True if the request comes from the client, with the proof and for the redirect URI that the reservation was made for. False rejects
   * the request, consumes nothing and revokes nothing.
   */
  matches: required(boolean()),
  /** The family expires at most this much later, such as with its access token if the client receives no refresh token. */
  maxLifetimeSeconds: optional(integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
})

export interface RedeemRequest<Prepared = undefined> extends OptionsOf<typeof redeemOptions> {
  /** Work that may fail, such as signing with a remote service. Called before anything is consumed. */
  readonly beforeCommit?: BeforeCommit<Prepared> | undefined
}

export type RedeemOutcome<Prepared = undefined> =
  | (Grant & {
      readonly ok: true
      readonly outcome: 'issued' | 'retried'
      /** Secret: send it to the client and keep no copy. */
      readonly refreshToken: string
      readonly prepared: Prepared
    })
  | Rejection

/** One presented reservation in one request. */
interface Attempt<Prepared> {
  readonly request: Resolved<(typeof redeemOptions)['fields']>
  readonly beforeCommit: BeforeCommit<Prepared> | undefined
  /** From the reservation; with the key and the nonce of a record they determine the seed of its family. */
  readonly secrets: Seed
  readonly binding: Binding
  /** The first token of the family, if this call creates it. */
  readonly token: AuthenticToken
  /** The record that this call wants to create. */
  readonly record: FamilyRecord
}

/**
 * Creates the family of a reservation, once. Atomic: of concurrent calls one creates it. Any other call that meets the conditions revokes
 * it, unless it is the same attempt. Everything that may fail comes before the single write.
 */
export async function redeem<Prepared>(
  context: Context,
  given: RedeemRequest<Prepared>,
): Promise<RedeemOutcome<Prepared>> {
  const attempt = toAttempt(context, given)
  const { request, record } = attempt
  const rejectWith = (decision: Exclude<Decision, { readonly kind: 'mint' }>, found = record) =>
    rejectBy(context, decision, found, toPresentation(record))

  const early = evaluateReservation(context, attempt)
  if (early !== null) return rejectWith(early)
  const holder = { familyId: record.id, clientId: record.grant.clientId, confirmation: null }
  if (!(await isWithinRateLimit(context, request.checkRateLimit, holder)))
    return rejectWith({ kind: 'reject', reason: 'rate_limited' })
  if (limitAudience(request, record) === null) return rejectWith({ kind: 'reject', reason: 'invalid_target' })

  const hooks = await runRedemptionHooks(context, attempt, record)
  if (hooks.rejection !== null) return rejectWith({ kind: 'reject', reason: hooks.rejection })
  // The hooks may have been slow.
  const late = evaluateReservation(context, attempt)
  if (late !== null) return rejectWith(late)
  const stored = await context.store.create(record, context.now())
  const decision = evaluate(context, attempt, stored)
  if (decision.kind !== 'mint') return rejectWith(decision, stored)
  return decision.outcome === 'issued'
    ? acceptFirst(context, attempt, { stored, hooks })
    : acceptRetry(context, attempt, stored)
}

/** Runs the hooks again, because the family was created by the first attempt and may expire earlier than a new one. */
async function acceptRetry<Prepared>(
  context: Context,
  attempt: Attempt<Prepared>,
  found: FamilyRecord,
): Promise<RedeemOutcome<Prepared>> {
  const hooks = await runRedemptionHooks(context, attempt, found)
  // A retry is valid only while the token that the first attempt received is unused.
  const stored = (await context.store.find(found.id)) ?? found
  const decision =
    hooks.rejection === null
      ? evaluate(context, attempt, stored)
      : ({ kind: 'reject', reason: hooks.rejection } as const)
  if (decision.kind !== 'mint') return rejectBy(context, decision, stored, toPresentation(attempt.record))
  const fields = { at: context.now(), ...toEventFields(stored), generation: 0 }
  context.emit({ type: 'retried', ...fields, by: 'idempotency_key', attempt: 'same' })
  const key = findRecordKey(context, stored.current, 'redeem')
  const refreshToken = formatToken(toFirstToken(context, attempt, stored), context.tokenPrefix, key)
  const grant = toGrant(stored, attempt.request, hooks.claims)
  return { ok: true, outcome: 'retried', refreshToken, prepared: hooks.prepared, ...grant }
}

function acceptFirst<Prepared>(
  context: Context,
  { request, token, record }: Attempt<Prepared>,
  { stored, hooks }: { readonly stored: FamilyRecord; readonly hooks: HookResult<Prepared> },
): RedeemOutcome<Prepared> {
  context.emit({ type: 'issued', at: context.now(), ...toEventFields(stored), offline: stored.grant.offline })
  const refreshToken = formatToken(token, context.tokenPrefix, context.ring.current)
  // From this call's own record: if the driver executed the write twice, the store may return a later one.
  return {
    ok: true,
    outcome: 'issued',
    refreshToken,
    prepared: hooks.prepared,
    ...toGrant(record, request, hooks.claims),
  }
}

function toAttempt<Prepared>(context: Context, given: RedeemRequest<Prepared>): Attempt<Prepared> {
  const request = redeemOptions.parse('redeem', given)
  const { reservation, confirmation, idempotencyKey, maxLifetimeSeconds } = request
  const { subject, clientId, scope, audience, offline, metadata, authTime, acr, amr } = reservation.grant
  const grant = grantOptions.parse(
    'reservation.grant',
    { subject, clientId, scope, audience, offline, metadata, authTime, acr, amr, confirmation },
    'reservation.grant.',
  )
  const secrets = { handle: fromBase64url(reservation.handle), secret: fromBase64url(reservation.secret) }
  if (!isSeed(secrets)) throw new ConfigurationError('reservation', 'must be a reservation that reserve() returned')
  const [now, nonce] = [context.now(), context.nonce()]
  const seed = deriveReservedSeed(secrets, context.ring.current, nonce)
  const record = createFamily(context, {
    grant,
    seed,
    nonce,
    now,
    createdAt: reservation.issuedAt,
    keepUntil: reservation.expiresAt + MAX_SKEW_MS,
    retryKey: isIdempotencyKey(idempotencyKey) ? hashRedemptionKey(seed, idempotencyKey) : null,
  })
  return {
    request,
    beforeCommit: given.beforeCommit,
    secrets,
    binding: grant,
    token: createFirstToken(seed, record.grant),
    record: maxLifetimeSeconds === undefined ? record : expiringBy(now + maxLifetimeSeconds * 1000, record),
  }
}

function expiringBy(end: number, record: FamilyRecord): FamilyRecord {
  const { expiresAt, lifetime } = record
  const absoluteExpiresAt = Math.min(lifetime.absoluteExpiresAt, end)
  return { ...record, lifetime: { ...lifetime, absoluteExpiresAt }, expiresAt: Math.min(expiresAt, end) }
}

function evaluateReservation(context: Context, { request, token, record }: Attempt<unknown>) {
  const { reservation, matches, validAfter } = request
  // The policy's limits may be shorter than the lifetime of the reservation.
  const expiresAt = Math.min(reservation.expiresAt, record.expiresAt)
  const { createdAtSeconds } = token
  return decideByReservation({ createdAtSeconds, expiresAt }, { now: context.now(), validAfter, matches })
}

function runRedemptionHooks<Prepared>(
  context: Context,
  { request, beforeCommit }: Attempt<Prepared>,
  record: FamilyRecord,
): Promise<HookResult<Prepared>> {
  return runHooks(context, {
    record,
    signedInAt: record.grant.createdAt,
    toGrant: (claims) => toGrant(record, request, claims),
    beforeCommit,
  })
}

function evaluate(context: Context, attempt: Attempt<unknown>, stored: FamilyRecord) {
  const { token, binding } = attempt
  const { verifier } = attempt.record.current
  const facts = {
    isOwn: isOwnToken(context.ring, { token, verifier, binding }, stored),
    sameAttempt: isSameAttempt(context, attempt, stored),
    revoked: stored.revocation !== null,
    expiresAt: stored.expiresAt,
  }
  return decideRedemption(facts, context.now())
}

function isSameAttempt(context: Context, attempt: Attempt<unknown>, stored: FamilyRecord): boolean {
  const { retryKey } = attempt.record.current
  const { current } = stored
  if (retryKey === null || current.retryKey === null || current.generation !== 0) return false
  if (!isSameText(retryKey, current.retryKey)) return false
  return isSameText(computeVerifier(toFirstToken(context, attempt, stored), attempt.binding), current.verifier)
}

/** Derives the first token as the call that created the family derived it. */
function toFirstToken(
  context: Context,
  { secrets }: Attempt<unknown>,
  { current, grant }: FamilyRecord,
): AuthenticToken {
  const key = findRecordKey(context, current, 'redeem')
  return createFirstToken(deriveReservedSeed(secrets, key, current.nonce), grant)
}

function toPresentation({ id, grant }: FamilyRecord): Presentation {
  return { operation: 'redeem', familyId: id, clientId: grant.clientId, presentedGeneration: null }
}

function fromBase64url(text: unknown): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text, 'base64url') : new Uint8Array()
}
