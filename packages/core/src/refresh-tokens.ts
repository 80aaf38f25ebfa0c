import { randomBytes } from 'node:crypto'
import { demandFunction, demandKnown, demandName, demandObject, shown } from './demand.js'
import type { BeforeRotate, Engine } from './engine.js'
import { ConfigurationError } from './errors.js'
import type { RefreshEvent } from './events.js'
import { checkForeignTokens, type ForeignTokens, type TokenOrigin } from './foreign.js'
import { type Family, isFamilyId, toFamily } from './family.js'
import { guardStore } from './guarded-store.js'
import { inspect, type Inspection } from './inspect.js'
import { issue, type Issued, type IssueRequest } from './issue.js'
import { createKeyRing } from './keys.js'
import { callObserver } from './observer.js'
import { wholeClock } from './numbers.js'
import { once, type OnceRequest } from './once.js'
import { type Policy, type PolicyOptions, resolvePolicy } from './policy.js'
import { redeem, type RedeemOutcome, type RedeemRequest } from './redeem.js'
import { reserve, type Reservation, type ReserveRequest } from './reserve.js'
import { revoke, type RevokeOutcome, type RevokeRequest, revokeSubject, type RevokeSubjectOptions } from './revoke.js'
import { rotate, type RotateOutcome, type RotateRequest } from './rotate.js'
import type { Page, TokenStore } from './store.js'
import { noncesFrom, parseToken, type Random } from './token.js'

export interface RefreshTokensOptions {
  /** Where families live: `sqliteStore(db)`, `redisStore(client)`, … */
  readonly store: TokenStore
  /**
   * `[current, ...older]`, at least 32 bytes each, the same on every instance. To change the secret without signing anybody out,
   * deploy `[old, new]` everywhere, then `[new, old]`, and drop the old one once the absolute lifetime has passed. `undefined`
   * compiles, so that `process.env` values can be given as they are, and throws.
   */
  readonly secrets: readonly (string | Uint8Array | undefined)[]
  readonly policy?: PolicyOptions
  /** Runs before every answer that hands out tokens; see `BeforeRotateVerdict`. It costs a read before the write. */
  readonly beforeRotate?: BeforeRotate
  /**
   * Refresh tokens of the system that you come from: a token that is not ours is exchanged, once, for a family of its own. See
   * `@baton/import` for the usual systems.
   */
  readonly accept?: ForeignTokens
  /** Called with every event and not awaited. If it throws or rejects, a process warning says so and nothing else happens. */
  readonly onEvent?: (event: RefreshEvent) => unknown
  /** How tokens begin, so that secret scanners find leaked ones: 1 to 16 letters, digits, `-` or `_`. Default `brt_`. */
  readonly tokenPrefix?: string
  /** How long to wait for the store before a call fails with `store_timeout`; null for ever. Default 5. */
  readonly storeTimeoutSeconds?: number | null
  /** Epoch milliseconds; fractions are dropped. Default `Date.now`. */
  readonly now?: () => number
  /** Default: `node:crypto`. Only tests have a reason to set it. */
  readonly random?: Random
}

/**
 * Refresh tokens that rotate, over one store. Outcomes are returned; `OperationalError` and `StoreError` are thrown when something broke,
 * and then nobody has been signed out. Safe to use from any number of processes on the same store with the same secrets.
 */
export interface RefreshTokens {
  /** The policy in force, in milliseconds. */
  readonly policy: Policy

  /** Starts a family: one login on one device. Call it after your own authentication. Throws `ConfigurationError` for bad input. */
  issue(request: IssueRequest): Promise<Issued>

  /**
   * Grants a family that begins later, when its client `redeem`s it: what an authorization code stands for. Stores nothing. The
   * reservation is a secret; seal it. Throws `ConfigurationError` for bad input.
   */
  reserve(request: ReserveRequest): Reservation

  /**
   * Begins a reserved family (RFC 6749 section 4.1.3), at most once: a second call that has all it takes ends what the first one
   * began, unless it is the same attempt. Any other refusal consumes nothing.
   */
  redeem<Prepared = undefined>(request: RedeemRequest<Prepared>): Promise<RedeemOutcome<Prepared>>

  /**
   * Exchanges a refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14.2). Atomic: of concurrent calls one
   * rotates, and the others receive the same successor. A refusal consumes nothing, except that `reuse` and `lost` end the family.
   */
  rotate<Prepared = undefined>(request: RotateRequest<Prepared>): Promise<RotateOutcome<Prepared>>

  /** Ends one family, by any of its tokens or by id (RFC 7009). Idempotent. */
  revoke(request: RevokeRequest): Promise<RevokeOutcome>

  /** Ends all families of a subject, or all but one; returns how many this call ended. */
  revokeSubject(subject: string, options?: RevokeSubjectOptions): Promise<number>

  /** The subject's living families, newest first; `limit` from 1 to 100, default 50. */
  list(query: { subject: string; cursor?: string; limit?: number }): Promise<Page<Family>>

  /** The family if it is alive, else null. */
  find(familyId: string): Promise<Family | null>

  /**
   * Returns true if this server made the token, whether or not the token still works. Makes no store call, so that requests with
   * invalid tokens can be told apart before they cause work.
   */
  isAuthentic(refreshToken: string): boolean

