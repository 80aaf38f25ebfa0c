import { askTheApp, type Grant, type Prepare, type Work } from './app.js'
import type { Confirmation } from './confirmation.js'
import { admitRedemption, decideRedemption, type Denial, type Objection, type Redemption } from './decide.js'
import { demandBoolean, demandFunction, demandInstant, demandName, demandObject, shown } from './demand.js'
import { callHook, type Engine, fault, keyMissing, namesOf } from './engine.js'
import { ConfigurationError } from './errors.js'
import { type FamilyRecord, toFamily } from './family.js'
import { checkGrant, newFamily } from './issue.js'
import type { Key } from './keys.js'
import { MAX_SKEW_MS } from './numbers.js'
import type { Reservation } from './reserve.js'
import { narrowAudience } from './resource.js'
import { endFamily } from './revoke.js'
import { listOf, type Refused, type TokenHolder } from './rotate.js'
import { sameText } from './same-text.js'
import {
  type AuthenticToken,
  type Binding,
  countsAsAttempt,
  firstToken,
  formatToken,
  isSeed,
  redemptionKeyOf,
  relationOf,
  reservedSeed,
  type Seed,
  verifierOf,
} from './token.js'

export interface RedeemRequest<Prepared = undefined> {
  /** As `reserve` gave it, from where nobody could change it. */
  readonly reservation: Reservation
  /**
   * The request comes from the client, with the proof and for the place that the reservation was made for. False refuses, consumes
   * nothing and ends nothing.
   */
  readonly matches: boolean
  /** The key that every later request of the family must prove: `{ jkt }` or `{ 'x5t#S256' }`. */
  readonly confirmation?: Confirmation | null
  /** As in `rotate`: the same attempt, made again, gets the same token for as long as nobody has used it. */
  readonly idempotencyKey?: string | null
  /** Narrows this answer to some of the granted resources (RFC 8707 section 2.2). */
  readonly audience?: readonly string[]
  /** As in `rotate`: the resource that a grant without an audience covers. */
  readonly defaultAudience?: string | undefined
  /** Reservations made before this instant (epoch milliseconds) are refused. */
  readonly validAfter?: number | null
  /** Ends the family that much after now at the latest: where nobody gets its refresh token, it ends with its access token. */
  readonly mostSeconds?: number
  /** Called before the store is called, and only if the request matches: false declines as rate limited. */
  readonly admit?: (holder: TokenHolder) => Promise<boolean>
  /** Work that may fail. Runs before anything is consumed. */
  readonly prepare?: Prepare<Prepared>
}

export type RedeemOutcome<Prepared = undefined> =
  | (Grant & {
      readonly ok: true
      readonly outcome: 'issued' | 'retried'
      /** A secret: give it to the client and keep no copy. */
      readonly refreshToken: string
      readonly prepared: Prepared
    })
  | Refused

/** One presented reservation in one request, and what it makes of it. */
interface Attempt<Prepared> {
  readonly request: RedeemRequest<Prepared>
  /** Of the reservation; with key and nonce of a record they are the seed of its family. */
  readonly secrets: Seed
  readonly binding: Binding
  /** The first token of the family, if it is this call that begins it. */
  readonly token: AuthenticToken
  /** The record that this call would like to stand. */
  readonly record: FamilyRecord
}

/**
 * Begins the family that was reserved, once. Atomic: of concurrent calls one begins it, and any other that has all it takes ends it,
 * unless it is the same attempt. Everything that may fail comes before the one write.
 */
export async function redeem<Prepared>(
  engine: Engine,
  request: RedeemRequest<Prepared>,
): Promise<RedeemOutcome<Prepared>> {
  const attempt = attemptOf(engine, request)
  const { familyId } = attempt.token
  const early = admission(engine, attempt)
  if (early !== null) return deny(engine, attempt, early)
  const { admit: mayTry } = request
  const holder = { familyId, clientId: attempt.record.grant.clientId, confirmation: null }
  if (mayTry !== undefined && !(await callHook(engine, 'admit', () => mayTry(holder))))
    return deny(engine, attempt, decline('rate_limited'))
  if (audienceOf(request, attempt.record) === null) return deny(engine, attempt, decline('invalid_target'))

  const work = await ask(engine, attempt, attempt.record)
  // The app may have taken its time.
  const late = objectionOf(work) ?? admission(engine, attempt)
  if (late !== null) return deny(engine, attempt, late)
  const stored = await engine.store.create(attempt.record, engine.now())
  const decision = judge(engine, attempt, stored)
  if (decision.kind !== 'mint') return deny(engine, attempt, decision, stored)
  if (decision.outcome === 'issued') return issued(engine, attempt, { stored, work })
  return retry(engine, attempt, stored)
}

