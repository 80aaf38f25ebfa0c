import type { LegacyCookieOptions } from './legacy-cookie.js'
import type { RateLimits } from './rate-limits/rate-limits.js'

/** How requests reach this server. */
export interface TransportOptions {
  /**
   * How many proxies of yours stand in front, each appending to X-Forwarded-For. 0 (the default) trusts no forwarding header.
   * The client's address and scheme are then taken from where the outermost of them wrote.
   */
  readonly trustProxy?: number
  /**
   * Where clients find your `/`, such as `https://login.example`; with the path in front that a proxy of yours cuts off, if one
   * does. DPoP proofs must be made for it. Default: what the Host header says, which anybody can write.
   */
  readonly publicUrl?: string
}

/** What every endpoint understands. */
export interface EndpointOptions extends TransportOptions {
  /** `rateLimits({ … })`, the same for all endpoints so that they count together; false for none. Default: one per `RefreshTokens`. */
  readonly rateLimit?: RateLimits | false
  /** Told of every error that was answered with 500 or 503. Default: a process warning with the error's name and code. */
  readonly onError?: (error: unknown) => unknown
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

export interface CookieOptions {
  /** Without the `__Host-` prefix, which is added wherever the cookie is Secure. Default `baton`. */
  readonly name?: string
  /** The client that cookie sessions are issued to. Default `first-party`. */
  readonly clientId?: string
  /** Origins besides the server's own that may refresh and sign out, exact: `https://app.example`, `capacitor://localhost`. */
  readonly allowedOrigins?: readonly string[]
  /** True for apps that live in other people's frames: `SameSite=None; Partitioned` instead of `SameSite=Strict`. */
  readonly embedded?: boolean
  /**
   * The cookie in which the system you come from keeps its refresh token: its name, or also its path and domain. A browser without
   * Baton's cookie is let in by it, if `accept` of `createRefreshTokens` accepts the token. Tokens of Baton are never accepted there.
   * Every response that sets or clears Baton's cookie expires it. Remove the option once no token of that system is left.
   */
  readonly legacyCookie?: string | LegacyCookieOptions
}
