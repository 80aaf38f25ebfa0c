import { setImmediate } from 'node:timers/promises'
import type { Claim, FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { pageOf } from '@baton/core/store'
import { subjectIndex } from './subject-index.js'

export interface MemoryStoreOptions {
  /** How many families fit, dead ones included until they are purged. Default 100000. When full, `create` rejects. */
  readonly maxFamilies?: number
}

/** Each new entry pays for looking at this many old ones, so the dead are found within a fraction of a round. */
const LOOKS_PER_ENTRY = 4
/** A purge looks at so many in one go, about a millisecond, and lets others have their turn. */
const LOOKS_PER_TURN = 1000

/**
 * Keeps families in this process, for tests, development and programs that may forget everybody when they stop. Every method but
 * `purge` is one uninterrupted step. Cleans up after itself: an app need not call `purge`. Records come back frozen.
 */
export function memoryStore({ maxFamilies = 100_000 }: MemoryStoreOptions = {}): TokenStore {
  if (!Number.isSafeInteger(maxFamilies) || maxFamilies < 1)
    throw new TypeError(`memoryStore: maxFamilies is ${String(maxFamilies)}; give a whole number, 1 or more`)

  const families = new Map<FamilyId, FamilyRecord>()
  const subjects = subjectIndex()
  const claims = new Map<string, Claim>()
  const lookAtFamilies = inRounds(families)
  const lookAtClaims = inRounds(claims)
  /** Until then a search for dead families finds none, unless one is created or revoked. Else each rejected `create` would search. */
  let fullUntil = -Infinity

  /** The parts of the record are frozen already. */
  function keep(record: FamilyRecord): FamilyRecord {
    families.set(record.id, Object.freeze(record))
    return record
  }

  function buryIfOver(record: FamilyRecord, now: number): boolean {
    if (isAlive(record, now) || record.lifetime.keepUntil > now) return false
    families.delete(record.id)
    subjects.remove(record.grant.subject, record.id)
    return true
  }

  /** Deletes all dead families, and returns when the next one dies. */
  function buryAll(now: number): number {
    let next = Infinity
    for (const record of families.values()) if (!buryIfOver(record, now)) next = Math.min(next, deathOf(record))
    return next
  }

  return {
    async create(record, now) {
      const standing = families.get(record.id)
      if (standing !== undefined) return standing
      lookAtFamilies((_id, old) => buryIfOver(old, now))
      if (families.size >= maxFamilies && now >= fullUntil) fullUntil = buryAll(now)
      if (families.size >= maxFamilies)
        throw new Error(
          `memoryStore is full: it holds ${String(maxFamilies)} families and evicts none; raise maxFamilies, or use a store with a disk`,
        )
      fullUntil = -Infinity
      subjects.add(record.grant.subject, record.id)
      return keep(deepFreeze(structuredClone(record)))
    },

    async find(id) {
      return families.get(id) ?? null
    },

    async rotate({ id, expect, next, now }) {
      const record = families.get(id)
      if (record === undefined) return null
      if (record.current.verifier !== expect || !isAlive(record, now)) return record
      const { grant, lifetime, revocation } = record
      const { idleMs, absoluteExpiresAt } = lifetime
      const expiresAt = idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt)
      const current = next === null ? record.current : deepFreeze({ ...next })
      // Spelt out, because a spread of a frozen record takes several times as long.
      return keep({ id, current, grant, lifetime, expiresAt, revocation })
    },

    async revoke(id, revocation) {
      const record = families.get(id)
      if (record === undefined) return null
      if (record.revocation !== null) return record
      fullUntil = -Infinity
      return keep({ ...record, revocation: deepFreeze(structuredClone(revocation)) })
    },

    async list({ subject, cursor, limit, now }) {
      const records = [...subjects.of(subject)].flatMap((id) => families.get(id) ?? [])
      return pageOf(
        records.filter((record) => isAlive(record, now)),
        { cursor, limit },
      )
    },

    async purge(now, limit) {
      let purged = 0
      let looks = 0
      // A million of them at one go would hold up everybody for half a second.
      const isTurnOver = () => (looks += 1) % LOOKS_PER_TURN === 0
      for (const record of families.values()) {
        if (purged === limit) return purged
        if (buryIfOver(record, now)) purged += 1
        if (isTurnOver()) await setImmediate()
      }
      for (const [key, { expiresAt }] of claims) {
        if (purged === limit) return purged
        if (isTurnOver()) await setImmediate()
        if (expiresAt > now) continue
        claims.delete(key)
        purged += 1
      }
      return purged
    },

    async remember({ key, by, expiresAt }, now) {
      lookAtClaims((old, claim) => claim.expiresAt <= now && claims.delete(old))
      const standing = claims.get(key)
      if (standing !== undefined && standing.expiresAt > now) return standing.by
      claims.set(key, { key, by, expiresAt })
      return by
    },
  }
}

function isAlive(record: FamilyRecord, now: number): boolean {
  return record.revocation === null && record.expiresAt > now
}

/** When the family may be deleted, as far as is known now. */
function deathOf({ revocation, expiresAt, lifetime }: FamilyRecord): number {
  const { keepUntil } = lifetime
  return revocation === null ? Math.max(expiresAt, keepUntil) : keepUntil
}

/** Shows the next few entries at every call, round and round; entries may come and go meanwhile. */
function inRounds<Key, Value>(map: Map<Key, Value>): (visit: (key: Key, value: Value) => void) => void {
  let round = map.entries()
  return (visit) => {
    for (let looks = 0; looks < LOOKS_PER_ENTRY; looks += 1) {
      const step = round.next()
      if (step.done) {
        round = map.entries()
        return
      }
      visit(...step.value)
    }
  }
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
