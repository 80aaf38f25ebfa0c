import { type FamilyRecord, toFamily } from '../model/family.js'
import { assertObject } from '../model/validate.js'
import { boolean, declareOptions, instant, nullable, optional, required, rule } from '../options.js'
import { callHook, type Context } from './context.js'
import type { BeforeCommit, BeforeRotateVerdict, CheckRateLimit, Grant, TokenHolder } from './contracts.js'

/** What `beforeRotate` and `beforeCommit` returned. */
export interface HookResult<Prepared> {
  readonly rejection: 'inactive' | 'superseded' | null
  readonly claims: Grant['claims']
  readonly prepared: Prepared
}

const NO_RESULT: HookResult<undefined> = { rejection: null, claims: {}, prepared: undefined }

/** Returns the result of a call without hooks; then `Prepared` is undefined. */
export function withoutHooks<Prepared>(): HookResult<Prepared> {
  return NO_RESULT as HookResult<Prepared>
}

export interface HookInput<Prepared> {
  readonly record: FamilyRecord
  /** What `validAfter` is compared with, in epoch milliseconds. */
  readonly signedInAt: number
  /** Returns what the response will grant. */
  readonly toGrant: (claims: Grant['claims']) => Grant
  readonly beforeCommit: BeforeCommit<Prepared> | undefined
}

/** Calls `beforeRotate`, then `beforeCommit` unless the request will be rejected. What they throw becomes an `OperationalError`. */
export async function runHooks<Prepared>(
  context: Context,
  { record, signedInAt, toGrant, beforeCommit }: HookInput<Prepared>,
): Promise<HookResult<Prepared>> {
  const { beforeRotate } = context
  const none = withoutHooks<Prepared>()
  const verdict =
    beforeRotate &&
    (await callHook(context, 'beforeRotate', async () =>
      checkVerdict(await beforeRotate({ family: toFamily(record) })),
    ))
  if (verdict?.active === false) return { ...none, rejection: 'inactive' }
  if (signedInAt < (verdict?.validAfter ?? -Infinity)) return { ...none, rejection: 'superseded' }
  const claims = verdict?.claims ?? {}
  if (beforeCommit === undefined) return { ...none, claims }
  const prepared = await callHook(context, 'beforeCommit', () => beforeCommit(toGrant(claims)))
  return { ...none, claims, prepared }
}

/** Returns true if `checkRateLimit` lets the request proceed. */
export async function isWithinRateLimit(
  context: Context,
  checkRateLimit: CheckRateLimit | undefined,
  holder: TokenHolder,
): Promise<boolean> {
  return checkRateLimit === undefined || callHook(context, 'checkRateLimit', () => checkRateLimit(holder))
}

const anyMember = rule<unknown>('any value', () => true)
const verdictOptions = declareOptions({
  active: required(boolean()),
  validAfter: optional(nullable(instant())),
  claims: optional(anyMember),
})

/** A hook that returns a bare false, or a date, must not let every request pass. */
function checkVerdict(verdict: BeforeRotateVerdict | undefined): BeforeRotateVerdict | undefined {
  if (verdict === undefined) return undefined
  assertObject('beforeRotate', verdict)
  const { active, validAfter, claims } = verdict
  verdictOptions.parse('beforeRotate', { active, validAfter, claims }, 'beforeRotate.')
  // Claims that an access token cannot contain must fail here, before the token is consumed.
  JSON.stringify(claims)
  return verdict
}