/** What was prepared was for a family that begins now; this one began with the first try, and may end sooner. */
async function retry<Prepared>(
  engine: Engine,
  attempt: Attempt<Prepared>,
  record: FamilyRecord,
): Promise<RedeemOutcome<Prepared>> {
  const work = await ask(engine, attempt, record)
  // A retry is good only while nobody has used the token that the first try was given.
  const stored = (await engine.store.find(record.id)) ?? record
  const decision = objectionOf(work) ?? judge(engine, attempt, stored)
  if (decision.kind !== 'mint') return deny(engine, attempt, decision, stored)
  engine.emit({
    type: 'retried',
    at: engine.now(),
    ...namesOf(stored),
    generation: 0,
    by: 'idempotency_key',
    attempt: 'same',
  })
  const refreshToken = formatToken(tokenIn(engine, attempt, stored), engine.tokenPrefix, keyOf(engine, stored))
  return { ok: true, outcome: 'retried', refreshToken, prepared: work.prepared, ...grantOf(attempt, stored, work) }
}

function issued<Prepared>(
  engine: Engine,
  attempt: Attempt<Prepared>,
  { stored, work }: { readonly stored: FamilyRecord; readonly work: Work<Prepared> },
): RedeemOutcome<Prepared> {
  engine.emit({ type: 'issued', at: engine.now(), ...namesOf(stored), offline: stored.grant.offline })
  // From this call's own record: a driver that came twice may show a later one.
  const { record, token } = attempt
  const refreshToken = formatToken(token, engine.tokenPrefix, engine.ring.current)
  return { ok: true, outcome: 'issued', refreshToken, prepared: work.prepared, ...grantOf(attempt, record, work) }
}

function attemptOf<Prepared>(engine: Engine, request: RedeemRequest<Prepared>): Attempt<Prepared> {
  checkRequest(request)
  const { reservation, confirmation = null, idempotencyKey = null, mostSeconds } = request
  const grant = checkGrant('reservation.grant', { ...reservation.grant, confirmation })
  const secrets = { handle: bytesOf(reservation.handle), secret: bytesOf(reservation.secret) }
  if (!isSeed(secrets)) throw new ConfigurationError('reservation', 'is not one that reserve() returned')
  const [now, nonce] = [engine.now(), engine.nonce()]
  const seed = reservedSeed(secrets, engine.ring.current, nonce)
  const begun = newFamily(engine, {
    grant,
    seed,
    nonce,
    now,
    createdAt: reservation.issuedAt,
    keepUntil: reservation.expiresAt + MAX_SKEW_MS,
    retryKey: countsAsAttempt(idempotencyKey) ? redemptionKeyOf(seed, idempotencyKey) : null,
  })
  const record = mostSeconds === undefined ? begun : endingBy(now + mostSeconds * 1000, begun)
  return { request, secrets, binding: grant, token: firstToken(seed, record.grant), record }
}

function endingBy(end: number, record: FamilyRecord): FamilyRecord {
  const { expiresAt, lifetime } = record
  const absoluteExpiresAt = Math.min(lifetime.absoluteExpiresAt, end)
  return { ...record, lifetime: { ...lifetime, absoluteExpiresAt }, expiresAt: Math.min(expiresAt, end) }
}

/** Checks what the program says; what the other side sent has been sealed by us, or is declined. */
function checkRequest(request: RedeemRequest<unknown>): void {
  demandObject('redeem', request)
  const { reservation, matches, defaultAudience, validAfter, mostSeconds, admit, prepare } = request
  demandObject('reservation', reservation)
  demandObject('reservation.grant', reservation.grant)
  for (const instant of ['issuedAt', 'expiresAt'] as const) {
    if (!Number.isSafeInteger(reservation[instant]))
      throw new ConfigurationError(
        `reservation.${instant}`,
        `must be epoch milliseconds, got ${shown(reservation[instant])}`,
      )
  }
  demandBoolean('matches', matches)
  if (defaultAudience !== undefined) demandName('defaultAudience', defaultAudience)
  demandInstant('validAfter', validAfter)
  if (mostSeconds !== undefined && !(Number.isInteger(mostSeconds) && mostSeconds >= 1))
    throw new ConfigurationError('mostSeconds', `${shown(mostSeconds)} is not a whole number of seconds from 1`)
  demandFunction('admit', admit)
  demandFunction('prepare', prepare)
}

