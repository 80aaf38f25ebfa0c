import type { FamilyId, FamilyRecord, Revocation, RotateCommand } from '@baton/core'

/** The store contract for a single record, as a pure function. */
export type StoreCall =
  | { readonly method: 'create'; readonly record: FamilyRecord }
  | { readonly method: 'find'; readonly id: FamilyId }
  | { readonly method: 'rotate'; readonly command: RotateCommand }
  | { readonly method: 'revoke'; readonly id: FamilyId; readonly revocation: Revocation }

/** Returns the record after the call; null if there is none. */
export type ModelStore = (record: FamilyRecord | null, call: StoreCall) => FamilyRecord | null

/** Returns the record after the call. The result is the same object if the call changed nothing. */
export function applyTo(record: FamilyRecord | null, call: StoreCall): FamilyRecord | null {
  if (call.method === 'create') return record ?? call.record
  if (record === null) return null
  switch (call.method) {
    case 'find':
      return record
    case 'revoke':
      return record.revocation === null ? { ...record, revocation: call.revocation } : record
    case 'rotate': {
      const { expect, next, now } = call.command
      if (record.current.verifier !== expect || record.revocation !== null || record.expiresAt <= now) return record
      const { idleMs, absoluteExpiresAt } = record.lifetime
      const expiresAt = Math.min(idleMs === null ? Infinity : now + idleMs, absoluteExpiresAt)
      return { ...record, current: next ?? record.current, expiresAt }
    }
  }
}
