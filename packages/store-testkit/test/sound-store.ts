import { type OneTimeKey, ConfigurationError, type FamilyRecord, type TokenStore } from '@baton/core'
import { appendRevocation, type LoggedRevocation, pageOfLog } from '@baton/core/store'
import { rotated } from '../src/records.js'

/** What a store keeps. Several connections may share it. */
export interface Shelf {
  readonly families: Map<string, FamilyRecord>
  /** Family ids by subject. */
  readonly index: Map<string, Set<string>>
  readonly claims: Map<string, OneTimeKey>
  readonly revocations: LoggedRevocation[]
}

export function emptyShelf(): Shelf {
  return { families: new Map(), index: new Map(), claims: new Map(), revocations: [] }
}

export function isAlive({ revocation, expiresAt }: FamilyRecord, now: number): boolean {
  return revocation === null && expiresAt > now
}

function newestFirst(one: Position, other: Position): number {
  return other.createdAt - one.createdAt || (one.id < other.id ? -1 : 1)
}

/** Keeps the contract, without a thought for speed. The broken stores are this one with one thing changed. */
export function soundStore(shelf: Shelf = emptyShelf()): TokenStore {
  const { families, index, claims, revocations } = shelf
  const read = (id: string) => structuredClone(families.get(id) ?? null)
  return {
    async create(record) {
      if (!families.has(record.id)) {
        put(shelf, record)
        appendRevocation(revocations, record)
      }
      return structuredClone(families.get(record.id) ?? record)
    },
    async find(id) {
      return read(id)
    },
    async rotate({ id, expect, next, now }) {
      const record = read(id)
      if (record?.current.verifier === expect && isAlive(record, now))
        families.set(id, rotated(record, { id, expect, next, now }))
      return read(id)
    },
    async revoke(id, revocation) {
      const record = read(id)
      if (record?.revocation === null) {
        families.set(id, { ...record, revocation })
        appendRevocation(revocations, { ...record, revocation })
      }
      return read(id)
    },
    async list({ subject, cursor, limit, now }) {
      const all = livingOf(shelf, subject, now)
      const after = cursor === undefined ? null : positionOf(cursor)
      const rest = all.filter((record) => after === null || newestFirst(after, placeOf(record)) < 0)
      const items = rest.slice(0, limit)
      const last = items.at(-1)
      const more = last !== undefined && rest.length > items.length
      return { items, cursor: more ? JSON.stringify(placeOf(last)) : null }
    },
    async listRevoked(query) {
      return pageOfLog(revocations, query)
    },
    async purge(now, limit) {
      const dead = [...families.values()].filter((record) => !isAlive(record, now) && record.lifetime.keepUntil <= now)
      const gone = dead.slice(0, limit)
      for (const { id, grant } of gone) {
        families.delete(id)
        index.get(grant.subject)?.delete(id)
      }
      const over = [...claims].filter(([, { expiresAt }]) => expiresAt <= now).slice(0, limit - gone.length)
      for (const [key] of over) claims.delete(key)
      return gone.length + over.length
    },
    async claimOnce(claim, now) {
      const standing = claims.get(claim.key)
      if (standing !== undefined && standing.expiresAt > now) return standing.owner
      claims.set(claim.key, claim)
      return claim.owner
    },
  }
}

interface Position {
  readonly createdAt: number
  readonly id: string
}

function placeOf({ id, grant }: FamilyRecord): Position {
  return { createdAt: grant.createdAt, id }
}

function positionOf(cursor: string): Position {
  try {
    const position: unknown = JSON.parse(cursor)
    if (typeof position === 'object' && position !== null && 'createdAt' in position) return position as Position
  } catch {
    // No JSON at all.
  }
  throw new ConfigurationError('cursor', 'is not one that list returned')
}

export function put({ families, index }: Shelf, record: FamilyRecord): void {
  families.set(record.id, structuredClone(record))
  const { subject } = record.grant
  index.set(subject, (index.get(subject) ?? new Set()).add(record.id))
}

export function livingOf({ families, index }: Shelf, subject: string, now: number): FamilyRecord[] {
  return [...(index.get(subject) ?? [])]
    .flatMap((id) => families.get(id) ?? [])
    .filter((record) => isAlive(record, now))
    .map((record) => structuredClone(record))
    .sort((one, other) => newestFirst(placeOf(one), placeOf(other)))
}

export function expiryOf({ lifetime }: FamilyRecord, now: number): number {
  const { idleMs, absoluteExpiresAt } = lifetime
  return idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt)
}
