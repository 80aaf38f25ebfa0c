import { randomBytes } from 'node:crypto'
import { callObserver } from './events/observer.js'
import type { RefreshEvent } from './events/events.js'
import { ConfigurationError } from './model/errors.js'
import { type Family, type FamilyId, isFamilyId, toFamily } from './model/family.js'
import type { IssueRequest } from './model/grant.js'
import { wholeClock } from './model/numbers.js'
import { type Policy, type PolicyOptions, resolvePolicy } from './model/policy.js'
import { isAlive } from './store/apply.js'
import { consumeOnce, type ConsumeOnceRequest } from './operations/consume-once.js'
import type { Context } from './operations/context.js'
import { type BeforeRotate, legacyTokenOptions, type TokenOrigin } from './operations/contracts.js'
import { inspect, type Inspection } from './operations/inspect.js'
import { issue, type Issued } from './operations/issue.js'
import { redeem, type RedeemOutcome, type RedeemRequest } from './operations/redeem.js'
import { type Reservation, reserve, type ReserveRequest } from './operations/reserve.js'
import {
  revoke,
  type RevokeOutcome,
  type RevokeRequest,
  revokeSubject,
  type RevokeSubjectOptions,
} from './operations/revoke.js'
import { rotate, type RotateOutcome, type RotateRequest } from './operations/rotate.js'
import {
  checkedObject,
  declareOptions,
  func,
  integer,
  nullable,
  optional,
  type OptionsOf,
  required,
  type Rule,
  rule,
  secretRing,
  type Secrets,
  text,
  withDefault,
} from './options.js'
import type { Page, RevocationPage, TokenStore } from './store.js'
import { REVOCATION_RETENTION_MS } from './store/revocation-log.js'
import { assertStore, guardStore } from './store/guarded-store.js'
import { createNonceSource, type Random } from './token/derive.js'
import { parseToken, tokenPrefix } from './token/format.js'
import { createKeyRing, type KeyRing } from './token/keys.js'

const MAX_STORE_TIMEOUT_SECONDS = 60
const MAX_PAGE_SIZE = 100
const MAX_PURGED = 1_000_000
const NONCE_BATCH_SIZE = 128

const store: Rule<TokenStore> = {
  expected: 'a store, such as memoryStore() returns',
  parse(value, option) {
    assertStore(option, value)
    return value
  },
}

const secrets: Rule<Secrets, KeyRing> = { expected: secretRing().expected, parse: createKeyRing }

const policy: Rule<PolicyOptions, Policy> = { expected: 'an object', parse: resolvePolicy }

const options = declareOptions({
  /** Where families are stored: `sqliteStore(db)`, `redisStore(client)`, … */
  store: required(store),
  /**
   * `[current, ...older]`, at least 32 bytes each, the same on every instance. To change the secret without signing out any user,
   * deploy `[old, new]` everywhere, then `[new, old]`, and remove the old one after the absolute lifetime. `undefined` is part of the
   * type, so that `process.env` values can be used, and throws.
   */
  secrets: required(secrets),
  /** Lifetimes, the grace window and rotation. */
  policy: withDefault(policy, resolvePolicy()),
  /**
   * Called before every response that contains tokens; see `BeforeRotateVerdict`. It decides whether the subject is still active, whether
   * the family is too old, and which claims the access token has. Costs a read before the write.
   */
  beforeRotate: optional(func<BeforeRotate>()),
  /**
   * Refresh tokens of the system that you migrate from: each of them is exchanged once, for a new family. `@baton/import` has sources for
   * common systems.
   */
  legacyTokens: optional(checkedObject(legacyTokenOptions)),
  /**
   * Called with every event and not awaited. If it throws or rejects, a process warning is emitted and nothing else happens.
   * `auditLog(stream)` writes each event as a line of JSON.
   */
  onEvent: optional(func<(event: RefreshEvent) => unknown>()),
  /** The prefix of tokens, for secret scanners: 1 to 16 letters, digits, `-` or `_`. Default `brt_`. */
  tokenPrefix,
  /** How long to wait for the store before a call fails with `store_timeout`, in seconds; null for no limit. Default 5. */
  storeTimeoutSeconds: withDefault(
    nullable(
      rule<number>(
        `a number of seconds above 0 and at most ${String(MAX_STORE_TIMEOUT_SECONDS)}`,
        (value) => typeof value === 'number' && value > 0 && value <= MAX_STORE_TIMEOUT_SECONDS,
        'use null to wait for as long as the driver does',
      ),
    ),
    5,
  ),
  /** Epoch milliseconds; fractions are dropped. Default `Date.now`. */
  now: withDefault(func<() => number>(), () => Date.now()),
  /** Default: `randomBytes` of `node:crypto`. Only tests need to set it. */
  random: withDefault(func<Random>(), randomBytes),
})

export type RefreshTokensOptions = OptionsOf<typeof options>

