import type { FamilyId } from '@baton/core'

/** Returns an index of families by subject. Most subjects have one family, and a set for each would take as much memory as the family. */
export function subjectIndex() {
  const entries = new Map<string, FamilyId | Set<FamilyId>>()
  return {
    add(subject: string, id: FamilyId): void {
      const entry = entries.get(subject)
      if (entry === undefined || entry === id) entries.set(subject, id)
      else if (typeof entry === 'string') entries.set(subject, new Set([entry, id]))
      else entry.add(id)
    },
    remove(subject: string, id: FamilyId): void {
      const entry = entries.get(subject)
      if (entry instanceof Set) entry.delete(id)
      if (entry === id || (entry instanceof Set && entry.size === 0)) entries.delete(subject)
    },
    get(subject: string): Iterable<FamilyId> {
      const entry = entries.get(subject) ?? []
      return typeof entry === 'string' ? [entry] : entry
    },
  }
}
