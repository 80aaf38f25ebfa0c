import type { FamilyId, FamilyRecord, Revocation } from './model/family.js'
import type { RotateCommand } from './store/apply.js'
import type { Page } from './store/list-page.js'
import type { RevocationPage, RevocationQuery } from './store/revocation-log.js'

export { expiryAt } from './model/family.js'
export { TEXT_LIMITS } from './model/text-limits.js'
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
export {
  appendRevocation,
  decodeLogCursor,
  encodeLogCursor,
  invalidLogCursor,
  type LoggedRevocation,
  pageOfLog,
  REVOCATION_RETENTION_MS,
  type RevocationPage,
  type RevocationQuery,
  type RevokedFamily,
  toLogPage,
} from './store/revocation-log.js'
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

/** A key that only one caller may use, such as the `jti` of a proof. */
export interface OneTimeKey {
  /** ASCII, at most 64 bytes: a hash of the value. */
  readonly key: string
  /** ASCII, at most 64 bytes. Unique to this call, so that the call recognises its own write. */
  readonly owner: string
  /** Epoch milliseconds: from then on, the key may be deleted. */
  readonly expiresAt: number
}

/**
 * Where families are stored. Implement it to run Baton on another database engine.
 *
 * A store decides nothing. It compares, swaps and returns; every protocol rule is in core. Four rules:
 *
 * - Every method is atomic on one record. A promise resolves when the write is as durable as the engine makes it.
 * - Every write returns the record *after the call*, never an earlier snapshot. Core recognises its own write in it, so a driver may
 *   execute a command twice.
 * - Failures reject. The store swallows no error, answers no read from a cache, and evicts no record when memory is full.
 * - No clock, no randomness, no environment: `now` is an argument.
 *
 * A store keeps `current` and `grant` unchanged, with every member they have, such as in one JSON column each; beside them it keeps
 * the columns that its statements compare or sort by. A new member of either then changes no store.
 *
 * `now` is epoch milliseconds. Core passes integers from -8.64e15 to 8.64e15, the range of a `Date`, and no other numbers. If a store
 * sends several commands together, one that fails must not fail the others. Texts are well-formed Unicode without NUL, and no
 * longer than `TEXT_LIMITS`; a store keeps all of them unchanged and compares subjects byte by byte. `@baton/store-testkit` tests an
 * implementation.
 */
export interface TokenStore {
  /**
   * Atomic. Stores `record` unless its id exists. Returns the stored record: this one, or the one that existed. After it resolved, `list`
   * returns the family.
   */
  create(record: FamilyRecord, now: number): Promise<FamilyRecord>

  /** Returns the record, also if it is revoked or expired, or null. Sees every write that resolved before the call began. */
  find(id: FamilyId): Promise<FamilyRecord | null>

  /**
   * Atomic. If and only if the stored `current.verifier` is `expect`, the family is not revoked and `expiresAt > now`: replaces
   * `current` by `next` and sets `expiresAt = min(now + idleMs, absoluteExpiresAt)` (`absoluteExpiresAt` if `idleMs` is null).
   * Returns the record after that, or null if it does not exist. One round trip if the swap applies.
   */
  rotate(command: RotateCommand): Promise<FamilyRecord | null>

  /** Atomic and permanent. Sets the revocation unless the record has one. Returns the record after the call, or null. */
  revoke(id: FamilyId, revocation: Revocation): Promise<FamilyRecord | null>

  /**
   * The subject's active families, newest first by `grant.createdAt`, then by id. The cursor is a position, never an offset: a
   * family that is active during the whole listing appears exactly once. Rejects with `ConfigurationError` for a cursor of another store.
   */
  list(query: ListQuery): Promise<Page<FamilyRecord>>

  /**
   * The families of all subjects that `revoke` revoked, or that `create` stored as revoked, oldest first, for at least
   * `REVOCATION_RETENTION_MS`, also if `purge` has deleted the family. A caller that passes each cursor to the next call receives every
   * revocation, in whatever order concurrent writes are committed, and whatever the clocks of their instances say. After `revoke`
   * resolved, a call that begins later returns the family. Rejects with `ConfigurationError` for a cursor of another store.
   */
  listRevoked(query: RevocationQuery): Promise<RevocationPage>

  /**
   * Deletes up to `limit` families that are revoked or expired and past `lifetime.keepUntil`, and expired one-time keys, without holding
   * a lock for long. Returns how many it deleted; fewer than `limit` means that nothing is left.
   */
  purge(now: number, limit: number): Promise<number>

  /**
   * Atomic. Stores the one-time key until its `expiresAt`, unless the same key is stored and not expired at `now`. Returns the owner of
   * the key after the call: the `owner` of this call, or that of the earlier one.
   */
  claimOnce(oneTimeKey: OneTimeKey, now: number): Promise<string>
}
