import type { RefreshTokens, RevokeRequest } from '@baton/core'
import { type OptionsOf, required } from '@baton/core/options'
import { type CookieToken, createRefreshTokenCookie, cookieOption } from '../cookies/refresh-token-cookie.js'
import { proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { unprovenKey, withOptionalProof } from '../proof-of-possession/dpop/with-proof.js'
import { defineEndpoint, type Exchange } from '../pipeline/define-endpoint.js'
import type { Endpoint } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { noContent, otherSession } from '../messages/responses.js'
import { readCookieSession, type SessionCookies } from '../cookies/session-cookie.js'
import { dpopField } from './shared-options.js'

export const logoutOptions = endpointOptions.extend({
  cookie: required(cookieOption()),
  /** As at the refresh endpoint. A session that is bound to a key is revoked only with a proof of that key. */
  dpop: dpopField,
})

export type LogoutOptions = OptionsOf<typeof logoutOptions>

/**
 * Revokes the family of the cookie and clears the cookie; 204 also without a cookie. With several cookies of the name, the family of
 * each is revoked. The family must belong to the cookie's client,
 * and a family that is bound to a key needs a proof of that key; otherwise nothing is revoked. A token of the family that has been
 * rotated away revokes it as well: a browser may have missed the last response, and at the refresh endpoint such a token does no
 * less. If the store fails, the cookie stays. Throws `ConfigurationError`.
 */
export function logoutEndpoint(tokens: RefreshTokens, options: LogoutOptions): Endpoint {
  const resolved = logoutOptions.parse('logoutEndpoint', options)
  const carrier = createRefreshTokenCookie(resolved.cookie)
  const proofs = proofChecker(resolved.dpop)

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async respond(exchange) {
      const session = await readCookieSession(exchange, carrier, tokens)
      if (!session.ok) return session.response
      const cleared = noContent(carrier.clear(exchange.transport))
      if (session.carried.length === 0) return cleared
      return withOptionalProof({ proofs, memory: tokens, exchange }, async (proven) => {
        const authority = { clientId: carrier.clientId, confirmation: proven.ok ? proven.confirmation : null }
        const outcome = await revokeAll({ tokens, counted: exchange.counted }, session, authority)
        switch (outcome) {
          case 'other_family':
            return otherSession(await stateOf(tokens, session.expected))
          case 'unconfirmed':
            return unprovenKey(proven)
          default:
            return cleared
        }
      })
    },
  })
}

/** Whether the session that the page believes in is alive: then the sign-out has not happened, and its page must not claim it. */
async function stateOf(
  tokens: RefreshTokens,
  { familyId }: SessionCookies['expected'],
): Promise<{ readonly session_active?: true }> {
  const family = familyId === undefined ? null : await tokens.find(familyId)
  return family === null ? {} : { session_active: true }
}

/**
 * Revokes the family of each cookie. With an expected family, one of the cookies must be of it. One revoked family is a success: a
 * further cookie of the same name whose key the page does not have must not keep the browser signed in.
 */
async function revokeAll(
  { tokens, counted }: { readonly tokens: RefreshTokens } & Pick<Exchange, 'counted'>,
  { carried, expected }: SessionCookies,
  authority: Pick<RevokeRequest, 'clientId' | 'confirmation'>,
): Promise<'done' | 'other_family' | 'unconfirmed'> {
  const results = new Set<string>()
  const revoke = async (token: CookieToken, family: SessionCookies['expected']) => {
    const outcome = await tokens.revoke({ ...token, reason: 'logout', ...authority, ...family })
    if (outcome.ok && outcome.ended) counted.release()
    const result = outcome.ok ? 'revoked' : outcome.reason
    results.add(result)
    return result
  }
  const others: CookieToken[] = []
  for (const token of carried) if ((await revoke(token, expected)) === 'other_family') others.push(token)
  const hasExpected = results.has('revoked') || results.has('unconfirmed')
  if (others.length > 0 && !hasExpected) return 'other_family'
  for (const token of others) await revoke(token, {})
  return results.has('unconfirmed') && !results.has('revoked') ? 'unconfirmed' : 'done'
}
