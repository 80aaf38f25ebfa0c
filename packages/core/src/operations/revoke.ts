import { confirmation, isSameConfirmation } from '../model/confirmation.js'
import { ConfigurationError } from '../model/errors.js'
import {
  type Family,
  type FamilyId,
  type FamilyRecord,
  isFamilyId,
  REVOCATION_REASONS,
  type Revocation,
  type RevocationReason,
  toFamily,
} from '../model/family.js'
import {
  boolean,
  declareOptions,
  nullable,
  oneOf,
  optional,
  type OptionsOf,
  type Resolved,
  text,
  untrusted,
  withDefault,
} from '../options.js'
import { type Context, toEventFields } from './context.js'
import { tokenOriginOptions } from './contracts.js'
import { type LegacyToken, notifyMigrated, readToken } from './legacy-token.js'

const PAGE_SIZE = 50
const REVOCATION_ID_BYTES = 12

const reason = oneOf(...REVOCATION_REASONS)
const subjectText = text()

const revokeOptions = tokenOriginOptions.extend({
  /** Any token of the family, also an old one: here it is a late sign-out and not reuse (RFC 7009). */
  refreshToken: optional(untrusted<string>()),
  /** The family itself. Together with `refreshToken`: the family that the caller expects the token to belong to. */
  familyId: optional(untrusted<string>()),
  /** If set, the family must belong to this client. */
  clientId: optional(text()),
  /** If set, the family must belong to this subject. */
  subject: optional(text()),
  /**
   * The key that the request proved, `{ jkt }` or `{ 'x5t#S256' }`; null for none. If set, a family that is bound to a key is
   * revoked only for that key. Omit it if an operator revokes.
   */
  confirmation: optional(nullable(confirmation)),
  /** Default `client_request`. */
  reason: withDefault(reason, 'client_request'),
})

export type RevokeRequest = OptionsOf<typeof revokeOptions>

export type RevokeOutcome =
  /** The family is revoked. `ended` is true if this call revoked it. */
  | { readonly ok: true; readonly ended: boolean; readonly family: Family }
  | {
      readonly ok: false
      /** `mismatch`: the family belongs to another client. `unconfirmed`: it is bound to a key that the request did not prove. */
      readonly reason: 'malformed' | 'unknown_key' | 'unknown' | 'mismatch' | 'unconfirmed' | 'other_family'
    }

/** Revokes one family permanently. Atomic. A second call finds it revoked and emits nothing. */
export async function revoke(context: Context, request: RevokeRequest): Promise<RevokeOutcome> {
  const options = revokeOptions.parse('revoke', request)
  const { clientId, subject, confirmation, reason } = options
  const target = await findTarget(context, options)
  if (!target.ok) return target
  const { familyId, legacy } = target
  // Without this read, the event would lack the subject and client if the reply to the write is lost.
  const record = legacy?.record ?? (await context.store.find(familyId))
  if (record === null || (subject !== undefined && record.grant.subject !== subject))
    return { ok: false, reason: 'unknown' }
  if (clientId !== undefined && record.grant.clientId !== clientId) return { ok: false, reason: 'mismatch' }
  const bound = record.grant.confirmation
  if (confirmation !== undefined && bound !== null && !isSameConfirmation(bound, confirmation))
    return { ok: false, reason: 'unconfirmed' }
  const revoked = await revokeFamily(context, record, { reason, legacy, report: reportRevoked(context) })
  if (legacy !== null) notifyMigrated(context, legacy, revoked.record)
  return { ok: true, ended: revoked.byThisCall, family: toFamily(revoked.record) }
}

type Target =
  | { readonly ok: true; readonly familyId: FamilyId; readonly legacy: LegacyToken | null }
  | { readonly ok: false; readonly reason: 'malformed' | 'unknown_key' | 'unknown' | 'other_family' }

async function findTarget(
  context: Context,
  { refreshToken, familyId, legacyOnly }: Resolved<(typeof revokeOptions)['fields']>,
): Promise<Target> {
  if (refreshToken === undefined) {
    if (familyId === undefined) throw new ConfigurationError('refreshToken', 'is missing; set refreshToken or familyId')
    return isFamilyId(familyId) ? { ok: true, familyId, legacy: null } : { ok: false, reason: 'unknown' }
  }
  const presented = await readToken(context, refreshToken, legacyOnly)
  if (presented.kind !== 'authentic') return { ok: false, reason: presented.kind }
  const { token, legacy } = presented
  if (familyId !== undefined && familyId !== token.familyId) return { ok: false, reason: 'other_family' }
  return { ok: true, familyId: token.familyId, legacy }
}

