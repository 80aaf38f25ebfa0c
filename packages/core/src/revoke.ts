import { assertConfirmation, type Confirmation, sameConfirmation } from './confirmation.js'
import { demandBoolean, demandName, demandObject, demandOneOf } from './demand.js'
import { type Engine, namesOf } from './engine.js'
import { ConfigurationError } from './errors.js'
import { type Newcomer, readToken, tellMoved, type TokenOrigin } from './foreign.js'
import {
  type Family,
  type FamilyId,
  type FamilyRecord,
  isFamilyId,
  REVOCATION_REASONS,
  type Revocation,
  type RevocationReason,
  toFamily,
} from './family.js'

const PAGE = 50
const REVOCATION_ID_BYTES = 12

export interface RevokeRequest extends TokenOrigin {
  /** Any token of the family, also one that has been rotated away: that is no theft, only a late sign-out (RFC 7009). */
  readonly refreshToken?: string
  /** The family itself. With `refreshToken` as well: the family that the caller believes the token to be of. */
  readonly familyId?: string
  /** If given, the family must be this client's. */
  readonly clientId?: string
  /** If given, the family must be this subject's. */
  readonly subject?: string
  /**
   * The key that the request proved, `{ jkt }` or `{ 'x5t#S256' }`; null for none. If given, a family that is bound to a key is
   * revoked only for that key. Leave it out where an operator revokes.
   */
  readonly confirmation?: Confirmation | null
  /** Default `client_request`. */
  readonly reason?: RevocationReason
}

export type RevokeOutcome =
  /** The family is dead. `ended` tells whether this call ended it. */
  | { readonly ok: true; readonly ended: boolean; readonly family: Family }
  | {
      readonly ok: false
      /** `mismatch`: the family belongs to another client. `unconfirmed`: it is bound to a key that the request did not prove. */
      readonly reason: 'malformed' | 'unknown_key' | 'unknown' | 'mismatch' | 'unconfirmed' | 'other_family'
    }

/** Ends one family for good. Atomic; a second call finds it ended and reports nothing. */
export async function revoke(engine: Engine, request: RevokeRequest): Promise<RevokeOutcome> {
  demandObject('revoke', request)
  const { clientId, subject, confirmation, legacyOnly, reason = 'client_request' } = request
  if (clientId !== undefined) demandName('clientId', clientId)
  if (subject !== undefined) demandName('subject', subject)
  if (confirmation !== undefined && confirmation !== null) assertConfirmation('confirmation', confirmation)
  if (legacyOnly !== undefined) demandBoolean('legacyOnly', legacyOnly)
  demandOneOf('reason', reason, REVOCATION_REASONS)
  const target = await targetOf(engine, request)
  if (!target.ok) return target
  const { familyId, newcomer } = target
  // Without this read, nobody could say whose family was ended if the reply to the write is lost.
  const seen = newcomer?.record ?? (await engine.store.find(familyId))
  if (seen === null || (subject !== undefined && seen.grant.subject !== subject))
    return { ok: false, reason: 'unknown' }
  if (clientId !== undefined && seen.grant.clientId !== clientId) return { ok: false, reason: 'mismatch' }
  const bound = seen.grant.confirmation
  if (confirmation !== undefined && bound !== null && !sameConfirmation(bound, confirmation))
    return { ok: false, reason: 'unconfirmed' }
  const { record, byThisCall } = await endFamily(engine, seen, { reason, newcomer, report: reportRevoked(engine) })
  if (newcomer !== null) tellMoved(engine, newcomer, record)
  return { ok: true, ended: byThisCall, family: toFamily(record) }
}

type Target =
  | { readonly ok: true; readonly familyId: FamilyId; readonly newcomer: Newcomer | null }
  | { readonly ok: false; readonly reason: 'malformed' | 'unknown_key' | 'unknown' | 'other_family' }