const listOptions = declareOptions({
  /** The user whose families are listed. */
  subject: required(text()),
  /** From the previous page; absent for the first page. */
  cursor: optional(text()),
  /** From 1 to 100, default 50. */
  limit: withDefault(integer({ min: 1, max: MAX_PAGE_SIZE }), 50),
})

export type ListRequest = OptionsOf<typeof listOptions>

const MAX_REVOCATIONS = 1000
const MAX_ACCESS_TOKEN_SECONDS = 86_400
/** Clocks of two instances may differ by this much. */
const CLOCK_DIFFERENCE_MS = REVOCATION_RETENTION_MS - MAX_ACCESS_TOKEN_SECONDS * 1000

const listRevokedOptions = declareOptions({
  /** From the previous page; absent for the first page. */
  cursor: optional(text()),
  /** Without a cursor, the first page begins with the revocations of this many seconds ago. From 1 to 86 400, the default. */
  maxAgeSeconds: withDefault(integer({ min: 1, max: MAX_ACCESS_TOKEN_SECONDS }), MAX_ACCESS_TOKEN_SECONDS),
  /** From 1 to 1000, the default. */
  limit: withDefault(integer({ min: 1, max: MAX_REVOCATIONS }), MAX_REVOCATIONS),
})

export type ListRevokedRequest = OptionsOf<typeof listRevokedOptions>

const revocationListener = func<(familyId: FamilyId) => void>()

const purgeLimit = integer({ min: 1, max: MAX_PURGED })

/**
 * Rotating refresh tokens over one store. Expected outcomes are returned. `OperationalError` and `StoreError` are thrown after a failure;
 * then no session has ended. Safe to use from any number of processes with the same store and the same secrets.
 */
export interface RefreshTokens {
  /** The policy, in milliseconds. */
  readonly policy: Policy

  /** Creates a family: one login on one device. Call it after your own authentication. Throws `ConfigurationError` for invalid options. */
  issue(request: IssueRequest): Promise<Issued>

  /**
   * Grants a family that is created later, by `redeem`: the content of an authorization code. Stores nothing. The
   * reservation is secret; encrypt it. Throws `ConfigurationError` for invalid options.
   */
  reserve(request: ReserveRequest): Reservation

  /**
   * Creates a reserved family (RFC 6749 section 4.1.3), at most once: a second call that meets the conditions revokes the family,
   * unless it is the same attempt. A rejection for any other reason consumes nothing.
   */
  redeem<Prepared = undefined>(request: RedeemRequest<Prepared>): Promise<RedeemOutcome<Prepared>>

  /**
   * Exchanges a refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14.2). Atomic: of concurrent calls one
   * rotates, and the others receive the same successor. A rejection consumes nothing, except that `reuse` and `rollback` revoke the family.
   */
  rotate<Prepared = undefined>(request: RotateRequest<Prepared>): Promise<RotateOutcome<Prepared>>

  /** Revokes one family, by any of its tokens or by id (RFC 7009). Idempotent. */
  revoke(request: RevokeRequest): Promise<RevokeOutcome>

  /** Revokes all families of a subject, or all but one. Returns how many this call revoked. */
  revokeSubject(subject: string, options?: RevokeSubjectOptions): Promise<number>

  /** Returns the subject's active families, newest first. */
  list(request: ListRequest): Promise<Page<Family>>

  /**
   * Returns the sessions of all subjects that were revoked, oldest first: the feed for those who must reject the access tokens of revoked
   * sessions. Pass each cursor to the next call, also after the last page: no revocation is missed, whichever instance made it, and some
   * may be returned again. Throws `ConfigurationError` for a cursor that this store did not return.
   */
  listRevoked(request?: ListRevokedRequest): Promise<RevocationPage>

  /**
   * Calls `listener` at once with the id of each family that this instance revokes, and of each revoked family that it reads. Returns a
   * function that removes the listener. It does not report what other instances revoke: see `listRevoked`.
   */
  onRevoked(listener: (familyId: FamilyId) => void): () => void

  /** Returns the family if it is neither revoked nor expired, else null. */
  find(familyId: string): Promise<Family | null>

  /**
   * Returns true if this server made the token, whether or not the token still works. Makes no store call, so that requests with
   * invalid tokens can be rejected before they cause work.
   */
  isAuthentic(refreshToken: string): boolean

  /** Returns whether a refresh with this token would succeed now. Changes nothing. */
  inspect(refreshToken: string, origin?: TokenOrigin): Promise<Inspection>

  /**
   * Returns true for the first call with this key, on any instance, until `expiresAt`; false for every other call and for a key that has
   * expired. Use it for values that may be used once, such as the `jti` of a proof or assertion.
   */
  consumeOnce(request: ConsumeOnceRequest): Promise<boolean>

