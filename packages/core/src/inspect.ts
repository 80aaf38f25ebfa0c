import { decide, type RefusalReason } from './decide.js'
import { type Engine, fault, keyMissing } from './engine.js'
import { type Family, toFamily } from './family.js'
import { readToken, type TokenOrigin } from './foreign.js'
import { relationOf } from './token.js'

export type Inspection =
  { readonly active: true; readonly family: Family } | { readonly active: false; readonly reason: RefusalReason }

/**
 * Tells whether a refresh with this token would succeed now, for its own client and with the proof of its key. Changes nothing
 * and reports nothing but faults: an ancestor is inactive here, not theft.
 */
export async function inspect(engine: Engine, refreshToken: string, origin: TokenOrigin = {}): Promise<Inspection> {
  const { store, ring, policy } = engine
  const now = engine.now()
  const presented = await readToken(engine, refreshToken, origin)
  if (presented.kind !== 'authentic') return { active: false, reason: presented.kind }
  const { token, newcomer } = presented
  const record = newcomer?.record ?? (await store.find(token.familyId))
  if (record === null) return { active: false, reason: 'unknown' }
  const decision = decide(
    {
      relation: newcomer?.isStored === false ? 'foreign' : relationOf(token, record, ring, record.grant),
      sameClient: true,
      sameKey: true,
      // No request is sent here that could carry a key.
      attempt: record.current.retryKey === null ? 'unknown' : 'without_key',
      revoked: record.revocation !== null,
      rotatedAt: record.current.rotatedAt,
      expiresAt: record.expiresAt,
    },
    { now, arrivedAt: now, objection: null, superseded: false },
    { ...policy, rotates: true },
  )
  if (decision.kind === 'mint') return { active: true, family: toFamily(record) }
  if (decision.kind === 'fault') throw fault(engine, 'record_key_missing', 'inspect', keyMissing(record.current))
  return { active: false, reason: decision.kind === 'decline' ? 'declined' : decision.reason }
}
