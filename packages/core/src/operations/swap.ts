import type { MintOutcome } from '../decision/decide.js'
import type { FamilyRecord } from '../model/family.js'
import type { RotateCommand } from '../store.js'
import type { AuthenticToken } from '../token/authentic-token.js'
import { computeVerifier, deriveSuccessor } from '../token/derive.js'
import { formatToken } from '../token/format.js'
import { type Context, findRecordKey } from './context.js'
import { isOwnToken, type Presented } from './exchange.js'

/** One compare-and-swap, and the token to return once the store has applied it. */
export interface Swap {
  readonly outcome: MintOutcome
  readonly command: RotateCommand
  /** The token that becomes the current one; the presented token for a renewal. */
  readonly token: AuthenticToken
  readonly refreshToken: string
}

/** Builds the swap for an outcome: from the presented token or, to heal, from the record. */
export function buildSwap(
  context: Context,
  presented: Presented & { readonly refreshToken: string },
  outcome: MintOutcome,
  record: FamilyRecord | null = null,
): Swap {
  const { ring, tokenPrefix } = context
  const { token, binding, retryKey, refreshToken } = presented
  const now = context.now()
  const id = token.familyId
  const isHealed = outcome === 'healed' && record !== null
  const expect = isHealed ? record.current.verifier : computeVerifier(token, binding)
  if (outcome === 'renewed') return { outcome, command: { id, expect, next: null, now }, token, refreshToken }
  const nonce = context.nonce()
  const successor = deriveSuccessor(token, ring.current, nonce)
  const { generation } = successor
  const verifier = computeVerifier(successor, binding)
  const next = { generation, verifier, nonce, keyId: ring.current.id, rotatedAt: now, retryKey }
  const command = { id, expect, next, now }
  return { outcome, command, token: successor, refreshToken: formatToken(successor, tokenPrefix, ring.current) }
}

/** Returns true if this call's swap was applied, also if the driver executed it twice. */
export function isOwnWrite(
  { ring }: Context,
  { binding }: Presented,
  { command, token }: Swap,
  record: FamilyRecord,
): boolean {
  const { expect, next, now } = command
  if (record.revocation !== null) return false
  if (next === null) return record.current.verifier === expect && record.expiresAt > now
  return isOwnToken(ring, { token, verifier: next.verifier, binding }, record)
}

/** Derives the successor that the first exchange of the predecessor returned. */
export function deriveRetry(context: Context, token: AuthenticToken, { current }: FamilyRecord) {
  const key = findRecordKey(context, current, 'rotate')
  const refreshToken = formatToken(deriveSuccessor(token, key, current.nonce), context.tokenPrefix, key)
  return { outcome: 'retried', generation: current.generation, refreshToken } as const
}
