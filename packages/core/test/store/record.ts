import type { FamilyId, FamilyRecord, Verifier } from '../../src/index.js'

export const NOW = Date.UTC(2027, 0, 15, 12)
export const HOUR = 3_600_000

export const idOf = (letter: string) => letter.repeat(22) as FamilyId
export const verifierOf = (letter: string) => letter.repeat(22) as Verifier

/** An active family of the position `createdAt`, `idOf(letter)`. */
export function recordAt(createdAt: number, letter = 'a'): FamilyRecord {
  return {
    id: idOf(letter),
    current: {
      generation: 0,
      verifier: verifierOf(letter),
      nonce: 'nonce',
      keyId: 'key',
      rotatedAt: createdAt,
      retryKey: null,
    },
    grant: {
      subject: 'user-1',
      clientId: 'first-party',
      scope: '',
      audience: [],
      confirmation: null,
      offline: false,
      metadata: {},
      createdAt,
    },
    lifetime: { idleMs: HOUR, absoluteExpiresAt: NOW + 10 * HOUR, keepUntil: NOW },
    expiresAt: NOW + HOUR,
    revocation: null,
  }
}
