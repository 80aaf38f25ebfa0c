import { createHash } from 'node:crypto'
import type { FamilyId, FamilyRecord } from '@baton/core'

/** Names every key that the store writes. Each holds what lives and dies alone, so that each may sit in a cluster slot of its own. */
export function keyspace(prefix: string) {
  return {
    family: (id: FamilyId) => `${prefix}f:${id}`,
    /** Of a hash: subjects may be long, and are none of the business of whoever lists keys. */
    subject: (subject: string) => `${prefix}s:${digest(subject)}`,
    remembered: (key: string) => `${prefix}r:${digest(key)}`,
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url')
}

/** Nine characters in base 36 hold every instant until the year 5188. */
const INSTANT_LENGTH = 9

/** An entry of a subject's index: sorts by age, and still says which family it is. Serves as a cursor too. */
export function indexEntry({ createdAt, id }: Pick<FamilyRecord, 'createdAt' | 'id'>): string {
  return createdAt.toString(36).padStart(INSTANT_LENGTH, '0') + id
}

export function familyOfEntry(entry: string): FamilyId {
  // Entries are made by indexEntry alone.
  return entry.slice(INSTANT_LENGTH) as FamilyId
}

/** Throws `TypeError` for anything but a cursor of ours. */
export function demandCursor(cursor: string | undefined): void {
  if (cursor === undefined || /^[0-9a-z]{9}[A-Za-z0-9_-]{22}$/.test(cursor)) return
  throw new TypeError('cursor: not one that list returned; leave it out to begin at the first page')
}
