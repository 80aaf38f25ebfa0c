import type { Claim, FamilyRecord, TokenStore } from '@baton/core'

/** What a store keeps. Several connections may share it. */
export interface Shelf {
  readonly families: Map<string, FamilyRecord>
  /** Family ids by subject. */
  readonly index: Map<string, Set<string>>
  readonly claims: Map<string, Claim>
}

export function emptyShelf(): Shelf {
  return { families: new Map(), index: new Map(), claims: new Map() }
}

export function isAlive({ revocation, expiresAt }: FamilyRecord, now: number): boolean {
  return revocation === null && expiresAt > now
}

function newestFirst(one: Position, other: Position): number {
  return other.createdAt - one.createdAt || (one.id < other.id ? -1 : 1)
}

/** Keeps the contract, without a thought for speed. The broken stores are this one with one thing changed. */
export function soundStore(shelf: Shelf = emptyShelf()): TokenStore {
  const { families, index, claims } = shelf
  const read = (id: string) => structuredClone(families.get(id) ?? null)
  return {
    async create(record) {
      if (!families.has(record.id)) put(shelf, record)
      return structuredClone(families.get(record.id) ?? record)
    },
    async find(id) {
      return read(id)
    },
    async rotate({ id, expect, next, now }) {
      const record = read(id)
      if (record?.verifier === expect && isAlive(record, now))
        families.set(id, { ...record, ...next, expiresAt: expiryOf(record, now) })
      return read(id)
    },
    async revoke(id, revocation) {
      const record = read(id)
      if (record?.revocation === null) families.set(id, { ...record, revocation })
      return read(id)
    },
    async list({ subject, cursor, limit, now }) {
      const all = livingOf(shelf, subject, now)
      const after = cursor === undefined ? null : positionOf(cursor)
      const rest = all.filter((record) => after === null || newestFirst(after, record) < 0)
      const items = rest.slice(0, limit)
      const last = items.at(-1)
      const more = last !== undefined && rest.length > items.length
      return { items, cursor: more ? JSON.stringify({ createdAt: last.createdAt, id: last.id }) : null }
    },
    async purge(now, limit) {
      const dead = [...families.values()].filter((record) => !isAlive(record, now) && record.keepUntil <= now)
      const gone = dead.slice(0, limit)
      for (const { id, subject } of gone) {
        families.delete(id)
        index.get(subject)?.delete(id)
      }
      const over = [...claims].filter(([, { expiresAt }]) => expiresAt <= now).slice(0, limit - gone.length)
      for (const [key] of over) claims.delete(key)
      return gone.length + over.length
    },
    async remember(claim, now) {
      const standing = claims.get(claim.key)
      if (standing !== undefined && standing.expiresAt > now) return standing.by
      claims.set(claim.key, claim)
      return claim.by
    },
  }
}

type Position = Pick<FamilyRecord, 'createdAt' | 'id'>

function positionOf(cursor: string): Position {
  try {
    const position: unknown = JSON.parse(cursor)
    if (typeof position === 'object' && position !== null && 'createdAt' in position) return position as Position
  } catch {
    // No JSON at all.
  }
  throw new TypeError('cursor: not one that list returned')
}

export function put({ families, index }: Shelf, record: FamilyRecord): void {
  families.set(record.id, structuredClone(record))
  index.set(record.subject, (index.get(record.subject) ?? new Set()).add(record.id))
}

export function livingOf({ families, index }: Shelf, subject: string, now: number): FamilyRecord[] {
  return [...(index.get(subject) ?? [])]
    .flatMap((id) => families.get(id) ?? [])
    .filter((record) => isAlive(record, now))
    .map((record) => structuredClone(record))
    .sort(newestFirst)
}

export function expiryOf({ idleMs, absoluteExpiresAt }: FamilyRecord, now: number): number {
  return idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt)
}
