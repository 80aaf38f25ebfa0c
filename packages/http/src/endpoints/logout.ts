import type { RefreshTokens } from '@baton/core'
import { cookieCarrier } from '../carrier.js'
import { endpoint } from '../endpoint.js'
import type { Endpoint } from '../message.js'
import type { CookieOptions, EndpointOptions } from '../options.js'
import { noContent, otherSession } from '../respond.js'
import { readCookieSession } from '../session-cookie.js'

export interface LogoutOptions extends EndpointOptions {
  readonly cookie: CookieOptions | true
}

/**
 * Ends the family of the cookie and clears it; 204 also when there is none. While the store is out the cookie stays: what has not
 * been ended must not look ended. Throws `MisuseError`.
 */
export function logoutEndpoint(tokens: RefreshTokens, options: LogoutOptions): Endpoint {
  const carrier = cookieCarrier(options.cookie)

  return endpoint({
    tokens,
    options,
    ownOptions: ['cookie'],
    methods: ['POST'],
    async answer(exchange) {
      const session = readCookieSession(exchange, carrier)
      if (!session.ok) return session.response
      const { refreshToken, expected } = session
      if (refreshToken !== null) {
        const outcome = await tokens.revoke({ refreshToken, reason: 'logout', ...expected })
        if (!outcome.ok && outcome.reason === 'other_family') return otherSession()
      }
      return noContent([carrier.clear(exchange.transport)])
    },
  })
}