async function targetOf(engine: Engine, { refreshToken, familyId, legacyOnly }: RevokeRequest): Promise<Target> {
  if (refreshToken === undefined) {
    if (familyId === undefined)
      throw new ConfigurationError('refreshToken', 'is missing; give refreshToken or familyId')
    return isFamilyId(familyId) ? { ok: true, familyId, newcomer: null } : { ok: false, reason: 'unknown' }
  }
  const presented = await readToken(engine, refreshToken, { legacyOnly })
  if (presented.kind !== 'authentic') return { ok: false, reason: presented.kind }
  const { token, newcomer } = presented
  if (familyId !== undefined && familyId !== token.familyId) return { ok: false, reason: 'other_family' }
  return { ok: true, familyId: token.familyId, newcomer }
}

export interface RevokeSubjectOptions {
  /** The one family to leave alone: the caller's own session. */
  readonly except?: string
  /** True ends only what an ordinary logout would: offline_access families live on. */
  readonly keepOffline?: boolean
  /** Default `subject_request`. */
  readonly reason?: RevocationReason
}

/**
 * Ends every family of the subject that existed when the call was made, and returns how many this call ended. A family issued
 * while it runs may survive. After an error, call again: what is ended stays ended.
 */
export async function revokeSubject(
  engine: Engine,
  subject: string,
  { except, keepOffline = false, reason = 'subject_request' }: RevokeSubjectOptions,
): Promise<number> {
  demandName('subject', subject)
  demandOneOf('reason', reason, REVOCATION_REASONS)
  const now = engine.now()
  let ended = 0
  let cursor: string | null = null
  do {
    const page: { items: readonly FamilyRecord[]; cursor: string | null } = await engine.store.list({
      subject,
      limit: PAGE,
      now,
      ...(cursor === null ? {} : { cursor }),
    })
    const doomed = page.items.filter((record) => record.id !== except && !(keepOffline && record.grant.offline))
    const ends = await Promise.all(
      doomed.map((seen) => endFamily(engine, seen, { reason, report: reportRevoked(engine) })),
    )
    ended += ends.filter(({ byThisCall }) => byThisCall).length
    cursor = page.cursor
  } while (cursor !== null)
  return ended
}

export interface Ending {
  readonly record: FamilyRecord
  readonly byThisCall: boolean
}

/** Present where the store did not confirm the write. */
interface Doubt {
  readonly unconfirmed?: true
}

interface EndOptions {
  readonly reason: RevocationReason
  readonly newcomer?: Newcomer | null
  /** Emits the events of the end. `record` is the family as it ended, and has its revocation. */
  readonly report: (record: RevokedRecord, doubt: Doubt) => void
}

type RevokedRecord = FamilyRecord & { readonly revocation: Revocation }

/**
 * Revokes the family that this call has read, and reports its end if it was this call that ended it: the revocation in the record
 * has its id. If the reply of the store is missing, or says that the family is gone, the end is reported as unconfirmed, since nobody
 * could report it later. A family that does not exist yet is created revoked, so that its imported token cannot begin it any more.
 */
export async function endFamily(
  engine: Engine,
  seen: FamilyRecord,
  { reason, report, newcomer = null }: EndOptions,
): Promise<Ending> {
  const { store, random } = engine
  const now = engine.now()
  const id = Buffer.from(random(REVOCATION_ID_BYTES)).toString('base64url')
  const revocation = { id, at: now, reason }
  const ended = { ...seen, revocation }

  async function write(): Promise<FamilyRecord | null> {
    const born = newcomer === null || newcomer.isStored ? null : await store.create(ended, now)
    // An exchange may have come first, and made it alive.
    return born?.revocation ? born : store.revoke(seen.id, revocation)
  }

  const written = await write().catch((failure: unknown) => {
    if (seen.revocation === null) report(ended, { unconfirmed: true })
    throw failure
  })
  // A family that was ended and purged within a moment may have been ended by this call, if the driver sent it twice.
  const record = written ?? ended
  const byThisCall = record.revocation?.id === id
  if (byThisCall) report({ ...record, revocation }, written === null ? { unconfirmed: true } : {})
  return { record, byThisCall }
}

/** Reports an end as the event `revoked`. */
export function reportRevoked(engine: Engine): EndOptions['report'] {
  return (record, doubt) => {
    engine.emit({
      type: 'revoked',
      at: engine.now(),
      ...namesOf(record),
      reason: record.revocation.reason,
      ...doubt,
    })
  }
}
