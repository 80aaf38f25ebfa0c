import { callObserver } from '../events/observer.js'
import { ConfigurationError } from '../model/errors.js'
import { type FamilyRecord, toFamily } from '../model/family.js'
import { MAX_SKEW_MS } from '../model/numbers.js'
import { describeValue } from '../model/validate.js'
import type { AuthenticToken } from '../token/authentic-token.js'
import { createFirstToken, deriveLegacySeed, type Seed, toFamilyId } from '../token/derive.js'
import { canBeLegacyToken, type ParsedToken, parseToken } from '../token/format.js'
import { callHook, type Context, fault } from './context.js'
import { type LegacyGrant, legacyGrantOptions, type LegacyTokenSource } from './contracts.js'
import { createFamily } from './create-family.js'

/** Another system's token, as generation 0 of a family. */
export interface LegacyToken {
  readonly text: string
  readonly seed: Seed
  readonly token: AuthenticToken
  /** The stored record, or the one that the family would start with. */
  readonly record: FamilyRecord
  readonly isStored: boolean
  /** When the user signed in; -Infinity if unknown, so that every `validAfter` rejects it. Epoch milliseconds. */
  readonly signedInAt: number
}

export type PresentedToken =
  | { readonly kind: 'authentic'; readonly token: AuthenticToken; readonly legacy: LegacyToken | null }
  | Exclude<ParsedToken, { readonly kind: 'authentic' }>

/** Reads a presented token. A token of Baton is verified by its tag, without a store call; for others the legacy system is asked. */
export async function readToken(context: Context, text: unknown, legacyOnly: boolean): Promise<PresentedToken> {
  const parsed = parseToken(text, context.tokenPrefix, context.ring)
  if (legacyOnly && parsed.kind !== 'malformed') return { kind: 'malformed' }
  if (parsed.kind === 'authentic') return { kind: 'authentic', token: parsed.token, legacy: null }
  const legacy = parsed.kind === 'malformed' ? await findLegacyToken(context, text) : null
  return legacy === null ? parsed : { kind: 'authentic', token: legacy.token, legacy }
}

/** Returns null for text that the other system does not accept. */
async function findLegacyToken(context: Context, text: unknown): Promise<LegacyToken | null> {
  const { legacyTokens } = context
  if (legacyTokens === undefined || !canBeLegacyToken(text)) return null
  const identity = await callHook(context, 'legacyTokens.normalize', async () => normalize(legacyTokens, text))
  if (identity === null) return null
  const seed = deriveLegacySeed(identity)
  // If the family exists, its record decides: the other system may have deleted the token, and a retry must still work.
  const stored = await findMigrated(context, text, seed)
  if (stored !== null) return stored
  const found = await callHook(context, 'legacyTokens.lookup', async () => {
    const grant = await legacyTokens.lookup(text)
    return grant === null ? null : toNewFamily(context, seed, grant)
  })
  // The system may have deleted the token between the two calls, because another request has just exchanged it.
  if (found === null) return findMigrated(context, text, seed)
  return { text, seed, token: createFirstToken(seed, found.record.grant), isStored: false, ...found }
}

async function findMigrated({ store }: Context, text: string, seed: Seed): Promise<LegacyToken | null> {
  const record = await store.find(toFamilyId(seed.handle))
  if (record === null) return null
  const { grant } = record
  return { text, seed, token: createFirstToken(seed, grant), record, isStored: true, signedInAt: grant.createdAt }
}

function normalize(source: LegacyTokenSource, text: string): string | null {
  const identity = source.normalize === undefined ? text : source.normalize(text)
  // One identity for several tokens would create one family for all of them.
  if (identity !== null && (typeof identity !== 'string' || identity === ''))
    throw new ConfigurationError('legacyTokens.normalize', `must return text or null, got ${describeValue(identity)}`)
  return identity
}

function toNewFamily(context: Context, seed: Seed, found: LegacyGrant) {
  const {
    expiresAt: end,
    createdAt: start,
    absoluteExpiresAt: absoluteEnd,
    ...grant
  } = legacyGrantOptions.parse('legacyTokens.lookup', found, 'legacyTokens.lookup.')
  const now = context.now()
  const expiresAt = toMilliseconds('expiresAt', end, MAX_EXPIRES_AT)
  const createdAt = start === undefined ? now : toMilliseconds('createdAt', start, MAX_CREATED_AT)
  const absoluteExpiresAt =
    absoluteEnd === undefined ? undefined : toMilliseconds('absoluteExpiresAt', absoluteEnd, MAX_EXPIRES_AT)
  const keepUntil = expiresAt + MAX_SKEW_MS
  const record = createFamily(context, { grant, seed, now, createdAt, absoluteExpiresAt, keepUntil })
  return {
    // Before the exchange, the legacy token's own limit applies as well; its successor has the limits of the family.
    record: { ...record, expiresAt: Math.min(record.expiresAt, expiresAt) },
    signedInAt: start === undefined ? -Infinity : createdAt,
  }
}

const MIN_INSTANT = Date.UTC(1990, 0, 1)
/** Tokens contain the time of the sign-in as whole seconds in 32 bits. */
const MAX_CREATED_AT = Date.UTC(2106, 0, 1)
/** Databases use the year 9999 for rows that never expire. */
const MAX_EXPIRES_AT = Date.UTC(10_000, 0, 1)

/** Drops fractions. Throws `ConfigurationError` for other units: seconds would be read as an instant in 1970. */
function toMilliseconds(name: string, value: number, max: number): number {
  if (value >= MIN_INSTANT && value <= max) return Math.floor(value)
  throw new ConfigurationError(
    `legacyTokens.lookup.${name}`,
    `must be epoch milliseconds, got ${describeValue(value)}; multiply seconds by 1000`,
  )
}

/** Calls `onMigrated`, which tells the other system that the token was migrated. A failure is emitted as a `fault` event. */
export function notifyMigrated(context: Context, { text }: LegacyToken, record: FamilyRecord): void {
  const { legacyTokens } = context
  if (legacyTokens?.onMigrated === undefined) return
  callObserver(
    () => legacyTokens.onMigrated?.(text, toFamily(record)),
    (cause) => {
      const operation = 'legacyTokens.onMigrated'
      fault(context, { code: 'hook_failed', operation, message: `${operation} threw`, cause })
    },
  )
}
