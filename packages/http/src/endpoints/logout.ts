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
  /** The cookie of the refresh endpoint, with the same settings. */
  cookie: required(cookieOption()),
  /** As at the refresh endpoint. A session that is bound to a key is revoked only with a proof of that key. */
  dpop: dpopField,
})

export type LogoutOptions = OptionsOf<typeof logoutOptions>

/**
 * Revokes the family of the cookie and clears the cookie. The response is 204, also without a cookie. With several cookies of the same
 * name, the family of each is revoked. The family must belong to the client of the cookie, and a family that is bound to a key needs a
 * proof of that key; otherwise nothing is revoked. An old token of the family revokes the family too, because a browser may have missed
 * the last response. If the store fails, the cookie is not cleared. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { logoutEndpoint } from '@baton/http'
 *
 * const logout = logoutEndpoint(tokens, { cookie: true })
 * ```
 */
export function logoutEndpoint(tokens: RefreshTokens, options: LogoutOptions): Endpoint {
  const resolved = logoutOptions.parse('logoutEndpoint', options)
  const refreshTokenCookie = createRefreshTokenCookie(resolved.cookie)
  const proofs = proofChecker(resolved.dpop)

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async respond(exchange) {
      const session = await readCookieSession(exchange, refreshTokenCookie, tokens)
      if (!session.ok) return session.response
      const cleared = noContent(refreshTokenCookie.clear(exchange.transport))
      if (session.cookieTokens.length === 0) return cleared
      return withOptionalProof({ proofs, oneTimeKeys: tokens, exchange }, async (proven) => {
        const authority = {
          clientId: refreshTokenCookie.clientId,
          confirmation: proven.ok ? proven.confirmation : null,
        }
        const outcome = await revokeAll({ tokens, counted: exchange.counted }, session, authority)
        switch (outcome) {
          case 'other_family':
            return otherSession(await sessionState(tokens, session.expected))
          case 'unconfirmed':
            return unprovenKey(proven)
          default:
            return cleared
        }
      })
    },
  })
}

/** Tells the page whether its session is still active. If it is, the page must not show that the user has signed out. */
async function sessionState(
  tokens: RefreshTokens,
  { familyId }: SessionCookies['expected'],
): Promise<{ readonly session_active?: true }> {
  const family = familyId === undefined ? null : await tokens.find(familyId)
  return family === null ? {} : { session_active: true }
}

/**
 * Revokes the family of each cookie. With an expected family, one of the cookies must belong to it. One revoked family is a success: the
 * page may not have the key of another cookie of the same name, and that must not keep the browser signed in.
 */
async function revokeAll(
  { tokens, counted }: { readonly tokens: RefreshTokens } & Pick<Exchange, 'counted'>,
  { cookieTokens, expected }: SessionCookies,
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
  for (const token of cookieTokens) if ((await revoke(token, expected)) === 'other_family') others.push(token)
  const hasExpected = results.has('revoked') || results.has('unconfirmed')
  if (others.length > 0 && !hasExpected) return 'other_family'
  for (const token of others) await revoke(token, {})
  return results.has('unconfirmed') && !results.has('revoked') ? 'unconfirmed' : 'done'
}
