import { createHash } from 'node:crypto'
import { type Confirmation, serializeConfirmation, ConfigurationError, type RefreshTokens } from '@baton/core'
import {
  boolean,
  declareOptions,
  func,
  integer,
  optional,
  type OptionsOf,
  seconds,
  withDefault,
} from '@baton/core/options'
import { toNetwork } from '../pipeline/ip-address.js'
import { warn } from '../pipeline/report.js'
import { type Bucket, createBucket, type Reservation } from './bucket.js'
import type { Exhausted, Standing } from '../messages/rate-limit.js'
import { fixedWindowCounter } from './fixed-window-counter.js'
import { andThen, type Limiter, type LimiterOptions, type MaybePromise } from './limiter.js'
import { localCounter, sharedCounter } from './shared-counter.js'

/*
 * The policy. Every limit follows from four rules:
 *
 * 1. A bucket is keyed by something that only its own users can use, so that no user can lock out another: an address, an
 *    account or a client at an address, a family together with the client and the key that the request proved.
 * 2. A request that proves nothing costs its address a point. The point is taken first and given back once the request proves to be
 *    legitimate: an authenticated client, a token or code that was accepted, a correct password, a valid access token.
 * 3. An address without points left is not locked out. Requests that bring something only a legitimate caller has (client
 *    authentication, an authentic token or code) are still served; all others are rejected.
 * 4. Every caller is limited by its own bucket: refreshes by family, sign-ins by subject. All requests of one address together are
 *    limited to `requestsPerAddress`; those of authenticated clients do not count.
 *
 * | bucket     | key                                       | what costs a point                       | points                     |
 * | ---------- | ----------------------------------------- | ---------------------------------------- | -------------------------- |
 * | `address`  | address                                   | a request that proves nothing            | `points`                   |
 * | `requests` | address, in each process                  | a request, unless of an authenticated client | `requestsPerAddress`   |
 * | `family`   | family, client, proven key                | a refresh or an exchange of a code       | `points`                   |
 * | `family`   | family, apart from its refreshes          | a request with an access token           | `points`                   |
 * | `subject`  | subject                                   | a sign-in                                | `points`                   |
 * | `failure`  | client and address, account and address   | a failed authentication                  | `failedAuthentications`    |
 * | `sign-in`  | address                                   | a failed sign-in of a named account      | 10 x `failedAuthentications` |
 *
 * An address is one IPv4 address or one IPv6 /64. Where the address is unknown, nothing is limited by address.
 */

const COUNT = { min: 1, max: 1_000_000_000, fix: 'for no limits, set rateLimit: false at the endpoints' }

export const rateLimitsOptions = declareOptions({
  /** Requests without proof per address, refreshes per family and logins per subject, in one window. Default 60. */
  points: withDefault(integer(COUNT), 60),
  /** The length of the window, in seconds. Default 60. */
  seconds: withDefault(seconds({ min: 1, max: 366 * 86_400 }), 60),
  /** Failed authentications of one client or account from one address in one window, at all endpoints together. Default 10. */
  failedAuthentications: withDefault(integer(COUNT), 10),
  /** All requests of one address in one window and process, except those of authenticated clients. Default 100 times `points`. */
  requestsPerAddress: optional(integer(COUNT)),
  /**
   * Creates one limiter for each bucket, to share the counts between processes, such as
   * `(options) => new RateLimiterRedis({ storeClient: redis, ...options })`. Default: memory of this process.
   */
  createLimiter: optional(func<(options: LimiterOptions) => Limiter>()),
  /** True adds the RateLimit fields to every response, so that clients can slow down in time; 429 always has them. Default false. */
  standardHeaders: withDefault(boolean(), false),
  /** Called once per outage when a limiter of `createLimiter` fails; this process then counts for itself. Default: a process warning. */
  onError: withDefault(func<(error: unknown) => unknown>(), warn),
  /** Milliseconds of a monotonic clock, for tests. Default `performance.now`. */
  elapsed: withDefault(func<() => number>(), () => performance.now()),
})

export type RateLimitsOptions = OptionsOf<typeof rateLimitsOptions>

/** A request that is counted under its address until it is settled. */
export interface CountedRequest {
  /** The address may send no further requests in this window. */
  readonly rejected: Exhausted
  /**
   * The limit for which the request has to be rejected: its address has no points left, and the request has not proved anything. Null
   * once `admit`, `release` or `releaseClient` has been called.
   */
  exhausted(): Exhausted
  /** The count of the address; null if it is not counted or the limiter does not return it. */
  standing(): Standing | null
  /** The request brings something that only a legitimate caller has. It still costs a point unless it is released. */
  admit(): void
  /** The request proved to be legitimate, or another bucket counts it: it costs its address no point. */
  release(): void
  /** As `release`, for a request of an authenticated client, which is not limited by address at all. */
  releaseClient(): void
  /** The request has ended. It costs its address a point unless it has been released. */
  settle(): void
}

