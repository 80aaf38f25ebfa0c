import { askTheApp, type Grant, nothingToAsk, type Prepare, type Question, type Work } from './app.js'
import { assertConfirmation, type Confirmation, sameConfirmation } from './confirmation.js'
import {
  admit,
  type AttemptMatch,
  type Circumstances,
  type Decision,
  decide,
  type Facts,
  type MintOutcome,
  type Objection,
  type RefusalReason,
} from './decide.js'
import { demandBoolean, demandFunction, demandInstant, demandName, demandObject, demandOneOf } from './demand.js'
import { callHook, type Engine, fault, keyMissing, namesOf } from './engine.js'
import { expiryAt, type FamilyId, type FamilyRecord, toFamily } from './family.js'
import { type Newcomer, readToken, tellMoved, type TokenOrigin } from './foreign.js'
import { FIRST_PARTY } from './issue.js'
import { rotates, ROTATIONS, type Rotation } from './policy.js'
import { narrowAudience } from './resource.js'
import { endFamily, reportRevoked } from './revoke.js'
import { sameText } from './same-text.js'
import { isWithin, parseScope } from './scope.js'
import type { RotateCommand } from './store.js'
import {
  type AuthenticToken,
  type Binding,
  countsAsAttempt,
  firstToken,
  formatToken,
  relationOf,
  retryKeyOf,
  successorOf,
  verifierOf,
} from './token.js'

const MOST_SWAPS = 3

export interface RotateRequest<Prepared = undefined> extends TokenOrigin {
  readonly refreshToken: string
  /** The client that asks, authenticated as far as its kind demands. Default `first-party`. */
  readonly clientId?: string | undefined
  /** The client proved who it is in this very request. */
  readonly confidential?: boolean | undefined
  /** The key that this request proved, `{ jkt }` or `{ 'x5t#S256' }`. Ignored for a family that is bound to none. */
  readonly confirmation?: Confirmation | null | undefined
  /**
   * Random, one for each attempt to rotate one token. A retry with the same key receives the same successor within the policy's
   * `sameAttemptSeconds`. From 22 to 255 characters; anything else is ignored.
   */
  readonly idempotencyKey?: string | null | undefined
  /** Narrows this answer (RFC 6749 section 6); empty or absent for all that was granted. */
  readonly scope?: string | undefined
  /** Narrows this answer to some of the granted resources (RFC 8707 section 2.2). */
  readonly audience?: readonly string[] | undefined
  /** `aud` of access tokens for a grant without an audience: such a grant covers this resource. */
  readonly defaultAudience?: string | undefined
  /** The family that the caller believes the token to be of; a token of another one changes nothing. */
  readonly familyId?: string | undefined
  /** Families created before this instant (epoch milliseconds) are refused: it ends everything of one client at once. */
  readonly validAfter?: number | null | undefined
  /** Overrides the policy for this client. */
  readonly rotation?: Rotation | undefined
  /** Called once the tag has been verified and before the store is called: false declines as rate limited. */
  readonly admit?: ((holder: TokenHolder) => Promise<boolean>) | undefined
  /** Work that may fail. Runs before anything is consumed, and costs a read. */
  readonly prepare?: Prepare<Prepared> | undefined
}

/**
 * Who presents a token, as far as the request shows it. Limit requests by all members together: a caller with another client or key,
 * who cannot use the token, must not use up the requests of one who can.
 */
export interface TokenHolder {
  readonly familyId: FamilyId
  readonly clientId: string
  /** The key that the request proved; null for a token that is bound to none. */
  readonly confirmation: Confirmation | null
}

export type RotateOutcome<Prepared = undefined> =
  | (Grant & {
      readonly ok: true
      readonly outcome: MintOutcome
      /** A secret: give it to the client and keep no copy. Identical for every retry of the same rotation. */
      readonly refreshToken: string
      readonly prepared: Prepared
    })
  | Refused

export type Refused =
  | { readonly ok: false; readonly reason: Exclude<RefusalReason, 'declined'> }
  | { readonly ok: false; readonly reason: 'declined'; readonly objection: Objection }

