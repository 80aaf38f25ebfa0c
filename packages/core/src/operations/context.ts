import type { RejectionReason } from '../decision/decide.js'
import type { RefreshEvent } from '../events/events.js'
import { OperationalError, type OperationalErrorCode } from '../model/errors.js'
import type { CurrentToken, FamilyId, FamilyRecord } from '../model/family.js'
import type { Policy } from '../model/policy.js'
import type { TokenStore } from '../store.js'
import type { Random } from '../token/derive.js'
import type { Key, KeyRing } from '../token/keys.js'
import type { BeforeRotate, LegacyTokenSource } from './contracts.js'

/** What every operation works with. */
export interface Context {
  readonly store: TokenStore
  readonly ring: KeyRing
  readonly tokenPrefix: string
  readonly policy: Policy
  readonly beforeRotate: BeforeRotate | undefined
  readonly legacyTokens: LegacyTokenSource | undefined
  readonly now: () => number
  readonly random: Random
  readonly nonce: () => string
  readonly emit: (event: RefreshEvent) => void
}

export interface Failure {
  readonly code: OperationalErrorCode
  /** The call that failed, such as `rotate` or `beforeRotate`. */
  readonly operation: string
  readonly message: string
  readonly cause?: unknown
}

/** Emits a `fault` event and returns the error to throw. */
export function fault({ emit, now }: Context, { code, operation, message, cause }: Failure): OperationalError {
  emit({ type: 'fault', at: now(), code, operation })
  return new OperationalError(code, message, { cause })
}

/** Emits a `rejected` event and returns the rejection. */
export function reject(
  { emit, now }: Context,
  rejected: { readonly reason: RejectionReason; readonly familyId: FamilyId | null; readonly clientId: string },
): Rejection {
  const { reason, familyId, clientId } = rejected
  emit({ type: 'rejected', at: now(), reason, familyId, clientId })
  return { ok: false, reason }
}

export interface Rejection {
  readonly ok: false
  readonly reason: RejectionReason
}

/** Calls a function of the app. What it throws becomes an `OperationalError`, so that a failure rejects no token. */
export async function callHook<Result>(
  context: Context,
  operation: string,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run()
  } catch (cause) {
    throw fault(context, { code: 'hook_failed', operation, message: `${operation} threw`, cause })
  }
}

/** Returns the key that derived the current token of a record. Throws if it is not in `secrets`. */
export function findRecordKey(context: Context, { keyId }: Pick<CurrentToken, 'keyId'>, operation: string): Key {
  const key = context.ring.find(keyId)
  if (key === undefined) throw recordKeyMissing(context, keyId, operation)
  return key
}

export function recordKeyMissing(context: Context, keyId: string, operation: string): OperationalError {
  const message = `the family was rotated with the key ${keyId}, which is not in secrets; configure the same list on every instance`
  return fault(context, { code: 'record_key_missing', operation, message })
}

/** Returns the members that identify a family in events. */
export function toEventFields({ id, grant }: Pick<FamilyRecord, 'id' | 'grant'>) {
  return { familyId: id, subject: grant.subject, clientId: grant.clientId }
}
