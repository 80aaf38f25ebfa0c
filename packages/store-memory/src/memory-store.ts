import type { OneTimeKey, FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { declareOptions, integer, type OptionsOf, withDefault } from '@baton/core/options'
import {
  appendRevocation,
  applyRevocation,
  applyRotation,
  deletableAt,
  type LoggedRevocation,
  pageOf,
  pageOfLog,
} from '@baton/core/store'
import { createCleaner } from './cleaner.js'
import { subjectIndex } from './subject-index.js'

const OPTIONS = declareOptions({
  /** The largest number of families, including dead ones that are not purged yet. Default 100000. When full, `create` rejects. */
  maxFamilies: withDefault(integer({ min: 1, max: 2 ** 24 }), 100_000),
})

export type MemoryStoreOptions = OptionsOf<typeof OPTIONS>

/**
 * Stores families in this process, for tests, development and programs that may lose all sessions when they stop. Every method except
 * `purge` is one uninterrupted step. Deletes dead families by itself: an app need not call `purge`. Returned records are frozen.
 *
 * @example
 * ```ts
 * import { createRefreshTokens } from '@baton/core'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['a secret of at least thirty-two bytes'] })
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): TokenStore {
  const { maxFamilies } = OPTIONS.parse('memoryStore', options)
  const families = new Map<FamilyId, FamilyRecord>()
  const subjects = subjectIndex()
  const claims = new Map<string, OneTimeKey>()
  const revocations: LoggedRevocation[] = []
  const familyCleaner = createCleaner(families, deleteIfDead)
  const claimCleaner = createCleaner(claims, ({ key, expiresAt }, now) => expiresAt <= now && claims.delete(key))
  /** Before this instant no family can be deleted, unless one is created or revoked. Spares a search in each rejected `create`. */
  let fullUntil = -Infinity

  const put = (record: FamilyRecord): FamilyRecord => {
    families.set(record.id, deepFreeze(record))
    return record
  }

  function deleteIfDead(record: FamilyRecord, now: number): boolean {
    if (deletableAt(record) > now) return false
    subjects.remove(record.grant.subject, record.id)
    return families.delete(record.id)
  }

  /** Deletes all dead families, and returns when the next one can be deleted. */
  function deleteAllDead(now: number): number {
    let next = Infinity
    for (const record of families.values()) if (!deleteIfDead(record, now)) next = Math.min(next, deletableAt(record))
    return next
  }

  return {
    async create(record, now) {
      const stored = families.get(record.id)
      if (stored !== undefined) return stored
      familyCleaner.checkSome(now)
      if (families.size >= maxFamilies && now >= fullUntil) fullUntil = deleteAllDead(now)
      if (families.size >= maxFamilies)
        throw new Error(
          `memoryStore is full: it holds ${String(maxFamilies)} families and evicts none; raise maxFamilies, or use a store with a disk`,
        )
      fullUntil = -Infinity
      subjects.add(record.grant.subject, record.id)
      appendRevocation(revocations, record)
      return put(structuredClone(record))
    },

    async find(id) {
      return families.get(id) ?? null
    },

    async rotate(command) {
      const record = families.get(command.id)
      return record === undefined ? null : put(applyRotation(record, command))
    },

    async revoke(id, revocation) {
      const record = families.get(id)
      fullUntil = -Infinity
      if (record === undefined) return null
      const revoked = applyRevocation(record, structuredClone(revocation))
      if (revoked !== record) appendRevocation(revocations, revoked)
      return put(revoked)
    },

    async list(query) {
      const records = [...subjects.get(query.subject)].flatMap((id) => families.get(id) ?? [])
      return pageOf(records, query)
    },

    async listRevoked(query) {
      return pageOfLog(revocations, query)
    },

    async purge(now, limit) {
      const count = await familyCleaner.purge(now, limit)
      return count + (await claimCleaner.purge(now, limit - count))
    },

    async claimOnce({ key, owner, expiresAt }, now) {
      claimCleaner.checkSome(now)
      const stored = claims.get(key)
      if (stored !== undefined && stored.expiresAt > now) return stored.owner
      claims.set(key, { key, owner, expiresAt })
      return owner
    },
  }
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
