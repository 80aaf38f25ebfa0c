import { createHash } from 'node:crypto'
import type { FamilyId, FamilyRecord, RotateCommand, Verifier } from '@baton/core'

export const NOW = Date.UTC(2027, 0, 15)
export const DAY = 86_400_000

const hashOf = (name: string) => createHash('sha256').update(name).digest().subarray(0, 16).toString('base64url')

/** As core issues one for a UUID subject, a short client id and scope, and no metadata. */
export function familyOf(name: string, changes: Partial<FamilyRecord> = {}): FamilyRecord {
  return {
    id: hashOf(`family ${name}`) as FamilyId,
    generation: 0,
    verifier: hashOf(`verifier ${name}`) as Verifier,
    nonce: hashOf(`nonce ${name}`).slice(0, 16),
    keyId: 'a-Z_',
    rotatedAt: NOW,
    retryKey: null,
    idleMs: 30 * DAY,
    expiresAt: NOW + 30 * DAY,
    absoluteExpiresAt: NOW + 90 * DAY,
    keepUntil: NOW,
    revocation: null,
    subject: '0b5cbb1c-9a4e-4b93-a1f0-3b0a5a4b8a5e',
    clientId: 'first-party',
    scope: 'openid profile',
    audience: [],
    boundKey: null,
    offline: false,
    metadata: {},
    createdAt: NOW,
    ...changes,
  }
}

export function rotationOf(record: FamilyRecord, now = NOW, retryKey: string | null = null): RotateCommand {
  const generation = record.generation + 1
  const next = {
    generation,
    verifier: hashOf(`verifier ${record.id} ${String(generation)}`) as Verifier,
    nonce: hashOf(`nonce ${String(generation)}`).slice(0, 16),
    keyId: 'b0b0',
    rotatedAt: now,
    retryKey,
  }
  return { id: record.id, expect: record.verifier, next, now }
}
