/** A limit and how much of it a caller has used, as in the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-11). */
export interface Standing {
  readonly name: string
  /** Requests in one window, and the length of the window in seconds. */
  readonly points: number
  readonly seconds: number
  readonly remaining: number
  /** Seconds until the window ends. */
  readonly resetSeconds: number
}

/** The exhausted limit; null if no limit is exhausted. */
export type Exhausted = Standing | null