/** The client that presents a refresh token or a code. A holder with another client or key has its own points. */
export interface Holder {
  readonly familyId: string
  readonly clientId: string
  /** The proven key, if the token is bound to one. */
  readonly confirmation: Confirmation | null
}

export type Attempt<Result> =
  | { readonly exhausted: Standing }
  /** `result` is what the check resolved with. */
  | { readonly exhausted: null; readonly result: Result }

/** Limits on requests. See `rateLimits`. */
export interface RateLimits {
  /** True if every response has the RateLimit fields. */
  readonly standardHeaders: boolean
  /** Counts a request. With `wait`, waits for a point that a parallel request may give back: no proof can replace the point. */
  countRequest(address: string | null, mode: 'wait' | 'immediate'): MaybePromise<CountedRequest>
  /** Counts a refresh or an exchange of a code. */
  countRefresh(holder: Holder): MaybePromise<Exhausted>
  /** Counts a request with a valid access token of the family. */
  countAccountRequest(familyId: string): MaybePromise<Exhausted>
  /** Counts a successful sign-in, before a session is created. */
  countSignIn(subject: string): MaybePromise<Exhausted>
  /**
   * Authenticates a client, unless too many attempts for it have failed from this address. The attempt takes a point before `check`
   * runs. The point is given back unless `check` resolves with null, so parallel attempts cannot exceed the limit and correct ones cost
   * nothing.
   */
  authenticateClient<Result>(
    attempt: { readonly clientId: string; readonly address: string | null },
    check: () => Promise<Result | null>,
  ): Promise<Attempt<Result | null>>
  /**
   * Like `authenticateClient`, for the sign-in of a user, such as on your own page. `account` is the name that the user entered; null
   * limits all accounts from that address together.
   */
  authenticateUser<Result>(
    attempt: { readonly account: string | null; readonly address: string | null },
    check: () => Promise<Result | null>,
  ): Promise<Attempt<Result | null>>
}

/** How many requests one address may send for each request that it may send without proof. */
const REQUESTS_PER_POINT = 100
/** How many accounts one address may exhaust before all further attempts from it are rejected. */
const ACCOUNTS_PER_ADDRESS = 10

/**
 * Creates the limits that endpoints share. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { rateLimits, refreshEndpoint } from '@baton/http'
 *
 * const rateLimit = rateLimits({ points: 120, seconds: 60, failedAuthentications: 5 })
 * const refresh = refreshEndpoint(tokens, { accessTokens, cookie: true, rateLimit })
 * ```
 */
export function rateLimits(options: RateLimitsOptions = {}): RateLimits {
  const limits = rateLimitsOptions.parse('rateLimits', options)
  const { points, failedAuthentications, requestsPerAddress = points * REQUESTS_PER_POINT, standardHeaders } = limits
  const requests = localBucket(limits, { name: 'requests', points: requestsPerAddress })
  const addresses = sharedBucket(limits, { name: 'address', points })
  const families = sharedBucket(limits, { name: 'family', points })
  const subjects = sharedBucket(limits, { name: 'subject', points })
  const failures = sharedBucket(limits, { name: 'failure', points: failedAuthentications })
  const signIns = sharedBucket(limits, { name: 'sign-in', points: ACCOUNTS_PER_ADDRESS * failedAuthentications })

  return {
    standardHeaders,
    countRequest(address, mode) {
      if (address === null) return UNCOUNTED
      const network = toNetwork(address)
      return andThen(requests.take(network), (total) => {
        if (total.exhausted !== null) return rejectedRequest(total)
        const point = mode === 'wait' ? addresses.takeOrWait(network) : addresses.take(network)
        return andThen(point, (unproven) => countedRequest(total, unproven))
      })
    },
    countRefresh: ({ familyId, confirmation, clientId }) =>
      families.spend(keyOf(`${familyId} ${serializeConfirmation(confirmation)}`, clientId)),
    countAccountRequest: (familyId) => families.spend(keyOf('account', familyId)),
    countSignIn: (subject) => subjects.spend(keyOf('', subject)),
    authenticateClient: ({ clientId, address }, check) =>
      address === null
        ? unlimited(check)
        : attempt([[failures, keyOf(`client ${toNetwork(address)}`, clientId)]], check),
    authenticateUser({ account, address }, check) {
      if (address === null) return unlimited(check)
      const network = toNetwork(address)
      const byAccount: Place = [failures, keyOf(`account ${network}`, account === null ? '' : foldName(account))]
      return attempt(account === null ? [byAccount] : [[signIns, network], byAccount], check)
    },
  }
}

