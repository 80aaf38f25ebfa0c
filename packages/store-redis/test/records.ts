import type { FamilyRecord, RotateCommand } from '@baton/core'
import { type FamilyChanges, familyOf as recordOf, rotationOf as rotationAt } from '@baton/store-testkit'

export const NOW = Date.UTC(2027, 0, 15)
export const DAY = 86_400_000

/** As core issues one for a UUID subject, a short client id and scope, and no metadata. */
export function familyOf(name: string, changes: FamilyChanges = {}): FamilyRecord {
  return recordOf(name, {
    rotatedAt: NOW,
    subject: '0b5cbb1c-9a4e-4b93-a1f0-3b0a5a4b8a5e',
    audience: [],
    metadata: {},
    createdAt: NOW,
    idleMs: 30 * DAY,
    expiresAt: NOW + 30 * DAY,
    absoluteExpiresAt: NOW + 90 * DAY,
    keepUntil: NOW,
    ...changes,
  })
}

export function rotationOf(record: FamilyRecord, now = NOW, retryKey: string | null = null): RotateCommand {
  return rotationAt(record, now, { retryKey })
}
