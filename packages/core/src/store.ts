import type { FamilyId, FamilyRecord, Revocation } from './family.js'
import type { RotateCommand } from './store/apply.js'
import type { Page } from './store/list-page.js'

export { expiryAt as expiryOf } from './family.js'
export { TEXT_LIMITS } from './text-limits.js'
export {
  applyRevocation,
  applyRotation,
  deletableAt,
  isAlive,
  type RotateCommand,
  rotationApplies,
} from './store/apply.js'
export { type BatchOptions, batchCalls, type CallResult, nextBatch } from './store/batch-calls.js'
export { assertClient, type ClientRequirements } from './store/assert-client.js'
export {
  compareNewestFirst,
  decodeCursor,
  encodeCursor,
  type ListPosition,
  type Page,
  pageOf,
  positionOf,
  toPage,
} from './store/list-page.js'
export { type ConditionalStatements, conditionalWrites } from './store/conditional-writes.js'
export { FAMILY_COLUMNS, type FamilyRow, fromRow, toCurrentColumns, toRow, toValues } from './store/family-row.js'
export { purgeInSteps, type PurgeStatements, type TableRange } from './store/purge.js'
export { type ConflictPolicy, errorCode, errorMessage, retryOnConflict } from './store/retry.js'

export interface ListQuery {
  /** 1 to 1024 bytes. */
  readonly subject: string
  /** From the previous page's `cursor`; absent for the first page. At most 1024 bytes. It may have come with a request. */
  readonly cursor?: string
  /** At most this many items, 1 or more. */
  readonly limit: number
  readonly now: number
}

/** One caller's claim on a key that only one caller may have, such as the `jti` of a proof. */
export interface Claim {
  /** ASCII, at most 64 bytes: core hashes what a caller names. */
  readonly key: string
  /** ASCII, at most 64 bytes. Of this call alone, so that it knows the claim for its own. */
  readonly by: string
  /** Epoch milliseconds: from then on, the key may be forgotten. */
  readonly expiresAt: number
}

/**
 * Where families live. You write one of these to run Baton on an engine that it does not know yet.
 *
 * A store decides nothing. It compares, swaps and returns; every protocol rule lives in core. Four duties:
 *
 * - Every method is atomic on one record, and a resolved promise means that the write is as durable as the engine makes it.
 * - Every write returns the record *as it stands after the call*, never an earlier snapshot. Core recognises its own write in
 *   it, so a driver may execute a command twice without anything being misread.
 * - Failures reject. Nothing is swallowed, nothing is answered from a cache, nothing is evicted to make room.
 * - No clock, no randomness, no environment: `now` comes with the call.
 *
 * A store keeps `current` and `grant` as they are, with every member they have, such as in one JSON column each; beside them it keeps
 * whatever its statements compare or sort by. A new member of either then changes no store.
 *
 * `now` is epoch milliseconds throughout. Core sends integers from -8.64e15 to 8.64e15, the range of a `Date`, and no other numbers. Where
 * a store sends several commands together, one that fails must not fail the others. Texts are well-formed Unicode without NUL, and no
 * longer than `TEXT_LIMITS` says; a store keeps all of them whole and compares subjects byte by byte. `@baton/store-testkit` proves an implementation.
 */
export interface TokenStore {
  /**
   * Stores `record` unless its id exists, in one atomic step. Returns the record as it stands: this one, or the one that was
   * there. Once resolved, `list` finds it.
   */
  create(record: FamilyRecord, now: number): Promise<FamilyRecord>

  /** Returns the record, dead or alive, or null. Sees every write that resolved before the call began. */
  find(id: FamilyId): Promise<FamilyRecord | null>

  /**
   * Atomic. If and only if the stored `current.verifier` is `expect`, the family is not revoked and `expiresAt > now`: replaces
   * `current` by `next` and sets `expiresAt = min(now + idleMs, absoluteExpiresAt)` (the absolute end where `idleMs` is null).
   * Returns the record as it stands after that decision, or null when there is none. One round trip when it applies.
   */
  rotate(command: RotateCommand): Promise<FamilyRecord | null>

  /** Atomic and permanent: sets the revocation unless there is one already. Returns the record as it stands, or null. */
  revoke(id: FamilyId, revocation: Revocation): Promise<FamilyRecord | null>

  /**
   * The subject's living families, newest first by `grant.createdAt`, ties by id. The cursor is a position, never an offset: a
   * family that lives throughout the paging appears exactly once. A cursor that this store did not make rejects with `ConfigurationError`.
   */
  list(query: ListQuery): Promise<Page<FamilyRecord>>

  /**
   * Deletes up to `limit` families that are dead (revoked or expired) and past `lifetime.keepUntil`, and remembered keys past their
   * end, without holding a lock for long. Returns how many it deleted; fewer than `limit` means that nothing is left.
   */
  purge(now: number, limit: number): Promise<number>

  /**
   * Atomic. Remembers the claim until its `expiresAt`, unless one on the same key is remembered at `now`. Returns whose the key is
   * after the call: this claim's `by`, or that of the one that was there.
   */
  remember(claim: Claim, now: number): Promise<string>
}