const defaults = new WeakMap<RefreshTokens, RateLimits>()

/** Returns the limits of endpoints over `tokens` without the option `rateLimit`. All of them share these limits. */
export function defaultRateLimits(tokens: RefreshTokens): RateLimits {
  const existing = defaults.get(tokens)
  if (existing !== undefined) return existing
  const limits = rateLimits()
  defaults.set(tokens, limits)
  return limits
}

const UNCOUNTED: CountedRequest = {
  rejected: null,
  exhausted: () => null,
  standing: () => null,
  admit: () => undefined,
  release: () => undefined,
  releaseClient: () => undefined,
  settle: () => undefined,
}

export const noRateLimits: RateLimits = {
  standardHeaders: false,
  countRequest: () => UNCOUNTED,
  countRefresh: () => null,
  countAccountRequest: () => null,
  countSignIn: () => null,
  authenticateClient: (_attempt, check) => unlimited(check),
  authenticateUser: (_attempt, check) => unlimited(check),
}

function rejectedRequest(total: Reservation): CountedRequest {
  const { exhausted } = total
  return {
    ...UNCOUNTED,
    rejected: exhausted,
    exhausted: () => exhausted,
    standing: () => exhausted,
    settle: () => total.keep(),
  }
}

function countedRequest(total: Reservation, unproven: Reservation): CountedRequest {
  let { exhausted } = unproven
  let isSettled = false
  const admit = () => {
    exhausted = null
  }
  const settle = (byTotal: 'release' | 'keep', byUnproven: 'release' | 'keep') => {
    if (isSettled) return
    isSettled = true
    total[byTotal]()
    unproven[byUnproven]()
  }
  return {
    rejected: null,
    exhausted: () => exhausted,
    standing: () => unproven.standing(),
    admit,
    release() {
      admit()
      settle('keep', 'release')
    },
    releaseClient() {
      admit()
      settle('release', 'release')
    },
    settle: () => settle('keep', 'keep'),
  }
}

type Place = readonly [bucket: Bucket, key: string]

/** Takes a point at each place, always in the same order, and gives them back unless the check fails. */
async function attempt<Result>(
  places: readonly Place[],
  check: () => Promise<Result | null>,
): Promise<Attempt<Result | null>> {
  const [place, ...others] = places
  if (place === undefined) return unlimited(check)
  const [bucket, key] = place
  const reservation = await bucket.takeOrWait(key)
  if (reservation.exhausted !== null) return { exhausted: reservation.exhausted }
  let isFailure = false
  try {
    const attempted = await attempt(others, check)
    isFailure = attempted.exhausted === null && attempted.result === null
    return attempted
  } finally {
    if (isFailure) reservation.keep()
    else reservation.release()
  }
}

async function unlimited<Result>(check: () => Promise<Result>): Promise<Attempt<Result>> {
  return { exhausted: null, result: await check() }
}

type Resolved = ReturnType<typeof rateLimitsOptions.parse>
type Size = Pick<Standing, 'name' | 'points'>

function localBucket({ seconds, elapsed }: Resolved, size: Size): Bucket {
  return createBucket(localCounter(fixedWindowCounter({ windowMs: seconds * 1000, elapsed })), { ...size, seconds })
}

/** Creates a bucket over a limiter of `createLimiter`, or over the memory of this process without one. */
function sharedBucket(limits: Resolved, size: Size): Bucket {
  const { seconds, elapsed, createLimiter, onError } = limits
  if (createLimiter === undefined) return localBucket(limits, size)
  const { name, points } = size
  const limiter = createLimiter({ keyPrefix: `baton:${name}`, points, duration: seconds })
  for (const method of ['consume', 'reward'] as const) {
    if (typeof (limiter as Partial<Limiter> | null)?.[method] !== 'function')
      throw new ConfigurationError(
        'createLimiter',
        `must return limiters with consume() and reward(), got one without ${method}(); return a class of rate-limiter-flexible`,
      )
  }
  const fallback = fixedWindowCounter({ windowMs: seconds * 1000, elapsed })
  return createBucket(sharedCounter(limiter, { points, fallback, onError }), { ...size, seconds })
}

const MAX_NAME_LENGTH = 128

/** `name` may be any text of any length. `scope` must not contain text that a request can choose. */
function keyOf(scope: string, name: string): string {
  return name.length <= MAX_NAME_LENGTH
    ? `${scope} ${name}`
    : `${scope} sha256:${createHash('sha256').update(name).digest('base64url')}`
}

/** Spellings that an app may treat as the same account share a bucket. */
function foldName(account: string): string {
  return account.normalize('NFKC').trim().toLowerCase()
}
