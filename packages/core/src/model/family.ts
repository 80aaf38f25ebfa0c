import type { Confirmation } from './confirmation.js'

declare const brand: unique symbol

/** The public id of a family: a hash of the handle in its tokens, so it is safe to log, to show and to use as `sid`. */
export type FamilyId = string & { readonly [brand]: 'FamilyId' }

/** Returns true if the value has the format of a family id. The family may not exist. */
export function isFamilyId(value: unknown): value is FamilyId {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{22}$/.test(value)
}

/** A hash of a family's current token. A store compares verifiers and never receives a token. */
export type Verifier = string & { readonly [brand]: 'Verifier' }

export const REVOCATION_REASONS = [
  /** The user signed out. */
  'logout',
  /** The client revoked it (RFC 7009). */
  'client_request',
  /** The user revoked it from another session, or all families of the subject were revoked. */
  'subject_request',
  /** A new sign-in in the same browser replaced it. */
  'replaced',
  /** An old token was presented again: two parties hold a token of this family. */
  'reuse',
  /** The store lost more than one rotation, so the legitimate holder is unknown. */
  'rollback',
] as const

/** Why a family was revoked. */
export type RevocationReason = (typeof REVOCATION_REASONS)[number]

/** The revocation of a family. `id` lets a call recognise its own revocation. */
export interface Revocation {
  readonly id: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly reason: RevocationReason
}

/** The state of the current token: what a rotation replaces as a whole. Instants are epoch milliseconds. */
export interface CurrentToken {
  /** Number of rotations so far; 0 at issue. Never decreases. */
  readonly generation: number
  /** Commits to the family id, the generation, the client, `createdAt`, the confirmation key and the proof of the current token. */
  readonly verifier: Verifier
  /** Together with the key `keyId`, lets a retry of the predecessor derive the same successor again. */
  readonly nonce: string
  /** Id of the key under which the current token was derived. */
  readonly keyId: string
  /** Instant at which the current token was issued. */
  readonly rotatedAt: number
  /** Hash of the Idempotency-Key of the request that issued the current token; null if it had none. */
  readonly retryKey: string | null
}

/** What was granted at issue. Immutable, inherited by every generation, and part of the app's view of a family. */
export interface FamilyGrant {
  /** 1 to 1024 bytes. */
  readonly subject: string
  /** 1 to 1024 bytes. */
  readonly clientId: string
  /** Space-separated, as granted (RFC 6749 section 3.3); empty for none. ASCII, at most 4096 bytes. */
  readonly scope: string
  /** Resource servers that the grant covers (RFC 8707); empty for the server's default. At most 64, each of 1 to 1024 bytes. */
  readonly audience: readonly string[]
  /**
   * Key that every request must prove: `{ jkt }` (RFC 9449) or `{ 'x5t#S256' }` (RFC 8705), of 1 to 1024 bytes; null for a bearer token.
   */
  readonly confirmation: Confirmation | null
  /** True for an offline_access grant: it has separate limits and outlives an ordinary logout. */
  readonly offline: boolean
  /** At most 4096 bytes of JSON, given at issue, such as the user agent. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** Instant at which the user was authenticated, in epoch milliseconds; absent if it is unknown. */
  readonly authTime?: number
  /** The authentication context class, of 1 to 1024 bytes; absent if it is unknown. */
  readonly acr?: string
  /** The authentication methods, 1 to 16, each of 1 to 1024 bytes; absent if they are unknown. */
  readonly amr?: readonly string[]
  /** Instant of the sign-in, in epoch milliseconds. */
  readonly createdAt: number
}

/** The limits that a store applies. Immutable. Instants are epoch milliseconds. */
export interface FamilyLifetime {
  /** Longest time between two uses, in milliseconds; null for no such limit. */
  readonly idleMs: number | null
  /** Instant at which the family expires however often it is used. */
  readonly absoluteExpiresAt: number
  /** The record is not deleted before this instant, even if the family is revoked or expired. */
  readonly keepUntil: number
}

/**
 * One login on one device, in one record of constant size however often it rotates. Texts have the lengths of `TEXT_LIMITS`; those
 * without a limit below are ASCII of at most 64 bytes. A store reads `id`, `current.verifier`,
 * `grant.subject`, `grant.createdAt`, `lifetime`, `expiresAt` and `revocation`; it keeps `current` and `grant` unchanged.
 * No part of a record can be turned into a usable token, with or without the keys.
 */
export interface FamilyRecord {
  readonly id: FamilyId
  readonly current: CurrentToken
  readonly grant: FamilyGrant
  readonly lifetime: FamilyLifetime
  /** Epoch milliseconds, computed by the store: see `expiryAt`. A family is expired once `now >= expiresAt`. */
  readonly expiresAt: number
  readonly revocation: Revocation | null
}

/** A family as an app sees it: the grant, and what can be said about its use. Instants are epoch milliseconds. */
export interface Family extends FamilyGrant {
  readonly id: FamilyId
  readonly generation: number
  /** Last rotation or renewal. A lower bound if the idle limit ends close to the absolute one. */
  readonly lastUsedAt: number
  readonly expiresAt: number
  readonly absoluteExpiresAt: number
}

/**
 * Returns the `expiresAt` that a store sets at every write of an active family, in epoch milliseconds.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { expiryAt } from '@baton/core/store'
 *
 * const renewed = (record: FamilyRecord, now: number) => ({ ...record, expiresAt: expiryAt(now, record.lifetime) })
 * ```
 */
export function expiryAt(
  now: number,
  { idleMs, absoluteExpiresAt }: Pick<FamilyLifetime, 'idleMs' | 'absoluteExpiresAt'>,
): number {
  return idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt)
}

/** Returns the record without the token state. */
export function toFamily({ id, current, grant, lifetime, expiresAt }: FamilyRecord): Family {
  const { generation, rotatedAt } = current
  const { idleMs, absoluteExpiresAt } = lifetime
  // A renewal changes only expiresAt, so the last use is derived from it.
  const lastUsedAt = idleMs === null ? rotatedAt : Math.max(rotatedAt, expiresAt - idleMs)
  return { id, generation, ...grant, lastUsedAt, expiresAt, absoluteExpiresAt }
}
