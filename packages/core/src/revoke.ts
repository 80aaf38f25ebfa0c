import { demandName, demandObject, demandOneOf } from './demand.js'
import { type Engine, namesOf } from './engine.js'
import { MisuseError } from './errors.js'
import { type Newcomer, readToken, tellMoved } from './foreign.js'
import {
  type Family,
  type FamilyId,
  type FamilyRecord,
  isFamilyId,
  REVOCATION_REASONS,
  type RevocationReason,
  toFamily,
} from './family.js'

const PAGE = 50
const REVOCATION_ID_BYTES = 12

export interface RevokeRequest {
  /** Any token of the family, also one that has been rotated away: that is no theft, only a late sign-out (RFC 7009). */
  readonly refreshToken?: string
  /** The family itself. With `refreshToken` as well: the family that the caller believes the token to be of. */
  readonly familyId?: string
  /** If given, the family must be this client's. */
  readonly clientId?: string
  /** If given, the family must be this subject's. */
  readonly subject?: string
  /**
   * The key that the request proved, `jkt:…` or `x5t#S256:…`; null for none. If given, a family that is bound to a key is revoked
   * only for that key. Leave it out where an operator revokes.
   */
  readonly boundKey?: string | null
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
  const { clientId, subject, boundKey, reason = 'client_request' } = request
  if (clientId !== undefined) demandName('clientId', clientId)
  if (subject !== undefined) demandName('subject', subject)
  if (boundKey !== undefined && boundKey !== null) demandName('boundKey', boundKey)
  demandOneOf('reason', reason, REVOCATION_REASONS)
  const target = await targetOf(engine, request)
  if (!target.ok) return target
  const { familyId, newcomer } = target
  if (clientId !== undefined || subject !== undefined || boundKey !== undefined) {
    const record = newcomer?.record ?? (await engine.store.find(familyId))
    if (record === null || (subject !== undefined && record.subject !== subject))
      return { ok: false, reason: 'unknown' }
    if (clientId !== undefined && record.clientId !== clientId) return { ok: false, reason: 'mismatch' }
    if (boundKey !== undefined && record.boundKey !== null && record.boundKey !== boundKey)
      return { ok: false, reason: 'unconfirmed' }
  }
  const { record, byThisCall } = await endFamily(engine, familyId, { reason, newcomer })
  if (record === null) return { ok: false, reason: 'unknown' }
  if (byThisCall) reportRevoked(engine, record, reason)
  if (newcomer !== null) tellMoved(engine, newcomer, record)
  return { ok: true, ended: byThisCall, family: toFamily(record) }
}

type Target =
  | { readonly ok: true; readonly familyId: FamilyId; readonly newcomer: Newcomer | null }
  | { readonly ok: false; readonly reason: 'malformed' | 'unknown_key' | 'unknown' | 'other_family' }

async function targetOf(engine: Engine, { refreshToken, familyId }: RevokeRequest): Promise<Target> {
  if (refreshToken === undefined) {
    if (familyId === undefined) throw new MisuseError('revoke', 'give refreshToken or familyId')
    return isFamilyId(familyId) ? { ok: true, familyId, newcomer: null } : { ok: false, reason: 'unknown' }
  }
  const presented = await readToken(engine, refreshToken)
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
    const doomed = page.items.filter((record) => record.id !== except && !(keepOffline && record.offline))
    const ends = await Promise.all(
      doomed.map(async (seen) => {
        const { record, byThisCall } = await endFamily(engine, seen.id, { reason, seen })
        if (byThisCall) reportRevoked(engine, record, reason)
        return byThisCall
      }),
    )
    ended += ends.filter(Boolean).length
    cursor = page.cursor
  } while (cursor !== null)
  return ended
}

export type Ending =
  | { readonly record: FamilyRecord; readonly byThisCall: true }
  | { readonly record: FamilyRecord | null; readonly byThisCall: false }

interface EndOptions {
  readonly reason: RevocationReason
  readonly newcomer?: Newcomer | null
  /** The family as this call found it alive. */
  readonly seen?: FamilyRecord | null
}

/**
 * Revokes and tells whether it was this call that did: the revocation in the record bears its id. A family that has not been made
 * yet is made dead, so that its foreign token cannot begin it any more.
 */
export async function endFamily(
  engine: Engine,
  familyId: FamilyId,
  { reason, newcomer = null, seen = null }: EndOptions,
): Promise<Ending> {
  const { store, random } = engine
  const now = engine.now()
  const id = Buffer.from(random(REVOCATION_ID_BYTES)).toString('base64url')
  const revocation = { id, at: now, reason }
  const born =
    newcomer === null || newcomer.isStored ? null : await store.create({ ...newcomer.record, revocation }, now)
  // An exchange may have come first, and made it alive.
  const record = born?.revocation ? born : await store.revoke(familyId, revocation)
  // Ended and purged within a moment: by this very call where the driver sent it twice. An end is better told twice than never.
  if (record === null && seen !== null) return { record: { ...seen, revocation }, byThisCall: true }
  return record?.revocation?.id === id ? { record, byThisCall: true } : { record, byThisCall: false }
}

export function reportRevoked(engine: Engine, record: FamilyRecord, reason: RevocationReason): void {
  engine.emit({ type: 'revoked', at: engine.now(), ...namesOf(record), reason })
}
