import { checkOptions } from './platform/options.js'
import type { Call } from './protocol/requests.js'
import type { Endpoints } from './session/connection.js'
import { connectWith } from './session/connection.js'
import { createExclusiveRunner } from './session/exclusive-requests.js'
import { secureUrl } from './protocol/secure-url.js'

export interface CookieOptions {
  /** The refresh endpoint of a Baton server with `cookie: true`. */
  readonly refreshEndpoint: string | URL
  /** The logout endpoint of the same server. */
  readonly logoutEndpoint: string | URL
  /**
   * Stores the access token together with the session, so that all tabs share one refresh. Default false: each tab refreshes for itself,
   * and no token is stored.
   */
  readonly shareAccessToken?: boolean
}

/**
 * A server that renders the page creates the session too but has no cookie. Paths are resolved against a name that never resolves (RFC 6761
 * section 6.4).
 */
const SERVER_BASE = 'https://server.invalid'

/**
 * Returns endpoints for a refresh token in an HttpOnly cookie: a Baton server with `cookie: true`. The storage contains no secret: only the
 * session id, the generation and the expiry. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { cookieEndpoints } from '@baton/client/cookie'
 *
 * const session = createSession({
 *   endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
 * })
 * ```
 */
export function cookieEndpoints(options: CookieOptions): Endpoints {
  checkOptions<CookieOptions>(
    options,
    { refreshEndpoint: 'URL', logoutEndpoint: 'URL' },
    { shareAccessToken: 'boolean' },
  )
  const { shareAccessToken = false } = options
  const refresh = secureUrl('refreshEndpoint', options.refreshEndpoint, SERVER_BASE)
  const logout = secureUrl('logoutEndpoint', options.logoutEndpoint, SERVER_BASE)

  function createCall(url: string, sid: string | null, headers: Readonly<Record<string, string>> = {}): Call {
    const marker = sid === null ? {} : { 'x-baton-session': sid }
    return {
      url,
      headers: { accept: 'application/json', 'x-baton': '1', ...marker, ...headers },
      body: null,
      credentials: 'include',
    }
  }

  return {
    origin: new URL(refresh).origin,
    isCookie: true,
    connect: connectWith(createExclusiveRunner),
    redact: (name, value) => (name === 'accessToken' && !shareAccessToken ? null : value),
    refresh: ({ sid }, key) => createCall(refresh, sid, { 'idempotency-key': key }),
    revoke: ({ sid }) => createCall(logout, sid),
    // The server exchanges the code and sets the cookie.
    exchange: () => null,
  }
}