  /** Deletes up to `limit` revoked or expired families and expired keys, default 1000. Fewer than `limit` means that nothing is left. */
  purge(limit?: number): Promise<number>
}

/**
 * Creates the refresh tokens of one issuer. Validates the options and opens no connection. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createRefreshTokens } from '@baton/core'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const tokens = createRefreshTokens({ store: memoryStore(), secrets: [process.env['BATON_SECRET']] })
 *
 * const { refreshToken } = await tokens.issue({ subject: 'alice' })
 * const outcome = await tokens.rotate({ refreshToken })
 * if (outcome.ok) console.log(outcome.family.subject, outcome.refreshToken !== refreshToken)
 * else console.log('sign in again:', outcome.reason)
 * ```
 *
 * @see [RFC 6749 section 6](https://www.rfc-editor.org/rfc/rfc6749#section-6), refreshing an access token
 * @see [RFC 9700 section 4.14](https://www.rfc-editor.org/rfc/rfc9700#section-4.14), refresh token protection
 */
export function createRefreshTokens(given: RefreshTokensOptions): RefreshTokens {
  const listeners = new Set<(familyId: FamilyId) => void>()
  const context = createContext(given, listeners)
  const { store, policy } = context
  return {
    policy,
    issue: (request) => issue(context, request),
    reserve: (request) => reserve(context, request),
    redeem: (request) => redeem(context, request),
    rotate: (request) => rotate(context, request),
    revoke: (request) => revoke(context, request),
    revokeSubject: (subject, revokeOptions) => revokeSubject(context, subject, revokeOptions),
    async list(request) {
      const { subject, cursor, limit } = listOptions.parse('list', request)
      const page = await store.list({ subject, limit, now: context.now(), ...(cursor === undefined ? {} : { cursor }) })
      return { items: page.items.map(toFamily), cursor: page.cursor }
    },
    async listRevoked(request) {
      const { cursor, maxAgeSeconds, limit } = listRevokedOptions.parse('listRevoked', request)
      const since = context.now() - maxAgeSeconds * 1000 - CLOCK_DIFFERENCE_MS
      return store.listRevoked({ since, limit, ...(cursor === undefined ? {} : { cursor }) })
    },
    onRevoked(listener) {
      const own = revocationListener.parse(listener, 'listener')
      const added = (familyId: FamilyId) => {
        own(familyId)
      }
      listeners.add(added)
      return () => listeners.delete(added)
    },
    async find(familyId) {
      const record = isFamilyId(familyId) ? await store.find(familyId) : null
      return record !== null && isAlive(record, context.now()) ? toFamily(record) : null
    },
    isAuthentic: (refreshToken) => parseToken(refreshToken, context.tokenPrefix, context.ring).kind === 'authentic',
    inspect: (refreshToken, origin) => inspect(context, refreshToken, origin),
    consumeOnce: (request) => consumeOnce(context, request),
    purge: async (limit = 1000) => store.purge(context.now(), purgeLimit.parse(limit, 'limit')),
  }
}

function createContext(given: RefreshTokensOptions, listeners: Iterable<(familyId: FamilyId) => void>): Context {
  const { store, secrets, onEvent, storeTimeoutSeconds, random, ...rest } = options.parse('createRefreshTokens', given)
  const now = wholeClock(rest.now)
  const emit = createEmitter(onEvent)
  const checkedRandom = (size: number) => checkLength(random(size), size)
  return {
    ...rest,
    now,
    emit,
    store: guardStore(store, {
      timeoutMs: storeTimeoutSeconds === null ? null : storeTimeoutSeconds * 1000,
      onFault: (code, operation) => {
        emit({ type: 'fault', at: now(), code, operation })
      },
      onRevoked: (id) => {
        for (const listener of listeners) callRevocationListener(listener, id)
      },
    }),
    ring: secrets,
    random: checkedRandom,
    // A random source of a test returns its bytes in the order in which they are needed.
    nonce: createNonceSource(checkedRandom, random === randomBytes ? NONCE_BATCH_SIZE : 1),
  }
}

/** A callback that fails must not change the outcome of the call that emitted the event. */
function createEmitter(onEvent: RefreshTokensOptions['onEvent']): Context['emit'] {
  if (onEvent === undefined) return () => undefined
  return (event) => {
    callObserver(
      () => onEvent(event),
      () => process.emitWarning(`onEvent failed on an event of type ${event.type}`, 'BatonWarning'),
    )
  }
}

function callRevocationListener(listener: (familyId: FamilyId) => void, id: FamilyId): void {
  callObserver(
    () => {
      listener(id)
    },
    () => process.emitWarning('a listener of onRevoked failed', 'BatonWarning'),
  )
}

/** A source that returns too few bytes would make tokens that can be guessed. */
function checkLength(bytes: unknown, size: number): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.length === size) return bytes
  throw new ConfigurationError('random', `must return a Uint8Array of the ${String(size)} bytes that were requested`)
}
