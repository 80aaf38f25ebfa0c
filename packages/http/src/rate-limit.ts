import { createHash } from 'node:crypto'
import { MisuseError, type RefreshTokens } from '@baton/core'
import { networkOf } from './transport.js'
import { report, warn } from './warn.js'
import { type Count, type Windows, windowsOf } from './windows.js'

/** What is needed of a limiter; every class of rate-limiter-flexible fits. */
export interface Limiter {
  /** Rejects with an object that has `msBeforeNext` when there are no points left, with anything else when it is broken. */
  consume(key: string): Promise<unknown>
  get(key: string): Promise<{ readonly consumedPoints: number; readonly msBeforeNext: number } | null>
}

/** To be passed on: `(options) => new RateLimiterRedis({ storeClient: redis, ...options })`. */
export interface LimiterOptions {
  /** Differs for each bucket. */
  readonly keyPrefix: string
  readonly points: number
  /** Seconds. */
  readonly duration: number
}

export interface RateLimitsOptions {
  /** Requests per address, and refreshes per family, in one window. Default 60. */
  readonly points?: number
  /** The window. Default 60. */
  readonly seconds?: number
  /** Failed authentications per client and address in one window. Default 10. */
  readonly failedAuthentications?: number
  /** Makes the limiters, one for each bucket, where counts are to be shared between processes. Default: memory of this process. */
  readonly createLimiter?: (options: LimiterOptions) => Limiter
  /** True puts the RateLimit fields on every answer, so that clients can slow down in time; 429 always has them. Default false. */
  readonly announce?: boolean
  /** Told when a limiter of `createLimiter` breaks; this process then counts for itself. Default: a process warning. */
  readonly onError?: (error: unknown) => unknown
}

/** A limit, and where a caller stands with it: what the RateLimit fields say (draft-ietf-httpapi-ratelimit-headers-11). */
export interface Standing {
  readonly name: string
  /** Requests in one window, and how long that is in seconds. */
  readonly points: number
  readonly seconds: number
  readonly remaining: number
  /** Seconds until the window ends. */
  readonly resetSeconds: number
}

/** The limit that is used up; null lets the request pass. */
export type Exhausted = Standing | null

/** A request that has been counted. */
interface Counted {
  readonly isTooMany: boolean
  /** Null where nobody counts, the limiter does not tell, or nobody is told. */
  readonly standing: Standing | null
}

/** At once where this process counts by itself: most requests need not wait for it. */
type Soon<Answer> = Answer | Promise<Answer>

/**
 * Counts requests. There is a bucket for each address (IPv6: each /64), for each family once its token has proved to be ours,
 * and for failed authentication of a client from an address. None is shared by all users of a client, or anybody could lock
 * everybody out.
 */
export interface RateLimits {
  /** Whether every answer says where its caller stands. */
  readonly announces: boolean
  /** Counts a request. Null as the address, where nobody tells it, is not limited. */
  forAddress(address: string | null): Soon<Counted>
  /** Counts a refresh of a family whose tag has been verified. */
  forFamily(familyId: string): Soon<Exhausted>
  /** Whether this client may still try to authenticate from there. Counts nothing. */
  beforeAuthentication(clientId: string, address: string | null): Soon<Exhausted>
  /** Counts a failure. */
  afterFailure(clientId: string, address: string | null): Soon<Exhausted>
}

/** A limiter slower than this is as good as dead; counting must not hold up everybody. */
const MOST_WAIT_MS = 500

const KNOWN = ['points', 'seconds', 'failedAuthentications', 'createLimiter', 'announce', 'onError']

/** Makes the limits that endpoints share. Throws `MisuseError`. */
export function rateLimits(options: RateLimitsOptions = {}): RateLimits {
  const {
    points = 60,
    seconds = 60,
    failedAuthentications = 10,
    createLimiter,
    announce = false,
    onError = warn,
  } = options
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name))
      throw new MisuseError(name, `is not an option of rateLimits; known are ${KNOWN.join(', ')}`)
  }
  demandCount('rateLimits.points', points)
  demandCount('rateLimits.seconds', seconds)
  demandCount('rateLimits.failedAuthentications', failedAuthentications)
  // Callers without types reach this with a variable of the environment.
  if (typeof (announce as unknown) !== 'boolean')
    throw new MisuseError('rateLimits.announce', 'is neither true nor false')

  const bucket = (name: string, most: number): Bucket => {
    const inProcess = windowsOf(seconds * 1000)
    const shared = createLimiter?.({ keyPrefix: `baton:${name}`, points: most, duration: seconds })
    const counter = shared === undefined ? inProcess : withFallback(shared, inProcess, { points: most, onError })
    return createBucket(counter, { policy: { name, points: most, seconds }, announce })
  }
  const addresses = bucket('address', points)
  const families = bucket('family', points)
  const failures = bucket('failure', failedAuthentications)

  return {
    announces: announce,
    forAddress: (address) => (address === null ? PASSED : addresses.count(networkOf(address))),
    async forFamily(familyId) {
      const { isTooMany, standing } = await families.count(familyId)
      return isTooMany ? standing : null
    },
    beforeAuthentication: (clientId, address) =>
      address === null ? null : failures.check(failureKey(clientId, address)),
    async afterFailure(clientId, address) {
      if (address === null) return null
      const { isTooMany, standing } = await failures.count(failureKey(clientId, address))
      return isTooMany ? standing : null
    },
  }
}

