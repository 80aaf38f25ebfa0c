import {
  declareOptions,
  func,
  integer,
  literalOr,
  objectWith,
  optional,
  type OptionsOf,
  type Resolved,
  rule,
  withDefault,
} from '@baton/core/options'
import { isLoopbackName } from './ip-address.js'
import type { RateLimits } from '../rate-limits/rate-limits.js'
import { warn } from './report.js'

/** How requests reach this server. */
export const transportOptions = declareOptions({
  /**
   * The number of your reverse proxies in front of this server, each of which appends to X-Forwarded-For. The client's address and
   * scheme are taken from the entry of the outermost one. Default 0: forwarding headers are ignored.
   */
  trustProxy: withDefault(
    integer({ min: 0, max: 100, fix: 'pass the number of your proxies in front of this server' }),
    0,
  ),
  /**
   * The URL under which clients reach the path `/` of this server, such as `https://login.example`; with the path that a proxy
   * removes, if one does. DPoP proofs must be made for it. Default: from the Host header, which every client can set.
   */
  publicUrl: optional(
    rule<string>(
      'the https URL under which clients reach this server, such as "https://login.example"',
      isPublicUrl,
      'http is accepted for loopback hosts only',
    ),
  ),
})

export type TransportOptions = OptionsOf<typeof transportOptions>

/** What every endpoint accepts. */
export const endpointOptions = transportOptions.extend({
  /**
   * What `rateLimits(…)` returns, the same for all endpoints, so that they count together; false for no limits. Default: one for each
   * `RefreshTokens`.
   */
  rateLimit: optional(
    literalOr(false, objectWith<RateLimits>(['countRequest', 'countRefresh'], 'what rateLimits() returns')),
  ),
  /** Called with every error that is sent as a response of 500 or 503. Default: a process warning with the name and code of the error. */
  onError: withDefault(func<(error: unknown) => unknown>(), warn),
  /** The current time in epoch milliseconds. Default `Date.now`. */
  now: withDefault(func<() => number>(), Date.now),
})

export type EndpointOptions = OptionsOf<typeof endpointOptions>

/** The options of every endpoint with their defaults. */
export type ResolvedEndpointOptions = Resolved<(typeof endpointOptions)['fields']>

function isPublicUrl(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || /[?#]/.test(value)) return false
  const { protocol, hostname, username, password } = new URL(value)
  // Requests over http from other hosts are rejected in any case.
  const isLoopbackHttp = protocol === 'http:' && isLoopbackName(hostname)
  return (protocol === 'https:' || isLoopbackHttp) && username === '' && password === ''
}
