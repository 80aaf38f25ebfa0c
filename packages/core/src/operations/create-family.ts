import { expiryAt, type FamilyRecord } from '../model/family.js'
import { knownAuthentication, type ResolvedGrant } from '../model/grant.js'
import { computeVerifier, createFirstToken, type Seed } from '../token/derive.js'
import type { Context } from './context.js'

/** What a family starts with. Instants are epoch milliseconds. */
export interface FamilyStart {
  readonly grant: ResolvedGrant
  readonly seed: Seed
  readonly now: number
  /** When the user signed in; the absolute limit counts from here. */
  readonly createdAt: number
  /** Default: `createdAt` plus the policy's absolute limit. */
  readonly absoluteExpiresAt?: number | undefined
  /** Until when the code or token that the family is created from could be presented again. */
  readonly keepUntil: number
  /** Default: a new one. */
  readonly nonce?: string
  readonly retryKey?: string | null
}

/** Returns the record of a new family, whose current token is its first one. Stores nothing. */
export function createFamily(
  context: Context,
  { grant, seed, now, createdAt, absoluteExpiresAt, keepUntil, nonce = context.nonce(), retryKey = null }: FamilyStart,
): FamilyRecord {
  const { ring, policy } = context
  const { authTime: _authTime, acr: _acr, amr: _amr, ...granted } = grant
  const { idleMs, absoluteMs } = grant.offline ? policy.offline : policy
  const lifetime = { idleMs, absoluteExpiresAt: absoluteExpiresAt ?? createdAt + absoluteMs, keepUntil }
  const token = createFirstToken(seed, { ...grant, createdAt })
  const verifier = computeVerifier(token, grant)
  return {
    id: token.familyId,
    current: { generation: 0, verifier, nonce, keyId: ring.current.id, rotatedAt: now, retryKey },
    grant: { ...granted, ...knownAuthentication(grant), createdAt },
    lifetime,
    expiresAt: expiryAt(now, lifetime),
    revocation: null,
  }
}
