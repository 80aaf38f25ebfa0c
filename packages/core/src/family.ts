declare const brand: unique symbol

/** Names a family everywhere outside the token: a hash of the handle that the token carries, so safe to log, show or put in `sid`. */
export type FamilyId = string & { readonly [brand]: 'FamilyId' }

/** Claims that this is how ids of families look; whether there is such a family only the store knows. */
export function isFamilyId(value: unknown): value is FamilyId {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{22}$/.test(value)
}

/** Commits to a family's current token without revealing it. A store compares verifiers and never sees a token. */
export type Verifier = string & { readonly [brand]: 'Verifier' }

export const REVOCATION_REASONS = [
  /** Its holder signed out. */
  'logout',
  /** Its client asked for it (RFC 7009). */
  'client_request',
  /** Its subject ended it from another session, or all of the subject's families were ended. */
  'subject_request',
  /** A new sign-in in the same browser took its place. */
  'replaced',
  /** A token that had been rotated away came back: two parties hold this family. */
  'reuse',
  /** The store fell back by more than one rotation, so nobody can tell any longer who the holder is. */
  'rollback',
] as const

/** Why a family was ended before its time. */
export type RevocationReason = (typeof REVOCATION_REASONS)[number]

/** The end of a family. `id` tells the call that made it from a call that found it already made. */
export interface Revocation {
  readonly id: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly reason: RevocationReason
}

/**
 * One login on one device, in one record of constant size however often it rotates. Instants are epoch milliseconds. Texts have the
 * lengths of `TEXT_LIMITS`; those without a limit below are ASCII of at most 64 bytes.
 * Nothing in it can be turned into a usable token, with or without the keys.
 */
export interface FamilyRecord {
  readonly id: FamilyId
  /** How often the family has rotated; 0 at issue. Never falls. */
  readonly generation: number
  /** Binds id, generation, clientId, createdAt, boundKey and the proof of the current token. */
  readonly verifier: Verifier
  /** With `keyId`, lets a retry of the predecessor compute the same successor again. */
  readonly nonce: string
  /** The key of the ring under which the current token was derived. */
  readonly keyId: string
  /** When the current generation came into being. */
  readonly rotatedAt: number
  /** Hash of the Idempotency-Key that made the last rotation. */
  readonly retryKey: string | null
  /** Longest pause between two uses, in milliseconds; null for none. */
  readonly idleMs: number | null
  /** `min(idle end, absolute end)`, computed by the store. A family is expired once `now >= expiresAt`. */
  readonly expiresAt: number
  /** Immutable: set at issue, inherited by every generation. */
  readonly absoluteExpiresAt: number
  /** Immutable: the record is not deleted before, even when the family is dead. */
  readonly keepUntil: number
  readonly revocation: Revocation | null
  /** 1 to 1024 bytes. */
  readonly subject: string
  /** 1 to 1024 bytes. */
  readonly clientId: string
  /** Space-separated, as granted (RFC 6749 section 3.3); empty for none. ASCII, at most 4096 bytes. */
  readonly scope: string
  /** Resource servers that the grant covers (RFC 8707); empty for the server's default. At most 64, each of 1 to 1024 bytes. */
  readonly audience: readonly string[]
  /**
   * Key that must be proven at every use: `jkt:…` (RFC 9449) or `x5t#S256:…` (RFC 8705); null for none. 1 to 1024 bytes.
   */
  readonly boundKey: string | null
  /** An offline_access grant: has limits of its own and outlives an ordinary logout. */
  readonly offline: boolean
  /** At most 4096 bytes of JSON, given at issue, such as the user agent. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdAt: number
}

/** A family as an app may see it: the record without what belongs to the token machinery. Instants are epoch milliseconds. */
export interface Family {
  readonly id: FamilyId
  readonly generation: number
  readonly subject: string
  readonly clientId: string
  readonly scope: string
  readonly audience: readonly string[]
  readonly boundKey: string | null
  readonly offline: boolean
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdAt: number
  /** Last rotation or renewal. Where an idle limit is close to the absolute end this is a lower bound. */
  readonly lastUsedAt: number
  readonly expiresAt: number
  readonly absoluteExpiresAt: number
}

/** The rule by which a store sets `expiresAt` at every write of a living family. */
export function expiryAt(
  now: number,
  { idleMs, absoluteExpiresAt }: Pick<FamilyRecord, 'idleMs' | 'absoluteExpiresAt'>,
): number {
  return idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt)
}

export function toFamily(record: FamilyRecord): Family {
  const { id, generation, subject, clientId, scope, audience, boundKey, offline, metadata, createdAt } = record
  const { rotatedAt, idleMs, expiresAt, absoluteExpiresAt } = record
  // Renewals without rotation move only expiresAt, so the last use has to be read from there.
  const lastUsedAt = idleMs === null ? rotatedAt : Math.max(rotatedAt, expiresAt - idleMs)
  return {
    id,
    generation,
    subject,
    clientId,
    scope,
    audience,
    boundKey,
    offline,
    metadata,
    createdAt,
    lastUsedAt,
    expiresAt,
    absoluteExpiresAt,
  }
}
