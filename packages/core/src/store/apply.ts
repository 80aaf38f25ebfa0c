import {
  type CurrentToken,
  expiryAt,
  type FamilyId,
  type FamilyRecord,
  type Revocation,
  type Verifier,
} from '../model/family.js'

/** One compare-and-swap on one family. */
export interface RotateCommand {
  readonly id: FamilyId
  /** The `current.verifier` that the record must still have. */
  readonly expect: Verifier
  /** Replaces `current` as a whole. Null renews without rotating: only `expiresAt` changes. */
  readonly next: CurrentToken | null
  /** Epoch milliseconds. The store reads no clock. */
  readonly now: number
}

/**
 * Returns true if the family is neither revoked nor expired.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { isAlive } from '@baton/core/store'
 *
 * const activeFamilies = (records: readonly FamilyRecord[], now: number) => records.filter((record) => isAlive(record, now))
 * ```
 */
export function isAlive({ revocation, expiresAt }: FamilyRecord, now: number): boolean {
  return revocation === null && expiresAt > now
}

/**
 * Returns the instant from which on `purge` deletes the record, unless it is renewed or revoked before.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { deletableAt } from '@baton/core/store'
 *
 * const isDeletable = (record: FamilyRecord, now: number) => deletableAt(record) <= now
 * ```
 */
export function deletableAt({ revocation, expiresAt, lifetime }: FamilyRecord): number {
  const { keepUntil } = lifetime
  return revocation === null ? Math.max(expiresAt, keepUntil) : keepUntil
}

/**
 * Returns true if a rotation or renewal applies to the record; null stands for no record.
 *
 * @example
 * ```ts
 * import type { FamilyRecord, RotateCommand } from '@baton/core'
 * import { rotationApplies } from '@baton/core/store'
 *
 * // True if another process has rotated or revoked the family in the meantime.
 * const isLost = (record: FamilyRecord | null, command: RotateCommand) => !rotationApplies(record, command)
 * ```
 */
export function rotationApplies(
  record: FamilyRecord | null,
  { expect, now }: Pick<RotateCommand, 'expect' | 'now'>,
): record is FamilyRecord {
  return record?.current.verifier === expect && isAlive(record, now)
}

/**
 * Returns the record as `rotate` leaves it: a new one, or `record` itself if the command does not apply. Call it while no other write
 * can change the record, and store the result if it is a new one. It shares no part with the command.
 *
 * @example
 * ```ts
 * import type { FamilyRecord, RotateCommand } from '@baton/core'
 * import { applyRotation } from '@baton/core/store'
 *
 * const families = new Map<string, FamilyRecord>()
 *
 * async function rotate(command: RotateCommand) {
 *   const record = families.get(command.id)
 *   if (record === undefined) return null
 *   const after = applyRotation(record, command)
 *   families.set(command.id, after)
 *   return after
 * }
 * ```
 */
export function applyRotation(record: FamilyRecord, command: RotateCommand): FamilyRecord {
  if (!rotationApplies(record, command)) return record
  const { next, now } = command
  const { id, current, grant, lifetime, revocation } = record
  // Every member by name, because a spread of a frozen record takes several times as long.
  const after = next === null ? current : { ...next }
  return { id, current: after, grant, lifetime, expiresAt: expiryAt(now, lifetime), revocation }
}

/**
 * Returns the record as `revoke` leaves it: a new one, or `record` itself if it is revoked already.
 *
 * @example
 * ```ts
 * import type { FamilyRecord, Revocation } from '@baton/core'
 * import { applyRevocation } from '@baton/core/store'
 *
 * const families = new Map<string, FamilyRecord>()
 *
 * async function revoke(id: string, revocation: Revocation) {
 *   const record = families.get(id)
 *   if (record === undefined) return null
 *   const after = applyRevocation(record, revocation)
 *   families.set(id, after)
 *   return after
 * }
 * ```
 */
export function applyRevocation(record: FamilyRecord, revocation: Revocation): FamilyRecord {
  return record.revocation === null ? { ...record, revocation } : record
}