const revokeSubjectOptions = declareOptions({
  /** A family that is not revoked: the caller's own session. */
  except: optional(untrusted<string>()),
  /** True revokes only families without offline_access, as an ordinary logout does. */
  keepOffline: withDefault(boolean(), false),
  /** Default `subject_request`. */
  reason: withDefault(reason, 'subject_request'),
})

export type RevokeSubjectOptions = OptionsOf<typeof revokeSubjectOptions>

/**
 * Revokes every family of the subject that existed when the call was made, and returns how many this call revoked. A family issued
 * while it runs may survive. After an error, call again: families that were revoked stay revoked.
 */
export async function revokeSubject(
  context: Context,
  subject: string,
  options?: RevokeSubjectOptions,
): Promise<number> {
  subjectText.parse(subject, 'subject')
  const { except, keepOffline, reason } = revokeSubjectOptions.parse('revokeSubject', options)
  const now = context.now()
  let ended = 0
  let cursor: string | null = null
  do {
    const page: { items: readonly FamilyRecord[]; cursor: string | null } = await context.store.list({
      subject,
      limit: PAGE_SIZE,
      now,
      ...(cursor === null ? {} : { cursor }),
    })
    const selected = page.items.filter((record) => record.id !== except && !(keepOffline && record.grant.offline))
    const revoked = await Promise.all(
      selected.map((record) => revokeFamily(context, record, { reason, report: reportRevoked(context) })),
    )
    ended += revoked.filter(({ byThisCall }) => byThisCall).length
    cursor = page.cursor
  } while (cursor !== null)
  return ended
}

export interface RevokedFamily {
  readonly record: FamilyRecord
  readonly byThisCall: boolean
}

/** Contains `unconfirmed` if the store did not confirm the write. */
interface StoreReply {
  readonly unconfirmed?: true
}

interface RevokeFamilyOptions {
  readonly reason: RevocationReason
  readonly legacy?: LegacyToken | null
  /** Emits the events of the revocation. `record` is the revoked family. */
  readonly report: (record: RevokedRecord, reply: StoreReply) => void
}

type RevokedRecord = FamilyRecord & { readonly revocation: Revocation }

/**
 * Revokes the family that this call has read, and reports it if the revocation in the record has this call's id. If the store's reply is
 * missing, or says that the family does not exist, the revocation is reported as unconfirmed, because no later call could report it. A
 * family that does not exist yet is created as revoked, so that its legacy token cannot create it later.
 */
export async function revokeFamily(
  context: Context,
  seen: FamilyRecord,
  { reason, report, legacy = null }: RevokeFamilyOptions,
): Promise<RevokedFamily> {
  const { store, random } = context
  const now = context.now()
  const id = Buffer.from(random(REVOCATION_ID_BYTES)).toString('base64url')
  const revocation = { id, at: now, reason }
  const revoked = { ...seen, revocation }

  async function write(): Promise<FamilyRecord | null> {
    const created = legacy === null || legacy.isStored ? null : await store.create(revoked, now)
    // An exchange may have created the family before this call.
    return created?.revocation ? created : store.revoke(seen.id, revocation)
  }

  const written = await write().catch((failure: unknown) => {
    // Also for a family that was revoked already: a fail-over may undo that revocation and keep this one.
    report(revoked, { unconfirmed: true })
    throw failure
  })
  // A missing family may have been revoked by this call and purged, if the driver executed the write twice.
  const record = written ?? revoked
  const byThisCall = record.revocation?.id === id
  if (byThisCall) report({ ...record, revocation }, written === null ? { unconfirmed: true } : {})
  return { record, byThisCall }
}

/** Returns a reporter that emits the event `revoked`. */
export function reportRevoked(context: Context): RevokeFamilyOptions['report'] {
  return (record, reply) => {
    const { reason } = record.revocation
    context.emit({ type: 'revoked', at: context.now(), ...toEventFields(record), reason, ...reply })
  }
}
