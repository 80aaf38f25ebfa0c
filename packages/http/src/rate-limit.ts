import { createHash } from 'node:crypto'
import { MisuseError, type RefreshTokens } from '@baton/core'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { networkOf } from './transport.js'
import { report, warn } from './warn.js'

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
  readonly onError?: (error: unknown) => void
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
  /** Null where nobody counts, or the limiter does not tell. */
  readonly standing: Standing | null
}

/**
 * Counts requests. There is a bucket for each address (IPv6: each /64), for each family once its token has proved to be ours,
 * and for failed authentication of a client from an address. None is shared by all users of a client, or anybody could lock
 * everybody out.
 */
export interface RateLimits {
  /** Whether every answer says where its caller stands. */
  readonly announces: boolean
  /** Counts a request. Null as the address, where nobody tells it, is not limited. */
  forAddress(address: string | null): Promise<Counted>
  /** Counts a refresh of a family whose tag has been verified. */
  forFamily(familyId: string): Promise<Exhausted>
  /** Whether this client may still try to authenticate from there. Counts nothing. */
  beforeAuthentication(clientId: string, address: string | null): Promise<Exhausted>
  /** Counts a failure. */
  afterFailure(clientId: string, address: string | null): Promise<Exhausted>
}

/** Keys that one process remembers in each bucket: about 25 MB when all are full. */
const MOST_KEYS = 100_000
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
    const limiterOptions = { keyPrefix: `baton:${name}`, points: most, duration: seconds }
    const inProcess = boundedMemory(limiterOptions)
    const shared = createLimiter?.(limiterOptions)
    const limiter = shared === undefined ? inProcess : withFallback(shared, inProcess, onError)
    return createBucket(limiter, { name, points: most, seconds })
  }
  const addresses = bucket('address', points)
  const families = bucket('family', points)
  const failures = bucket('failure', failedAuthentications)

  return {
    announces: announce,
    forAddress: async (address) => (address === null ? UNCOUNTED : addresses.count(networkOf(address))),
    forFamily: async (familyId) => exhausted(await families.count(familyId)),
    beforeAuthentication: async (clientId, address) =>
      address === null ? null : failures.check(failureKey(clientId, address)),
    afterFailure: async (clientId, address) =>
      address === null ? null : exhausted(await failures.count(failureKey(clientId, address))),
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

const UNCOUNTED: Counted = { isTooMany: false, standing: null }

export const noRateLimits: RateLimits = {
  announces: false,
  forAddress: async () => UNCOUNTED,
  forFamily: async () => null,
  beforeAuthentication: async () => null,
  afterFailure: async () => null,
}

interface Bucket {
  count(key: string): Promise<Counted>
  check(key: string): Promise<Exhausted>
}

function createBucket(limiter: Limiter, policy: Pick<Standing, 'name' | 'points' | 'seconds'>): Bucket {
  const standingOf = (state: State): Standing => ({
    ...policy,
    remaining: Math.max(0, policy.points - state.consumedPoints),
    resetSeconds: state.msBeforeNext / 1000,
  })
  return {
    async count(key) {
      try {
        const state = await limiter.consume(key)
        return { isTooMany: false, standing: isState(state) ? standingOf(state) : null }
      } catch (rejection) {
        if (!isExhausted(rejection)) throw rejection
        const { msBeforeNext } = rejection
        return { isTooMany: true, standing: standingOf({ msBeforeNext, consumedPoints: policy.points }) }
      }
    },
    async check(key) {
      const state = await limiter.get(key)
      return state === null || state.consumedPoints < policy.points ? null : standingOf(state)
    },
  }
}

function exhausted({ isTooMany, standing }: Counted): Exhausted {
  return isTooMany ? standing : null
}

interface State {
  readonly consumedPoints: number
  readonly msBeforeNext: number
}

/** What limiters of the package answer; of others nothing is known but that they let the request pass. */
function isState(state: unknown): state is State {
  return isExhausted(state) && 'consumedPoints' in state && typeof state.consumedPoints === 'number'
}

/** Whether a limiter rejected because there are no points left. Told by shape: the app may have another copy of the package. */
function isExhausted(rejection: unknown): rejection is Pick<State, 'msBeforeNext'> {
  return (
    typeof rejection === 'object' &&
    rejection !== null &&
    'msBeforeNext' in rejection &&
    typeof rejection.msBeforeNext === 'number'
  )
}

/** Counts in this process whenever the shared limiter does not answer, and tells once per outage. */
function withFallback(shared: Limiter, inProcess: Limiter, onError: (error: unknown) => void): Limiter {
  let isDown = false
  async function ask<Answer>(run: (limiter: Limiter) => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await within(MOST_WAIT_MS, run(shared))
      isDown = false
      return answer
    } catch (cause) {
      if (isExhausted(cause)) throw cause
      if (!isDown) report(new Error('a rate limiter failed; counting in this process', { cause }), onError)
      isDown = true
      return run(inProcess)
    }
  }
  return {
    consume: (key) => ask((limiter) => limiter.consume(key)),
    get: (key) => ask((limiter) => limiter.get(key)),
  }
}

async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([answer, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** Forgets whom it has not seen for longest when it is full: a flood of addresses must not fill the memory. */
function boundedMemory(options: LimiterOptions): Limiter {
  const limiter = new RateLimiterMemory(options)
  const keys = new Set<string>()
  return {
    async consume(key) {
      keys.delete(key)
      keys.add(key)
      if (keys.size > MOST_KEYS) {
        const [oldest = key] = keys
        keys.delete(oldest)
        await limiter.delete(oldest)
      }
      return limiter.consume(key)
    },
    get: (key) => limiter.get(key),
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
