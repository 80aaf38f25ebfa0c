import { demandFunction, demandKnown, demandObject, shown } from './demand.js'
import { callHook, type Engine, fault } from './engine.js'
import { ConfigurationError } from './errors.js'
import { type Family, type FamilyRecord, toFamily } from './family.js'
import { checkGrant, type IssueRequest, newFamily } from './issue.js'
import { MAX_SKEW_MS } from './numbers.js'
import { callObserver } from './observer.js'
import {
  type AuthenticToken,
  familyIdOf,
  firstToken,
  foreignSeed,
  mayBeForeign,
  type ParsedToken,
  parseToken,
  type Seed,
} from './token.js'

/** Whose another system's refresh token is, and within what limits. Instants are epoch milliseconds; fractions are dropped. */
export interface ForeignGrant extends IssueRequest {
  /**
   * When that system will stop honouring the token by itself; of a token that never expires, when you will stop accepting it. The
   * family's record is kept until a minute later, dead or alive, so that no token ever begins a second family. It must not move later.
   */
  readonly expiresAt: number
  /**
   * When the user signed in. Default: unknown. Then the absolute limit counts from the first use here, and the token is rejected where
   * a client or `beforeRotate` has a `validAfter`.
   */
  readonly createdAt?: number
  /** When the family ends however busy it is. Default: `createdAt` and the policy's absolute limit. */
  readonly absoluteExpiresAt?: number
}

/** Refresh tokens of the system that you come from: each is exchanged, once, for a family of its own. */
export interface ForeignTokens {
  /**
   * Names the token by its looks alone, the same however it is spelt: two spellings that `find` takes for one token would otherwise
   * make two families. Null for what is none of that system's; it costs no look-up. Default: every token by its exact text.
   */
  readonly identify?: (token: string) => string | null
  /**
   * Whose the token is; null where that system would refuse it now, so ask its list of revoked ones too. Called before every
   * exchange and never once the family exists. If it throws, the answer is a fault and nobody is signed out.
   */
  readonly find: (token: string) => Promise<ForeignGrant | null>
  /**
   * Told once the family stands, so that the other system can forget the token. Not awaited, and called again whenever the token
   * comes again, so it must be idempotent. If it fails, a fault event says so and nothing is lost.
   */
  readonly moved?: (token: string, family: Family) => Promise<unknown>
}

/** Another system's token, as generation 0 of a family of ours. */
export interface Newcomer {
  readonly text: string
  readonly seed: Seed
  readonly token: AuthenticToken
  /** As the store has it; else what the family would begin as. */
  readonly record: FamilyRecord
  readonly isStored: boolean
  /** When the user signed in; -Infinity if the other system does not say, so that no `validAfter` is met. Epoch milliseconds. */
  readonly signedInAt: number
}

/** Throws `ConfigurationError`. */
export function checkForeignTokens(accept: ForeignTokens | undefined): ForeignTokens | undefined {
  if (accept === undefined) return undefined
  demandObject('accept', accept)
  demandKnown(accept, ['identify', 'find', 'moved'], 'accept.')
  if (typeof (accept as Partial<ForeignTokens>).find !== 'function')
    throw new ConfigurationError('accept.find', `must be a function, got ${shown(accept.find)}`)
  demandFunction('accept.identify', accept.identify)
  demandFunction('accept.moved', accept.moved)
  return accept
}

export type Presented =
  | { readonly kind: 'authentic'; readonly token: AuthenticToken; readonly newcomer: Newcomer | null }
  | Exclude<ParsedToken, { readonly kind: 'authentic' }>

/** Where a token may come from. */
export interface TokenOrigin {
  /**
   * True rejects every token of Baton as malformed and lets only tokens of the system you come from pass (`accept`). For a place in
   * which another party may have put the token, such as a cookie of the old system's name.
   */
  readonly legacyOnly?: boolean | undefined
}

