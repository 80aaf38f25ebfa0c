import { createHash } from 'node:crypto'
import type { FamilyId } from '@baton/core'
import type { ListPosition } from '@baton/core/store'

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

/** An entry of a subject's index: sorts by age, and contains the id of the family. */
export function indexEntry({ createdAt, id }: ListPosition): string {
  return createdAt.toString(36).padStart(INSTANT_LENGTH, '0') + id
}

export function familyOfEntry(entry: string): FamilyId {
  // Entries are made by indexEntry alone.
  return entry.slice(INSTANT_LENGTH) as FamilyId
}
