import { decide, type RejectionReason } from '../decision/decide.js'
import { type Family, toFamily } from '../model/family.js'
import { type Context, recordKeyMissing } from './context.js'
import { type TokenOrigin, tokenOriginOptions } from './contracts.js'
import { compareWithRecord } from './exchange.js'
import { readToken } from './legacy-token.js'

export type Inspection =
  { readonly active: true; readonly family: Family } | { readonly active: false; readonly reason: RejectionReason }

/**
 * Returns whether a refresh with this token would succeed now, for its own client and with the proof of its key. Changes nothing and
 * emits no event except faults: an old token is inactive here and does not revoke its family.
 */
export async function inspect(context: Context, refreshToken: string, origin?: TokenOrigin): Promise<Inspection> {
  const { legacyOnly } = tokenOriginOptions.parse('inspect', origin)
  const now = context.now()
  const presented = await readToken(context, refreshToken, legacyOnly)
  if (presented.kind !== 'authentic') return { active: false, reason: presented.kind }
  const { token, legacy } = presented
  const record = legacy?.record ?? (await context.store.find(token.familyId))
  if (record === null) return { active: false, reason: 'unknown' }
  const decision = decide(
    compareWithRecord(context, { token, legacy, binding: record.grant, retryKey: null }, record),
    { now, arrivedAt: now, requestRejection: null, superseded: false },
    { ...context.policy, rotates: true },
  )
  if (decision.kind === 'mint') return { active: true, family: toFamily(record) }
  if (decision.kind === 'fault') throw recordKeyMissing(context, record.current.keyId, 'inspect')
  return { active: false, reason: decision.reason }
}
