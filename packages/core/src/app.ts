import { demandBoolean, demandInstant, demandObject } from './demand.js'
import { type BeforeRotateVerdict, callHook, type Engine } from './engine.js'
import { type Family, type FamilyRecord, toFamily } from './family.js'

/** What an answer will grant: handed to `prepare`, which makes the access token from it. */
export interface Grant {
  readonly family: Family
  /** Of this answer: the family's scope, or what the request narrowed it to. */
  readonly scope: string
  /** Of this answer: the family's audience, or what the request narrowed it to. */
  readonly audience: readonly string[]
  /** From `beforeRotate`. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Work of the app's that may fail, such as signing by a remote service. Runs before anything is consumed. */
export type Prepare<Prepared> = (grant: Grant) => Promise<Prepared>

/** The app's share of an answer: what `beforeRotate` and `prepare` said. */
export interface Work<Prepared> {
  readonly objection: 'inactive' | null
  readonly superseded: boolean
  readonly claims: Readonly<Record<string, unknown>>
  readonly prepared: Prepared
}

const NOTHING: Work<undefined> = { objection: null, superseded: false, claims: {}, prepared: undefined }

/** The share of an app that has no hook and nothing to prepare; then `Prepared` is undefined. */
export function nothingToAsk<Prepared>(): Work<Prepared> {
  return NOTHING as Work<Prepared>
}

export interface Question<Prepared> {
  readonly record: FamilyRecord
  /** What `validAfter` is compared with, in epoch milliseconds. */
  readonly signedInAt: number
  /** As the record will stand once the answer has been given. */
  readonly ahead: FamilyRecord
  readonly grantOf: (record: FamilyRecord, claims: Grant['claims']) => Grant
  readonly prepare: Prepare<Prepared> | undefined
}

/** Asks `beforeRotate`, then `prepare` unless the answer will be no. Whatever they throw is a fault. */
export async function askTheApp<Prepared>(
  engine: Engine,
  { record, signedInAt, ahead, grantOf, prepare }: Question<Prepared>,
): Promise<Work<Prepared>> {
  const { beforeRotate } = engine
  const nothing = nothingToAsk<Prepared>()
  const verdict =
    beforeRotate &&
    (await callHook(engine, 'beforeRotate', async () => checkVerdict(await beforeRotate({ family: toFamily(record) }))))
  if (verdict?.active === false) return { ...nothing, objection: 'inactive' }
  if (signedInAt < (verdict?.validAfter ?? -Infinity)) return { ...nothing, superseded: true }
  const claims = verdict?.claims ?? {}
  if (prepare === undefined) return { ...nothing, claims }
  return { ...nothing, claims, prepared: await callHook(engine, 'prepare', () => prepare(grantOf(ahead, claims))) }
}

/** A hook that returns a bare false, or a date, must not let everybody pass. */
function checkVerdict(verdict: BeforeRotateVerdict | undefined): BeforeRotateVerdict | undefined {
  if (verdict === undefined) return undefined
  demandObject('beforeRotate', verdict)
  demandBoolean('beforeRotate.active', verdict.active)
  demandInstant('beforeRotate.validAfter', verdict.validAfter)
  // Claims that no access token can hold must fail here, not once the token has been consumed.
  JSON.stringify(verdict.claims)
  return verdict
}
