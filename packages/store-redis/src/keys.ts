import { createHash } from 'node:crypto'
import type { FamilyId } from '@baton/core'
import type { ListPosition } from '@baton/core/store'

/** Returns the functions that name every key of the store. Scripts use one key each, so any two keys may be on two nodes of a cluster. */
export function keyspace(prefix: string) {
  return {
    family: (id: FamilyId) => `${prefix}f:${id}`,
    /** A hash, because subjects may be long, and key names appear in logs. */
    subject: (subject: string) => `${prefix}s:${digest(subject)}`,
    /** The log of revocations: family ids, sorted by position. */
    revocations: `${prefix}revoked`,
    oneTimeKey: (key: string) => `${prefix}r:${digest(key)}`,
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url')

/** Nine characters in base 36 hold every instant until the year 5188. */
const INSTANT_LENGTH = 9

/** Returns the entry of a family in the index of its subject, which sorts by age. */
export function indexEntry({ createdAt, id }: ListPosition): string {
  return createdAt.toString(36).padStart(INSTANT_LENGTH, '0') + id
}

/** Returns the family of an entry that `indexEntry` returned. */
export function familyOfEntry(entry: string): FamilyId {
  return entry.slice(INSTANT_LENGTH) as FamilyId
}
