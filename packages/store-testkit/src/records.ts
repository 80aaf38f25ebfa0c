import { createHash } from 'node:crypto'
import type { Claim, FamilyId, FamilyRecord, Revocation, RotateCommand, Succession, Verifier } from '@baton/core'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR
/** The present, in every case. */
export const NOW = Date.UTC(2027, 0, 15, 12)

/** Looks as core's hashes do; the same name gives the same one. */
export function hashOf(name: string): string {
  return createHash('sha256').update(name).digest().subarray(0, 16).toString('base64url')
}

export function familyId(name: string): FamilyId {
  return hashOf(`family ${name}`) as FamilyId
}

export function verifier(name: string): Verifier {
  return hashOf(`verifier ${name}`) as Verifier
}

/** A family issued at NOW, idle after a day, over after ten. */
export function familyOf(name: string, changes: Partial<FamilyRecord> = {}): FamilyRecord {
  return {
    id: familyId(name),
    generation: 0,
    verifier: verifier(`${name} 0`),
    nonce: 'bm9uY2Utbm9uY2Ut',
    keyId: 'a-Z_',
    rotatedAt: NOW,
    retryKey: null,
    idleMs: DAY,
    expiresAt: NOW + DAY,
    absoluteExpiresAt: NOW + 10 * DAY,
    keepUntil: NOW,
    revocation: null,
    subject: 'user-1',
    clientId: 'first-party',
    scope: 'openid profile',
    audience: ['https://api.example', 'https://files.example'],
    boundKey: null,
    offline: false,
    metadata: { userAgent: 'Browser/1.0 (like another browser)' },
    createdAt: NOW,
    ...changes,
  }
}

function successionOf(record: FamilyRecord, at: number, changes: Partial<Succession> = {}): Succession {
  const generation = record.generation + 1
  return {
    generation,
    verifier: verifier(`${record.id} ${String(generation)}`),
    nonce: hashOf(`${record.id} ${String(generation)}`).slice(0, 16),
    keyId: 'b0b0',
    rotatedAt: at,
    retryKey: null,
    ...changes,
  }
}

export function rotationOf(record: FamilyRecord, now: number, changes: Partial<Succession> = {}): RotateCommand {
  return { id: record.id, expect: record.verifier, next: successionOf(record, now, changes), now }
}

export function renewalOf(record: FamilyRecord, now: number): RotateCommand {
  return { id: record.id, expect: record.verifier, next: null, now }
}

export function revocationOf(name: string, changes: Partial<Revocation> = {}): Revocation {
  return { id: hashOf(`revocation ${name}`).slice(0, 16), at: NOW + HOUR, reason: 'logout', ...changes }
}

/** The claim on a key by a caller of this name, until an hour from now unless told otherwise. */
export function claimOf(key: string, name: string, expiresAt = NOW + HOUR): Claim {
  return { key, by: hashOf(`claim ${name}`).slice(0, 16), expiresAt }
}

/** What a rotation must make of the record. */
export function rotated(record: FamilyRecord, { next, now }: RotateCommand): FamilyRecord {
  const { idleMs, absoluteExpiresAt } = record
  return {
    ...record,
    ...next,
    expiresAt: idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt),
  }
}
