import { createHash } from 'node:crypto'
import type {
  OneTimeKey,
  CurrentToken,
  FamilyGrant,
  FamilyId,
  FamilyLifetime,
  FamilyRecord,
  Revocation,
  RotateCommand,
  Verifier,
} from '@baton/core'

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

/** Members of a record by their names, whichever part they are in. */
export type FamilyChanges = Partial<
  CurrentToken & FamilyGrant & FamilyLifetime & Pick<FamilyRecord, 'id' | 'expiresAt' | 'revocation'>
>

/**
 * Returns a record of a family with constant times: it expires after a day without use, and after ten days in any case. The same name returns
 * the same ids and verifiers. `changes` replace members of any part.
 *
 * @example
 * ```ts
 * import { familyOf } from '@baton/store-testkit'
 *
 * const family = familyOf('one', { subject: 'alice' })
 * ```
 */
export function familyOf(name: string, changes: FamilyChanges = {}): FamilyRecord {
  return withChanges(
    {
      id: familyId(name),
      current: {
        generation: 0,
        verifier: verifier(`${name} 0`),
        nonce: 'bm9uY2Utbm9uY2Ut',
        keyId: 'a-Z_',
        rotatedAt: NOW,
        retryKey: null,
      },
      grant: {
        subject: 'user-1',
        clientId: 'first-party',
        scope: 'openid profile',
        audience: ['https://api.example', 'https://files.example'],
        confirmation: null,
        offline: false,
        metadata: { userAgent: 'Browser/1.0 (like another browser)' },
        createdAt: NOW,
      },
      lifetime: { idleMs: DAY, absoluteExpiresAt: NOW + 10 * DAY, keepUntil: NOW },
      expiresAt: NOW + DAY,
      revocation: null,
    },
    changes,
  )
}

/**
 * Returns a copy of the record with each change in the part that has a member of its name.
 *
 * @example
 * ```ts
 * import { familyOf, withChanges } from '@baton/store-testkit'
 *
 * const bound = withChanges(familyOf('one'), { subject: 'alice', revocation: null })
 * ```
 */
export function withChanges(record: FamilyRecord, changes: FamilyChanges): FamilyRecord {
  const { current, grant, lifetime } = record
  return {
    ...withMembers(record, changes),
    current: withMembers(current, changes),
    grant: withMembers(grant, changes),
    lifetime: withMembers(lifetime, changes),
  }
}

function withMembers<Part extends object>(part: Part, changes: FamilyChanges): Part {
  return { ...part, ...Object.fromEntries(Object.entries(changes).filter(([name]) => name in part)) }
}

/**
 * Returns the token that follows the current one of the record, rotated at this instant in epoch milliseconds.
 *
 * @example
 * ```ts
 * import { familyOf, successorOf } from '@baton/store-testkit'
 *
 * const family = familyOf('one')
 * const next = successorOf(family, family.current.rotatedAt + 1000)
 * ```
 */
export function successorOf(record: FamilyRecord, at: number, changes: Partial<CurrentToken> = {}): CurrentToken {
  const generation = record.current.generation + 1
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

/**
 * Returns the command that rotates the record at `now`, in epoch milliseconds.
 *
 * @example
 * ```ts
 * import { memoryStore } from '@baton/store-memory'
 * import { familyOf, rotationOf } from '@baton/store-testkit'
 *
 * const store = memoryStore()
 * const family = familyOf('one')
 * const now = family.current.rotatedAt
 * await store.create(family, now)
 * await store.rotate(rotationOf(family, now + 1000))
 * ```
 */
export function rotationOf(record: FamilyRecord, now: number, changes: Partial<CurrentToken> = {}): RotateCommand {
  return { id: record.id, expect: record.current.verifier, next: successorOf(record, now, changes), now }
}

export function renewalOf(record: FamilyRecord, now: number): RotateCommand {
  return { id: record.id, expect: record.current.verifier, next: null, now }
}

export function revocationOf(name: string, changes: Partial<Revocation> = {}): Revocation {
  return { id: hashOf(`revocation ${name}`).slice(0, 16), at: NOW + HOUR, reason: 'logout', ...changes }
}

/** The claim on a key by a caller of this name, until an hour from now unless told otherwise. */
export function claimOf(key: string, name: string, expiresAt = NOW + HOUR): OneTimeKey {
  return { key, owner: hashOf(`claim ${name}`).slice(0, 16), expiresAt }
}

/** What a rotation must make of the record. */
export function rotated(record: FamilyRecord, { next, now }: RotateCommand): FamilyRecord {
  const { idleMs, absoluteExpiresAt } = record.lifetime
  return {
    ...record,
    current: next ?? record.current,
    expiresAt: idleMs === null ? absoluteExpiresAt : Math.min(now + idleMs, absoluteExpiresAt),
  }
}