/** One swap that this call asks of the store, and the token that it hands out once the store has made it. */
interface Swap {
  readonly outcome: MintOutcome
  readonly command: RotateCommand
  /** Null where the same token stays. */
  readonly successor: AuthenticToken | null
  readonly refreshToken: string
}

/** One presented token in one request. */
interface Attempt<Prepared> {
  readonly request: RotateRequest<Prepared>
  readonly token: AuthenticToken
  readonly arrivedAt: number
  readonly binding: Binding
  readonly retryKey: string | null
  readonly rotates: boolean
  /** Null where the grammar is broken; an empty list asks for all that was granted. */
  readonly scope: readonly string[] | null
  readonly audience: readonly unknown[]
  /** Null for a token of ours. */
  readonly newcomer: Newcomer | null
}

/**
 * Exchanges a refresh token. One store call on the common path; a read comes first only where something that may fail has to
 * happen before the swap.
 */
export async function rotate<Prepared>(
  engine: Engine,
  request: RotateRequest<Prepared>,
): Promise<RotateOutcome<Prepared>> {
  checkRequest(request)
  const arrivedAt = engine.now()
  const presented = await readToken(engine, request.refreshToken, request)
  if (presented.kind !== 'authentic') return refused(engine, request, null, presented.kind)
  const { token, newcomer } = presented
  const createdAtSeconds = newcomer === null ? token.createdAtSeconds : Math.floor(newcomer.signedInAt / 1000)
  const early = admit(
    { ...token, createdAtSeconds },
    {
      validAfter: request.validAfter ?? null,
      confirmation: request.confirmation ?? null,
      familyId: request.familyId,
    },
  )
  if (early?.kind === 'decline') return declined(engine, request, token.familyId, early.objection)
  if (early?.kind === 'refuse') return refused(engine, request, token.familyId, early.reason)
  const { admit: mayTry, clientId = FIRST_PARTY, confirmation = null } = request
  const holder = { familyId: token.familyId, clientId, confirmation: token.bound ? confirmation : null }
  if (mayTry !== undefined && !(await callHook(engine, 'admit', () => mayTry(holder))))
    return declined(engine, request, token.familyId, 'rate_limited')
  return settle(engine, attemptOf(engine, request, { token, newcomer, arrivedAt }))
}

/**
 * Checks what the program says. What the other side sent, such as the token or the scope, is never misuse: it is refused,
 * declined or ignored.
 */
function checkRequest(request: RotateRequest<unknown>): void {
  demandObject('rotate', request)
  const { clientId, confidential, confirmation = null, defaultAudience, validAfter, rotation, admit, prepare } = request
  if (request.legacyOnly !== undefined) demandBoolean('legacyOnly', request.legacyOnly)
  if (clientId !== undefined) demandName('clientId', clientId)
  if (confidential !== undefined) demandBoolean('confidential', confidential)
  if (confirmation !== null) assertConfirmation('confirmation', confirmation)
  if (defaultAudience !== undefined) demandName('defaultAudience', defaultAudience)
  demandInstant('validAfter', validAfter)
  if (rotation !== undefined) demandOneOf('rotation', rotation, ROTATIONS)
  demandFunction('admit', admit)
  demandFunction('prepare', prepare)
}

/**
 * Swaps, then judges by the record that came back; a swap that lost is judged again. Whatever the app has to say is asked once,
 * before the swap that its answer allows.
 */