/** Reads a token: ours by its tag and without a store call, another system's by asking that system. */
export async function readToken(
  engine: Engine,
  text: unknown,
  { legacyOnly = false }: TokenOrigin = {},
): Promise<Presented> {
  const parsed = parseToken(text, engine.tokenPrefix, engine.ring)
  if (legacyOnly && parsed.kind !== 'malformed') return { kind: 'malformed' }
  if (parsed.kind === 'authentic') return { kind: 'authentic', token: parsed.token, newcomer: null }
  const newcomer = parsed.kind === 'malformed' ? await meetNewcomer(engine, text) : null
  return newcomer === null ? parsed : { kind: 'authentic', token: newcomer.token, newcomer }
}

/** Null for what is no token of the other system, or no longer. */
async function meetNewcomer(engine: Engine, text: unknown): Promise<Newcomer | null> {
  const { accept, store } = engine
  if (accept === undefined || !mayBeForeign(text)) return null
  const identity = await callHook(engine, 'accept.identify', async () => identityOf(accept, text))
  if (identity === null) return null
  const seed = foreignSeed(identity)
  const found = async (): Promise<Newcomer | null> => {
    const record = await store.find(familyIdOf(seed.handle))
    if (record === null) return null
    const { grant } = record
    return { text, seed, token: firstToken(seed, grant), record, isStored: true, signedInAt: grant.createdAt }
  }
  // Once there is a family, its record decides: the other system forgets the token, and a retry must not depend on it.
  const known = await found()
  if (known !== null) return known
  const met = await callHook(engine, 'accept.find', async () => {
    const grant = await accept.find(text)
    if (grant === null) return null
    const record = beginning(engine, seed, grant)
    return { record, signedInAt: grant.createdAt === undefined ? -Infinity : record.grant.createdAt }
  })
  // It may have forgotten the token between the two questions, because another call has just exchanged it.
  return met === null ? found() : { text, seed, token: firstToken(seed, met.record.grant), isStored: false, ...met }
}

function identityOf({ identify = (token) => token }: ForeignTokens, text: string): string | null {
  const identity = identify(text)
  // One name for several tokens would make one family of them all.
  if (identity !== null && (typeof identity !== 'string' || identity === ''))
    throw new ConfigurationError('accept.identify', `must be text or null, got ${shown(identity)}`)
  return identity
}

function beginning(engine: Engine, seed: Seed, found: ForeignGrant): FamilyRecord {
  const grant = checkGrant('accept.find', found)
  const now = engine.now()
  const expiresAt = toMilliseconds('expiresAt', found.expiresAt, LAST_END)
  const createdAt = found.createdAt === undefined ? now : toMilliseconds('createdAt', found.createdAt, LAST_START)
  const absoluteExpiresAt =
    found.absoluteExpiresAt === undefined
      ? undefined
      : toMilliseconds('absoluteExpiresAt', found.absoluteExpiresAt, LAST_END)
  const keepUntil = expiresAt + MAX_SKEW_MS
  const record = newFamily(engine, { grant, seed, now, createdAt, absoluteExpiresAt, keepUntil })
  // It is the foreign token's limit until the exchange, and its successor's own from then on.
  return { ...record, expiresAt: Math.min(record.expiresAt, expiresAt) }
}

const FIRST = Date.UTC(1990, 0, 1)
/** Tokens carry the time of the sign-in as whole seconds in 32 bits. */
const LAST_START = Date.UTC(2106, 0, 1)
/** Databases write the year 9999 for what never ends. */
const LAST_END = Date.UTC(10_000, 0, 1)

/** Drops fractions. Throws `ConfigurationError` for other units: an instant in seconds is one of 1970, and would sign everybody out. */
function toMilliseconds(name: string, value: unknown, last: number): number {
  if (typeof value === 'number' && value >= FIRST && value <= last) return Math.floor(value)
  throw new ConfigurationError(
    `accept.find.${name}`,
    `must be epoch milliseconds, got ${shown(value)}; of seconds, take 1000 times as many`,
  )
}

/** Calls `moved`, which tells the other system that the family of its token exists here. A failure is reported as a fault event. */
export function tellMoved(engine: Engine, { text }: Newcomer, record: FamilyRecord): void {
  const moved = engine.accept?.moved
  if (moved === undefined) return
  callObserver(
    () => moved(text, toFamily(record)),
    (failure) => fault(engine, 'hook_failed', 'accept.moved', 'accept.moved threw', failure),
  )
}
