import { setImmediate } from 'node:timers/promises'
import type { Claim, FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { declareOptions, integer, type OptionsOf, withDefault } from '@baton/core/options'
import { applyRevocation, applyRotation, deletableAt, pageOf } from '@baton/core/store'
import { subjectIndex } from './subject-index.js'

const OPTIONS = declareOptions({
  /** The largest number of families, including dead ones that are not purged yet. Default 100000. When full, `create` rejects. */
  maxFamilies: withDefault(integer({ min: 1, max: 2 ** 24 }), 100_000),
})

export type MemoryStoreOptions = OptionsOf<typeof OPTIONS>

/** Each write of a new entry checks so many old ones, so that dead entries are found within a fraction of a round. */
const CHECKS_PER_ENTRY = 4
/** A purge checks so many entries, which takes about a millisecond, before it lets other work run. */
const CHECKS_PER_TURN = 1000

/**
 * Stores families in this process, for tests, development and programs that may lose all sessions when they stop. Every method except
 * `purge` is one uninterrupted step. Deletes dead families by itself: an app need not call `purge`. Returned records are frozen.
 */
export function memoryStore(options: MemoryStoreOptions = {}): TokenStore {
  const { maxFamilies } = OPTIONS.parse('memoryStore', options)
  const families = new Map<FamilyId, FamilyRecord>()
  const subjects = subjectIndex()
  const claims = new Map<string, Claim>()
  const deleteIfExpired = ({ key, expiresAt }: Claim, now: number) => expiresAt <= now && claims.delete(key)
  const checkSomeFamilies = inRounds(families, deleteIfDead)
  const checkSomeClaims = inRounds(claims, deleteIfExpired)
  /** A search for dead families finds none before, unless one is created or revoked. Else each rejected `create` would search. */
  let fullUntil = -Infinity

  function put(record: FamilyRecord): FamilyRecord {
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
      checkSomeFamilies(now)
      if (families.size >= maxFamilies && now >= fullUntil) fullUntil = deleteAllDead(now)
      if (families.size >= maxFamilies)
        throw new Error(
          `memoryStore is full: it holds ${String(maxFamilies)} families and evicts none; raise maxFamilies, or use a store with a disk`,
        )
      fullUntil = -Infinity
      subjects.add(record.grant.subject, record.id)
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
      if (record === undefined) return null
      fullUntil = -Infinity
      return put(applyRevocation(record, structuredClone(revocation)))
    },

    async list(query) {
      const records = [...subjects.of(query.subject)].flatMap((id) => families.get(id) ?? [])
      return pageOf(records, query)
    },

    async purge(now, limit) {
      const count = await purgeFrom(families, (record) => deleteIfDead(record, now), limit)
      return count + (await purgeFrom(claims, (claim) => deleteIfExpired(claim, now), limit - count))
    },

    async remember({ key, by, expiresAt }, now) {
      checkSomeClaims(now)
      const stored = claims.get(key)
      if (stored !== undefined && stored.expiresAt > now) return stored.by
      claims.set(key, { key, by, expiresAt })
      return by
    },
  }
}

/** Returns a function that checks the next few entries at each call, and begins again after the last. */
function inRounds<Value>(map: Map<unknown, Value>, check: (value: Value, now: number) => void): (now: number) => void {
  let round = map.entries()
  return (now) => {
    for (let checks = 0; checks < CHECKS_PER_ENTRY; checks += 1) {
      const step = round.next()
      if (step.done) {
        round = map.entries()
        return
      }
      check(step.value[1], now)
    }
  }
}

/** Deletes up to `limit` entries. A million checks in one turn would delay other work by half a second. */
async function purgeFrom<Value>(map: Map<unknown, Value>, purge: (value: Value) => boolean, limit: number) {
  let count = 0
  let checks = 0
  for (const value of map.values()) {
    if (count === limit) break
    if (purge(value)) count += 1
    checks += 1
    if (checks % CHECKS_PER_TURN === 0) await setImmediate()
  }
  return count
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