async function settle<Prepared>(engine: Engine, first: Attempt<Prepared>): Promise<RotateOutcome<Prepared>> {
  const { request, newcomer } = first
  const { familyId } = first.token
  const { store, policy } = engine
  let attempt = first
  let work = hasWork(engine, request) ? null : nothingToAsk<Prepared>()
  let swap =
    work === null || newcomer !== null ? null : succeed(engine, attempt, attempt.rotates ? 'rotated' : 'renewed')
  let record = newcomer?.record ?? (swap === null ? await store.find(familyId) : await store.rotate(swap.command))
  let swaps = swap === null ? 0 : 1

  for (;;) {
    if (swap !== null && work !== null && record !== null && wasMade(engine, attempt, swap, record)) {
      const { outcome, refreshToken, successor } = swap
      const { generation } = successor ?? attempt.token
      return minted(engine, attempt, { record, work, outcome, generation, refreshToken })
    }
    swap = null
    const decision = decide(
      record && factsOf(engine, attempt, record),
      circumstancesOf(engine, attempt, record, work),
      { ...policy, rotates: attempt.rotates },
    )
    if (decision.kind !== 'mint' || record === null) return deny(engine, attempt, record, decision)
    if (work === null) {
      work = await askTheApp(engine, questionOf(engine, attempt, record, decision.outcome))
      // That may have been slow, and a retry is good only while its successor is unused.
      if (decision.outcome === 'retried') record = await store.find(familyId)
      continue
    }
    if (decision.outcome === 'retried')
      return minted(engine, attempt, { record, work, ...retryOf(engine, attempt.token, record) })
    if (swaps === MOST_SWAPS)
      throw fault(engine, 'contended', 'rotate', `another caller won every round for family ${familyId}`)
    swap = succeed(engine, attempt, decision.outcome, record)
    record = await write(engine, attempt, swap)
    attempt = inFamily(engine, attempt, record)
    swaps += 1
  }
}

/** The swap of a token that no family has been made of yet is to make the family, one generation on. */
function write({ store }: Engine, { newcomer }: Attempt<unknown>, { command }: Swap): Promise<FamilyRecord | null> {
  const { next, now } = command
  if (newcomer === null || newcomer.isStored || next === null) return store.rotate(command)
  return store.create({ ...newcomer.record, current: next, expiresAt: expiryAt(now, newcomer.record.lifetime) }, now)
}

/** Whoever made the family said when it began; a foreign token does not tell. */
function inFamily<Prepared>(
  engine: Engine,
  attempt: Attempt<Prepared>,
  record: FamilyRecord | null,
): Attempt<Prepared> {
  const { request, newcomer, arrivedAt } = attempt
  if (newcomer === null || newcomer.isStored || record === null) return attempt
  const token = firstToken(newcomer.seed, record.grant)
  return attemptOf(engine, request, { token, arrivedAt, newcomer: { ...newcomer, token, record, isStored: true } })
}

/** Work that may fail, or a request that may be declined, must come before the swap: that takes a read. */
function hasWork(engine: Engine, request: RotateRequest<unknown>): boolean {
  return (
    engine.beforeRotate !== undefined ||
    request.prepare !== undefined ||
    (request.scope ?? '') !== '' ||
    listOf(request.audience).length > 0
  )
}

function attemptOf<Prepared>(
  engine: Engine,
  request: RotateRequest<Prepared>,
  { token, newcomer, arrivedAt }: Pick<Attempt<Prepared>, 'token' | 'newcomer' | 'arrivedAt'>,
): Attempt<Prepared> {
  const {
    clientId = FIRST_PARTY,
    confidential = false,
    idempotencyKey = null,
    rotation = engine.policy.rotation,
  } = request
  // A proof that comes along with an unbound family's token binds the access token, not the family.
  const confirmation = token.bound ? (request.confirmation ?? null) : null
  return {
    request,
    token,
    newcomer,
    arrivedAt,
    binding: { clientId, confirmation },
    retryKey: countsAsAttempt(idempotencyKey) ? retryKeyOf(token, idempotencyKey) : null,
    rotates: rotates(rotation, { confidential, confirmation }),
    scope: parseScope(request.scope ?? ''),
    audience: listOf(request.audience),
  }
}

/** A request's `resource` may come from a parser that makes no list of a single one. */
export function listOf(audience: unknown): readonly unknown[] {
  if (audience === undefined || audience === null) return []
  return Array.isArray(audience) ? audience : [audience]
}

