/** What is needed of a shared limiter; every class of rate-limiter-flexible fits. */
export interface Limiter {
  /** Counts one request. Rejects with an object that has `msBeforeNext` if no points are left, with anything else if it is broken. */
  consume(key: string): Promise<unknown>
  /** Returns a point that was consumed. */
  reward(key: string, points?: number): Promise<unknown>
}

/** To be passed on: `(options) => new RateLimiterRedis({ storeClient: redis, ...options })`. */
export interface LimiterOptions {
  /** Differs for each bucket. */
  readonly keyPrefix: string
  readonly points: number
  /** Seconds. */
  readonly duration: number
}

/** How far a key has got in its window. */
export interface Count {
  readonly consumedPoints: number
  readonly msBeforeNext: number
}

/** A value that is available at once if this process counts by itself: most requests need not wait for it. */
export type MaybePromise<Value> = Value | Promise<Value>

/** One counted request. */
export interface Counted {
  /** Null if the limiter accepts the request and returns no details. */
  readonly count: Count | null
  /** True if other processes count in the same place. */
  readonly isShared: boolean
  /** Undoes the count. Never rejects. */
  readonly giveBack: () => void | Promise<void>
}

/** Counts requests by key, in this process or in a limiter that processes share. */
export interface Counter {
  /** Counts one request. Never rejects. */
  count(key: string): MaybePromise<Counted>
}

/** Continues at once if there is nothing to wait for. */
export function andThen<Given, Result>(
  given: MaybePromise<Given>,
  next: (given: Given) => MaybePromise<Result>,
): MaybePromise<Result> {
  return given instanceof Promise ? given.then(next) : next(given)
}