function admission(engine: Engine, { request, token, record }: Attempt<unknown>): Denial | null {
  const { reservation, matches, validAfter = null } = request
  // A policy may end families sooner than reservations.
  const expiresAt = Math.min(reservation.expiresAt, record.expiresAt)
  return admitRedemption({ ...token, expiresAt }, { now: engine.now(), validAfter, matches })
}

function ask<Prepared>(engine: Engine, attempt: Attempt<Prepared>, record: FamilyRecord): Promise<Work<Prepared>> {
  return askTheApp(engine, {
    record,
    signedInAt: record.grant.createdAt,
    ahead: record,
    grantOf: (family, claims) => grantOf(attempt, family, { claims }),
    prepare: attempt.request.prepare,
  })
}

function objectionOf({ superseded, objection }: Work<unknown>): Denial | null {
  if (superseded) return { kind: 'refuse', reason: 'superseded' }
  return objection === null ? null : decline(objection)
}

function judge(engine: Engine, attempt: Attempt<unknown>, stored: FamilyRecord): Redemption {
  const facts = {
    isOurs: isOurs(engine, attempt, stored),
    sameAttempt: isSameAttempt(engine, attempt, stored),
    revoked: stored.revocation !== null,
    expiresAt: stored.expiresAt,
  }
  return decideRedemption(facts, engine.now())
}

/** Recognises this call's own write, also when the driver sent it twice and its token has been used in between. */
function isOurs({ ring }: Engine, { token, record, binding }: Attempt<unknown>, stored: FamilyRecord): boolean {
  return (
    sameText(stored.current.verifier, record.current.verifier) ||
    relationOf(token, stored, ring, binding) === 'predecessor'
  )
}

function isSameAttempt(engine: Engine, attempt: Attempt<unknown>, stored: FamilyRecord): boolean {
  const { retryKey } = attempt.record.current
  const { current } = stored
  if (retryKey === null || current.retryKey === null || current.generation !== 0) return false
  if (!sameText(retryKey, current.retryKey)) return false
  return sameText(verifierOf(tokenIn(engine, attempt, stored), attempt.binding), current.verifier)
}

/** The first token as the call made it that began the family. */
function tokenIn(engine: Engine, { secrets }: Attempt<unknown>, stored: FamilyRecord): AuthenticToken {
  return firstToken(reservedSeed(secrets, keyOf(engine, stored), stored.current.nonce), stored.grant)
}

function keyOf(engine: Engine, { current: { keyId } }: FamilyRecord): Key {
  const key = engine.ring.find(keyId)
  if (key === undefined) throw fault(engine, 'record_key_missing', 'redeem', keyMissing({ keyId }))
  return key
}

function grantOf(
  { request }: Attempt<unknown>,
  record: FamilyRecord,
  { claims }: Pick<Work<unknown>, 'claims'>,
): Grant {
  const { scope, audience } = record.grant
  return { family: toFamily(record), scope, audience: audienceOf(request, record) ?? audience, claims }
}

function audienceOf({ audience, defaultAudience }: RedeemRequest<unknown>, record: FamilyRecord) {
  return narrowAudience(listOf(audience), { granted: record.grant.audience, defaultAudience })
}

const decline = (objection: Objection): Denial => ({ kind: 'decline', objection })

/** `stored` is the family as the store has it, if the store was asked. */
async function deny(
  engine: Engine,
  { record }: Attempt<unknown>,
  decision: Denial,
  stored: FamilyRecord = record,
): Promise<Refused> {
  const { familyId, clientId } = namesOf(record)
  const at = engine.now()
  switch (decision.kind) {
    case 'decline': {
      const { objection } = decision
      engine.emit({ type: 'refused', at, reason: 'declined', objection, familyId, clientId })
      return { ok: false, reason: 'declined', objection }
    }
    case 'refuse':
      return refused(engine, record, decision.reason)
    case 'end': {
      const { byThisCall } = await endFamily(engine, stored, {
        reason: decision.revocation,
        report(ended, doubt) {
          const { generation } = ended.current
          engine.emit({ type: 'reuse', at, ...namesOf(ended), generation, presentedGeneration: null, ...doubt })
        },
      })
      // Another call ended it first, and reported that.
      return byThisCall ? { ok: false, reason: 'reuse' } : refused(engine, record, 'revoked')
    }
  }
}

function refused(engine: Engine, record: FamilyRecord, reason: Exclude<Refused['reason'], 'declined'>): Refused {
  const { familyId, clientId } = namesOf(record)
  engine.emit({ type: 'refused', at: engine.now(), reason, objection: null, familyId, clientId })
  return { ok: false, reason }
}

function bytesOf(text: unknown): Uint8Array {
  return typeof text === 'string' ? Buffer.from(text, 'base64url') : new Uint8Array()
}