/** The swap that makes `outcome` true: from the presented token itself or, to heal, from what the store still has. */
function succeed(
  engine: Engine,
  { request, token, binding, retryKey }: Attempt<unknown>,
  outcome: MintOutcome,
  record: FamilyRecord | null = null,
): Swap {
  const { ring, tokenPrefix } = engine
  const now = engine.now()
  const expect = outcome === 'healed' && record !== null ? record.current.verifier : verifierOf(token, binding)
  if (outcome === 'renewed')
    return {
      outcome,
      command: { id: token.familyId, expect, next: null, now },
      successor: null,
      refreshToken: request.refreshToken,
    }
  const nonce = engine.nonce()
  const successor = successorOf(token, ring.current, nonce)
  const next = {
    generation: successor.generation,
    verifier: verifierOf(successor, binding),
    nonce,
    keyId: ring.current.id,
    rotatedAt: now,
    retryKey,
  }
  const command = { id: token.familyId, expect, next, now }
  return { outcome, command, successor, refreshToken: formatToken(successor, tokenPrefix, ring.current) }
}

/**
 * Recognises this call's own write, also when the driver sent it twice: the nonce in the verifier is fresh. Between the two, a
 * retry may have received this very successor and used it; then the record descends from it, and the write was made all the same.
 */
function wasMade(
  { ring }: Engine,
  { binding }: Attempt<unknown>,
  { command, successor }: Swap,
  record: FamilyRecord,
): boolean {
  const { expect, next, now } = command
  const { verifier } = record.current
  if (record.revocation !== null) return false
  if (next === null || successor === null) return sameText(verifier, expect) && record.expiresAt > now
  return verifier === next.verifier || relationOf(successor, record, ring, binding) === 'predecessor'
}

/** The successor that the predecessor's first exchange handed out, computed again from what both sides still have. */
function retryOf(engine: Engine, token: AuthenticToken, { current }: FamilyRecord) {
  const key = engine.ring.find(current.keyId)
  if (key === undefined) throw fault(engine, 'record_key_missing', 'rotate', keyMissing(current))
  const { generation } = current
  const refreshToken = formatToken(successorOf(token, key, current.nonce), engine.tokenPrefix, key)
  return { outcome: 'retried', generation, refreshToken } as const
}

function attemptMatch({ retryKey }: Attempt<unknown>, { current }: FamilyRecord): AttemptMatch {
  if (retryKey === null) return current.retryKey === null ? 'unknown' : 'without_key'
  return current.retryKey !== null && sameText(retryKey, current.retryKey) ? 'same' : 'other'
}

function factsOf(engine: Engine, attempt: Attempt<unknown>, record: FamilyRecord): Facts {
  const { token, binding, newcomer } = attempt
  const isStored = newcomer === null || newcomer.isStored
  return {
    relation: isStored ? relationOf(token, record, engine.ring, binding) : 'foreign',
    sameClient: sameText(record.grant.clientId, binding.clientId),
    sameKey: sameConfirmation(record.grant.confirmation, binding.confirmation),
    attempt: attemptMatch(attempt, record),
    revoked: record.revocation !== null,
    rotatedAt: record.current.rotatedAt,
    expiresAt: record.expiresAt,
  }
}

function circumstancesOf(
  engine: Engine,
  attempt: Attempt<unknown>,
  record: FamilyRecord | null,
  work: Work<unknown> | null,
): Circumstances {
  return {
    now: engine.now(),
    arrivedAt: attempt.arrivedAt,
    objection: (record && objectionTo(attempt, record)) ?? work?.objection ?? null,
    superseded: work?.superseded ?? false,
  }
}

/** Scope and audience may shrink for one answer and never grow (RFC 6749 section 6, RFC 8707 section 2.2). */
function objectionTo({ request, scope, audience }: Attempt<unknown>, record: FamilyRecord): Objection | null {
  if (scope === null || !isWithin(scope, record.grant.scope.split(' '))) return 'invalid_scope'
  return narrowAudience(audience, grantedBy(request, record)) === null ? 'invalid_target' : null
}

function grantedBy({ defaultAudience }: RotateRequest<unknown>, { grant }: FamilyRecord) {
  return { granted: grant.audience, defaultAudience }
}

function grantOf({ request, scope, audience }: Attempt<unknown>, record: FamilyRecord, claims: Grant['claims']): Grant {
  return {
    family: toFamily(record),
    scope: scope === null || scope.length === 0 ? record.grant.scope : scope.join(' '),
    audience: narrowAudience(audience, grantedBy(request, record)) ?? record.grant.audience,
    claims,
  }
}

