import type { RefreshTokens } from '@baton/core'
import { cookieCarrier } from '../carrier.js'
import { type DpopOptions, proofChecker } from '../dpop/dpop.js'
import { unconfirmed, withOptionalProof } from '../dpop/with-proof.js'
import { endpoint } from '../endpoint.js'
import type { Endpoint } from '../message.js'
import type { CookieOptions, EndpointOptions } from '../options.js'
import { noContent, otherSession } from '../respond.js'
import { readCookieSession } from '../session-cookie.js'

export interface LogoutOptions extends EndpointOptions {
  readonly cookie: CookieOptions | true
  /** As at the refresh endpoint. A session that is bound to a key is revoked only with a proof of that key. */
  readonly dpop?: DpopOptions
}

/**
 * Revokes the family of the cookie and clears the cookie; 204 also without a cookie. The family must belong to the cookie's client,
 * and a family that is bound to a key needs a proof of that key; otherwise nothing is revoked. A token of the family that has been
 * rotated away revokes it as well: a browser may have missed the last response, and at the refresh endpoint such a token does no
 * less. If the store fails, the cookie stays. Throws `MisuseError`.
 */
export function logoutEndpoint(tokens: RefreshTokens, options: LogoutOptions): Endpoint {
  const carrier = cookieCarrier(options.cookie)
  const proofs = proofChecker(options.dpop)

  return endpoint({
    tokens,
    options,
    ownOptions: ['cookie', 'dpop'],
    methods: ['POST'],
    async answer(exchange) {
      const session = readCookieSession(exchange, carrier)
      if (!session.ok) return session.response
      const { refreshToken, expected } = session
      const cleared = noContent([carrier.clear(exchange.transport)])
      if (refreshToken === null) return cleared
      return withOptionalProof({ proofs, memory: tokens, exchange }, async (proven) => {
        const boundKey = proven.ok ? proven.boundKey : null
        const { clientId } = carrier
        const outcome = await tokens.revoke({ refreshToken, clientId, boundKey, reason: 'logout', ...expected })
        if (outcome.ok) return cleared
        if (outcome.reason === 'other_family') return otherSession()
        return outcome.reason === 'unconfirmed' ? unconfirmed(proven) : cleared
      })
    },
  })
}
