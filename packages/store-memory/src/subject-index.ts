import type { FamilyId } from '@baton/core'

/** Knows the families of each subject. */
export interface SubjectIndex {
  add(subject: string, id: FamilyId): void
  remove(subject: string, id: FamilyId): void
  of(subject: string): Iterable<FamilyId>
}

/** Most subjects have one family, and a set for each of them would weigh as much as the family itself. */
export function subjectIndex(): SubjectIndex {
  const entries = new Map<string, FamilyId | Set<FamilyId>>()
  return {
    add(subject, id) {
      const entry = entries.get(subject)
      if (entry === undefined || entry === id) entries.set(subject, id)
      else if (typeof entry === 'string') entries.set(subject, new Set([entry, id]))
      else entry.add(id)
    },
    remove(subject, id) {
      const entry = entries.get(subject)
      if (entry === undefined) return
      if (typeof entry === 'string') {
        if (entry === id) entries.delete(subject)
        return
      }
      entry.delete(id)
      if (entry.size === 0) entries.delete(subject)
    },
    of(subject) {
      const entry = entries.get(subject) ?? []
      return typeof entry === 'string' ? [entry] : entry
    },
  }
}