  /** Whether a refresh with this token would succeed now. Changes nothing. */
  inspect(refreshToken: string, origin?: TokenOrigin): Promise<Inspection>

  /**
   * True for the first caller with this key, until `expiresAt`; false for everybody after, on any instance, and for a key that is
   * over already. It is how a proof or an assertion works once.
   */
  once(request: OnceRequest): Promise<boolean>

  /** Deletes up to `limit` dead families and forgotten keys, default 1000; fewer than that means that nothing is left. */
  purge(limit?: number): Promise<number>
}

const KNOWN_OPTIONS = [
  'store',
  'secrets',
  'policy',
  'beforeRotate',
  'accept',
  'onEvent',
  'tokenPrefix',
  'storeTimeoutSeconds',
  'now',
  'random',
]
const MOST_LISTED = 100
const NONCES_AT_ONCE = 128

/** Checks the options and opens for business; opens no connection. Throws `ConfigurationError` naming option, value and mend. */
export function createRefreshTokens(options: RefreshTokensOptions): RefreshTokens {
  const engine = engineOf(options)
  const { store, policy } = engine
  return {
    policy,
    issue: (request) => issue(engine, request),
    reserve: (request) => reserve(engine, request),
    redeem: (request) => redeem(engine, request),
    rotate: (request) => rotate(engine, request),
    revoke: (request) => revoke(engine, request),
    revokeSubject: (subject, revokeOptions = {}) => revokeSubject(engine, subject, revokeOptions),
    async list(query) {
      demandObject('list', query)
      const { subject, cursor, limit = 50 } = query
      demandName('subject', subject)
      if (cursor !== undefined) demandName('cursor', cursor)
      demandCount('limit', limit, MOST_LISTED)
      const page = await store.list({ subject, limit, now: engine.now(), ...(cursor === undefined ? {} : { cursor }) })
      return { items: page.items.map(toFamily), cursor: page.cursor }
    },
    async find(familyId) {
      const record = isFamilyId(familyId) ? await store.find(familyId) : null
      const alive = record !== null && record.revocation === null && engine.now() < record.expiresAt
      return alive ? toFamily(record) : null
    },
    isAuthentic: (refreshToken) => parseToken(refreshToken, engine.tokenPrefix, engine.ring).kind === 'authentic',
    inspect: (refreshToken, origin) => inspect(engine, refreshToken, origin),
    once: (request) => once(engine, request),
    async purge(limit = 1000) {
      demandCount('limit', limit, 1_000_000)
      return store.purge(engine.now(), limit)
    },
  }
}

function engineOf(options: RefreshTokensOptions): Engine {
  demandObject('createRefreshTokens', options)
  const { secrets, tokenPrefix = 'brt_', storeTimeoutSeconds = 5, random = randomBytes } = options
  demandKnown(options, KNOWN_OPTIONS)
  demandFunction('beforeRotate', options.beforeRotate)
  demandFunction('onEvent', options.onEvent)
  demandFunction('now', options.now)
  demandFunction('random', random)
  if (typeof tokenPrefix !== 'string' || !/^[A-Za-z0-9_-]{1,16}$/.test(tokenPrefix))
    throw new ConfigurationError('tokenPrefix', `${shown(tokenPrefix)} is not 1 to 16 letters, digits, - or _`)
  if (!isTimeout(storeTimeoutSeconds))
    throw new ConfigurationError(
      'storeTimeoutSeconds',
      `${shown(storeTimeoutSeconds)} is not above 0 and at most 60 seconds; use null to wait for as long as the driver does`,
    )
  const now = wholeClock(options.now ?? Date.now)
  const emit = emitterOf(options.onEvent)
  const exactRandom = (size: number) => exactly(size, random(size))
  return {
    store: guardStore(options.store, {
      timeoutMs: storeTimeoutSeconds === null ? null : storeTimeoutSeconds * 1000,
      onFault: (code, operation) => {
        emit({ type: 'fault', at: now(), code, operation })
      },
    }),
    ring: createKeyRing(secrets),
    tokenPrefix,
    policy: resolvePolicy(options.policy),
    beforeRotate: options.beforeRotate,
    accept: checkForeignTokens(options.accept),
    now,
    random: exactRandom,
    // A source of a test's own gives its bytes in the order in which they are needed.
    nonce: noncesFrom(exactRandom, random === randomBytes ? NONCES_AT_ONCE : 1),
    emit,
  }
}

/** A callback that fails must not change the outcome of the call that emitted the event. */
function emitterOf(onEvent: RefreshTokensOptions['onEvent']): Engine['emit'] {
  if (onEvent === undefined) return () => undefined
  return (event) => {
    callObserver(
      () => onEvent(event),
      () => process.emitWarning(`onEvent failed on an event of type ${event.type}`, 'BatonWarning'),
    )
  }
}

function isTimeout(seconds: unknown): boolean {
  return seconds === null || (typeof seconds === 'number' && seconds > 0 && seconds <= 60)
}

/** A source that gives too little would make tokens that can be guessed. */
function exactly(size: number, bytes: unknown): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.length === size) return bytes
  throw new ConfigurationError(
    'random',
    `did not give the ${String(size)} bytes that it was asked for; return a Uint8Array of that length`,
  )
}

function demandCount(option: string, value: unknown, most: number): void {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return
  throw new ConfigurationError(option, `${shown(value)} is not a whole number from 1 to ${String(most)}`)
}
