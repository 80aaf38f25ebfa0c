import { checkOptions } from './platform/options.js'
import type { Call } from './protocol/requests.js'
import type { Endpoints } from './session/connection.js'
import { connectWith } from './session/connection.js'
import { createExclusiveRunner } from './session/exclusive-requests.js'
import { secureUrl } from './protocol/secure-url.js'

export interface CookieOptions {
  readonly refreshEndpoint: string | URL
  readonly logoutEndpoint: string | URL
  /**
   * Stores the access token beside the marker, so that one refresh serves all tabs. Default false: every tab refreshes for itself,
   * and no token is ever stored.
   */
  readonly shareAccessToken?: boolean
}

/**
 * A server that renders the page makes the session as well, and has no cookie: there a path leads nowhere (RFC 6761 section 6.4).
 * Whoever asks nevertheless finds nobody to be reached.
 */
const SERVER_BASE = 'https://server.invalid'

/**
 * For a session in a cookie that no script can read: a Baton server with `cookie: true`. What is stored here is no secret: which
 * session it is, which generation, and until when. Throws `ConfigurationError`.
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
    // The server exchanges the code, and answers with a cookie.
    exchange: () => null,
  }
}