const defaults = new WeakMap<RefreshTokens, RateLimits>()

/** The limits that the endpoints over `tokens` count with when none are given: the same for all of them. */
export function defaultRateLimits(tokens: RefreshTokens): RateLimits {
  const existing = defaults.get(tokens)
  if (existing !== undefined) return existing
  const limits = rateLimits()
  defaults.set(tokens, limits)
  return limits
}

const PASSED: Counted = { isTooMany: false, standing: null }

export const noRateLimits: RateLimits = {
  announces: false,
  forAddress: () => PASSED,
  forFamily: () => null,
  beforeAuthentication: () => null,
  afterFailure: () => null,
}

interface Bucket {
  count(key: string): Soon<Counted>
  check(key: string): Soon<Exhausted>
}

/** Windows of this process, or of a limiter that it shares with others. Null from `count`: the limiter lets it pass and tells no more. */
interface Counter {
  count(key: string): Soon<Count | null>
  look(key: string): Soon<Count | null>
}

interface BucketOptions {
  readonly policy: Pick<Standing, 'name' | 'points' | 'seconds'>
  readonly announce: boolean
}

function createBucket(counter: Counter, { policy, announce }: BucketOptions): Bucket {
  const { name, points, seconds } = policy
  const standingOf = ({ consumedPoints, msBeforeNext }: Count): Standing => ({
    name,
    points,
    seconds,
    remaining: Math.max(0, points - consumedPoints),
    resetSeconds: msBeforeNext / 1000,
  })
  function judge(count: Count | null): Counted {
    if (count === null) return PASSED
    const isTooMany = count.consumedPoints > points
    return isTooMany || announce ? { isTooMany, standing: standingOf(count) } : PASSED
  }
  function refuse(count: Count | null): Exhausted {
    return count === null || count.consumedPoints < points ? null : standingOf(count)
  }
  return {
    count: (key) => once(counter.count(key), judge),
    check: (key) => once(counter.look(key), refuse),
  }
}

/** Goes on at once where there is nothing to wait for. */
function once<Given, Answer>(given: Soon<Given>, next: (given: Given) => Answer): Soon<Answer> {
  return given instanceof Promise ? given.then(next) : next(given)
}

/** What limiters of the package answer; of others nothing is known but that they let the request pass. */
function isCount(answer: unknown): answer is Count {
  return isExhausted(answer) && 'consumedPoints' in answer && typeof answer.consumedPoints === 'number'
}

/** Whether a limiter rejected because there are no points left. Told by shape: the app may have another copy of the package. */
function isExhausted(rejection: unknown): rejection is Pick<Count, 'msBeforeNext'> {
  return (
    typeof rejection === 'object' &&
    rejection !== null &&
    'msBeforeNext' in rejection &&
    typeof rejection.msBeforeNext === 'number'
  )
}

interface FallbackOptions {
  readonly points: number
  readonly onError: (error: unknown) => unknown
}

/** Counts in this process whenever the shared limiter does not answer, and tells once per outage. */
function withFallback(shared: Limiter, inProcess: Windows, { points, onError }: FallbackOptions): Counter {
  let isDown = false
  async function ask(run: () => Promise<unknown>, otherwise: () => Count | null): Promise<Count | null> {
    try {
      const answer = await within(MOST_WAIT_MS, run)
      isDown = false
      return isCount(answer) ? answer : null
    } catch (cause) {
      if (isExhausted(cause)) return { consumedPoints: points + 1, msBeforeNext: cause.msBeforeNext }
      if (!isDown) report(new Error('a rate limiter failed; counting in this process', { cause }), onError)
      isDown = true
      return otherwise()
    }
  }
  return {
    count: (key) =>
      ask(
        () => shared.consume(key),
        () => inProcess.count(key),
      ),
    look: (key) =>
      ask(
        () => shared.get(key),
        () => inProcess.look(key),
      ),
  }
}

async function within<Answer>(ms: number, run: () => Promise<Answer>): Promise<Answer> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([run(), timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Of one length, however long a client_id is sent. */
function failureKey(clientId: string, address: string): string {
  return createHash('sha256')
    .update(`${networkOf(address)} ${clientId}`)
    .digest('base64url')
}

function demandCount(option: string, value: unknown): void {
  if (Number.isInteger(value) && (value as number) >= 1) return
  throw new MisuseError(
    option,
    `${String(value)} is not a whole number of 1 or more; to limit nothing, give the endpoints rateLimit: false`,
  )
}
