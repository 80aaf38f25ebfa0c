import { randomBytes } from 'node:crypto'
import type { BeforeRotate, Engine } from './engine.js'
import { MisuseError } from './errors.js'
import type { RefreshEvent } from './events.js'
import { type Family, type FamilyId, toFamily } from './family.js'
import { guardStore } from './guarded-store.js'
import { inspect, type Inspection } from './inspect.js'
import { issue, type Issued, type IssueRequest } from './issue.js'
import { createKeyRing } from './keys.js'
import { type Policy, type PolicyOptions, resolvePolicy } from './policy.js'
import { revoke, type RevokeOutcome, type RevokeRequest, revokeSubject, type RevokeSubjectOptions } from './revoke.js'
import { rotate, type RotateOutcome, type RotateRequest } from './rotate.js'
import type { Page, TokenStore } from './store.js'
import type { Random } from './token.js'

export interface RefreshTokensOptions {
  /** Where families live: `sqliteStore(db)`, `redisStore(client)`, … */
  readonly store: TokenStore
  /**
   * `[current, ...older]`, at least 32 bytes each, the same on every instance. To change the secret without signing anybody out,
   * deploy `[old, new]` everywhere, then `[new, old]`, and drop the old one once the absolute lifetime has passed.
   */
  readonly secrets: readonly (string | Uint8Array)[]
  readonly policy?: PolicyOptions
  /** Runs before every answer that hands out tokens; see `BeforeRotateVerdict`. It costs a read before the write. */
  readonly beforeRotate?: BeforeRotate
  /** Called synchronously with every event. What it throws is reported as a process warning and otherwise ignored. */
  readonly onEvent?: (event: RefreshEvent) => void
  /** How tokens begin, so that secret scanners find leaked ones: 1 to 16 letters, digits, `-` or `_`. Default `brt_`. */
  readonly tokenPrefix?: string
  /** How long to wait for the store before a call fails with `store_timeout`; null for ever. Default 5. */
  readonly storeTimeoutSeconds?: number | null
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
  /** Default: `node:crypto`. Only tests have a reason to set it. */
  readonly random?: Random
}

/**
 * Refresh tokens that rotate, over one store. Outcomes are returned; `Fault` and `StoreError` are thrown when something broke,
 * and then nobody has been signed out. Safe to use from any number of processes on the same store with the same secrets.
 */
export interface RefreshTokens {
  /** The policy in force, in milliseconds. */
  readonly policy: Policy

  /** Starts a family: one login on one device. Call it after your own authentication. Throws `MisuseError` for bad input. */
  issue(request: IssueRequest): Promise<Issued>

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

  /** Whether a refresh with this token would succeed now. Changes nothing. */
  inspect(refreshToken: string): Promise<Inspection>

  /** Deletes up to `limit` dead families and forgotten keys, default 1000; fewer than that means that nothing is left. */
  purge(limit?: number): Promise<number>
}

const KNOWN_OPTIONS = [
  'store',
  'secrets',
  'policy',
  'beforeRotate',
  'onEvent',
  'tokenPrefix',
  'storeTimeoutSeconds',
  'now',
  'random',
]
const MOST_LISTED = 100

/** Checks the options and opens for business; opens no connection. Throws `MisuseError` naming option, value and mend. */
export function createRefreshTokens(options: RefreshTokensOptions): RefreshTokens {
  const engine = engineOf(options)
  const { store, policy } = engine
  return {
    policy,
    issue: (request) => issue(engine, request),
    rotate: (request) => rotate(engine, request),
    revoke: (request) => revoke(engine, request),
    revokeSubject: (subject, revokeOptions = {}) => revokeSubject(engine, subject, revokeOptions),
    async list({ subject, cursor, limit = 50 }) {
      demandCount('limit', limit, MOST_LISTED)
      const page = await store.list({ subject, limit, now: engine.now(), ...(cursor === undefined ? {} : { cursor }) })
      return { items: page.items.map(toFamily), cursor: page.cursor }
    },
    async find(familyId) {
      // An id that was never given out is simply not found.
      const record = await store.find(familyId as FamilyId)
      const alive = record !== null && record.revocation === null && engine.now() < record.expiresAt
      return alive ? toFamily(record) : null
    },
    inspect: (refreshToken) => inspect(engine, refreshToken),
    purge(limit = 1000) {
      demandCount('limit', limit, 1_000_000)
      return store.purge(engine.now(), limit)
    },
  }
}

function engineOf(options: RefreshTokensOptions): Engine {
  const { secrets, tokenPrefix = 'brt_', storeTimeoutSeconds = 5, now = Date.now, random = randomBytes } = options
  for (const name of Object.keys(options)) {
    if (!KNOWN_OPTIONS.includes(name))
      throw new MisuseError(name, `is not an option of createRefreshTokens; known are ${KNOWN_OPTIONS.join(', ')}`)
  }
  if (!/^[A-Za-z0-9_-]{1,16}$/.test(tokenPrefix))
    throw new MisuseError('tokenPrefix', `${JSON.stringify(tokenPrefix)} is not 1 to 16 letters, digits, - or _`)
  if (storeTimeoutSeconds !== null && !(storeTimeoutSeconds > 0 && storeTimeoutSeconds <= 60))
    throw new MisuseError(
      'storeTimeoutSeconds',
      `${String(storeTimeoutSeconds)} is not above 0 and at most 60 seconds; use null to wait for as long as the driver does`,
    )
  const emit = emitterOf(options.onEvent)
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
    now,
    random,
    emit,
  }
}

/** A listener that fails must not take the tokens with it that were just made. */
function emitterOf(onEvent: RefreshTokensOptions['onEvent']): Engine['emit'] {
  if (onEvent === undefined) return () => undefined
  return (event) => {
    try {
      onEvent(event)
    } catch {
      process.emitWarning(`onEvent threw on an event of type ${event.type}`, 'BatonWarning')
    }
  }
}

function demandCount(option: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return
  throw new MisuseError(option, `${String(value)} is not a whole number from 1 to ${String(most)}`)
}