function questionOf<Prepared>(
  engine: Engine,
  attempt: Attempt<Prepared>,
  record: FamilyRecord,
  outcome: MintOutcome,
): Question<Prepared> {
  return {
    record,
    signedInAt: attempt.newcomer?.signedInAt ?? record.grant.createdAt,
    // Every answer but a retry moves the idle end, and an access token may live as long as the family will.
    ahead: outcome === 'retried' ? record : { ...record, expiresAt: expiryAt(engine.now(), record.lifetime) },
    grantOf: (ahead, claims) => grantOf(attempt, ahead, claims),
    prepare: attempt.request.prepare,
  }
}

function minted<Prepared>(
  engine: Engine,
  attempt: Attempt<Prepared>,
  made: {
    record: FamilyRecord
    work: Work<Prepared>
    outcome: MintOutcome
    generation: number
    refreshToken: string
  },
): RotateOutcome<Prepared> {
  const { record, work, outcome, generation, refreshToken } = made
  const { familyId, subject, clientId } = namesOf(record)
  const at = engine.now()
  if (outcome === 'retried') {
    const match = attemptMatch(attempt, record)
    const by = match === 'same' ? 'idempotency_key' : 'grace'
    engine.emit({ type: 'retried', at, familyId, subject, clientId, generation, by, attempt: match })
  } else engine.emit({ type: outcome, at, familyId, subject, clientId, generation })
  if (attempt.newcomer !== null) tellMoved(engine, attempt.newcomer, record)
  const { family, scope, audience, claims } = grantOf(attempt, record, work.claims)
  return { ok: true, outcome, refreshToken, prepared: work.prepared, family, scope, audience, claims }
}

async function deny(
  engine: Engine,
  attempt: Attempt<unknown>,
  record: FamilyRecord | null,
  decision: Decision,
): Promise<Refused> {
  const { request, token } = attempt
  switch (decision.kind) {
    case 'decline':
      return declined(engine, request, token.familyId, decision.objection)
    case 'refuse':
      return refused(engine, request, token.familyId, decision.reason)
    case 'end':
      return record === null
        ? refused(engine, request, token.familyId, 'unknown')
        : end(engine, attempt, record, decision)
    case 'fault':
      throw fault(engine, 'record_key_missing', 'rotate', keyMissing(record?.current ?? { keyId: '' }))
    case 'mint':
      // Only for a family that is gone: decide mints nothing without a record.
      return refused(engine, request, token.familyId, 'unknown')
  }
}

/** The verdict is reported even if the store does not confirm that the family has ended. */
async function end(
  engine: Engine,
  { request, token }: Attempt<unknown>,
  seen: FamilyRecord,
  { reason, revocation }: Extract<Decision, { kind: 'end' }>,
): Promise<Refused> {
  const { familyId, generation: presentedGeneration } = token
  const { byThisCall } = await endFamily(engine, seen, {
    reason: revocation,
    report(record, doubt) {
      if (reason === 'lost') {
        reportRevoked(engine)(record, doubt)
        refused(engine, request, familyId, 'lost')
        return
      }
      const { generation } = record.current
      engine.emit({ type: 'reuse', at: engine.now(), ...namesOf(record), generation, presentedGeneration, ...doubt })
    },
  })
  // Another call ended it first, and reported that: this one found it revoked.
  return byThisCall ? { ok: false, reason } : refused(engine, request, familyId, 'revoked')
}

function refused(
  engine: Engine,
  { clientId = FIRST_PARTY }: RotateRequest<unknown>,
  familyId: FamilyId | null,
  reason: Exclude<RefusalReason, 'declined'>,
): Refused {
  engine.emit({ type: 'refused', at: engine.now(), reason, objection: null, familyId, clientId })
  return { ok: false, reason }
}

function declined(
  engine: Engine,
  { clientId = FIRST_PARTY }: RotateRequest<unknown>,
  familyId: FamilyId,
  objection: Objection,
): Refused {
  engine.emit({ type: 'refused', at: engine.now(), reason: 'declined', objection, familyId, clientId })
  return { ok: false, reason: 'declined', objection }
}
