import { FIRST_PARTY, type RefreshTokens } from '@baton/core'
import { optional, type OptionsOf, text, withDefault } from '@baton/core/options'
import { createAccessTokenIssuer } from '../access-tokens/issuer.js'
import { createRefreshTokenCookie, cookieOption } from '../cookies/refresh-token-cookie.js'
import { clientOptions } from '../clients/authenticate.js'
import { clientPolicy } from '../clients/client-policy.js'
import { proofChecker, type Proven } from '../proof-of-possession/dpop/proof-checker.js'
import { withOptionalProof } from '../proof-of-possession/dpop/with-proof.js'
import { defineEndpoint, type Exchange, rejectUnproven } from '../pipeline/define-endpoint.js'
import { readField } from '../messages/field.js'
import type { Endpoint, PlainResponse } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { refresh } from '../grants/exchange.js'
import { invalidRequest, signedOut } from '../messages/responses.js'
import { readCookieSession, tokenToRefresh } from '../cookies/session-cookie.js'
import { tokenResponse } from '../grants/token-response.js'
import { dpopField, issuedAccessTokens } from './shared-options.js'

export const refreshOptions = endpointOptions.extend({
  accessTokens: issuedAccessTokens,
  /** Accepts the refresh token of a cookie, for pages. Default: only refresh tokens in a body are accepted. */
  cookie: optional(cookieOption()),
  /** The member of a JSON or form body that holds the refresh token. Default `refresh_token`. */
  bodyField: withDefault(text({ maxBytes: 64 }), 'refresh_token'),
  /** The client to which the refresh tokens in bodies were issued. Default `first-party`. */
  clientId: withDefault(text(), FIRST_PARTY),
  /** How DPoP proofs are verified (RFC 9449). A token that is bound to a key needs a proof of that key. */
  dpop: dpopField,
  /** The registry of these clients, if they are registered: their `validAfter` and the keys that they must prove apply here too. */
  clients: optional(clientOptions.fields.clients.rule),
})

export type RefreshOptions = OptionsOf<typeof refreshOptions>

/**
 * Refreshes the sessions of your own pages and apps, without any client registration. The refresh token is read from the cookie or
 * from a JSON or form body, and the new one is returned in the same way. If the request has a cookie, the body is not read. For OAuth
 * clients use `tokenEndpoint`.
 *
 * A rejected request does not consume a token. A rejection never sets or clears the cookie, because a late rejection must not remove the
 * cookie of a newer login. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { refreshEndpoint } from '@baton/http'
 *
 * const refresh = refreshEndpoint(tokens, { accessTokens, cookie: true })
 * ```
 */
export function refreshEndpoint(tokens: RefreshTokens, options: RefreshOptions): Endpoint {
  const resolved = refreshOptions.parse('refreshEndpoint', options)
  const { bodyField } = resolved
  const refreshTokenCookie = resolved.cookie === undefined ? null : createRefreshTokenCookie(resolved.cookie)
  const policy = clientPolicy({
    clients: resolved.clients,
    ownClients: [refreshTokenCookie?.clientId, resolved.clientId],
  })
  const proofs = proofChecker(resolved.dpop)
  const issuer = { tokens, accessTokenIssuer: createAccessTokenIssuer(resolved.accessTokens, tokens.policy) }

  async function admit(clientId: string, proven: Proven) {
    const client = await policy.find(clientId)
    const request = { clientId, client, grantType: 'refresh_token', confidential: false, proven }
    return policy.admit({ ...request, certificateConfirmation: null })
  }

  async function refreshFromBody(exchange: Exchange, refreshToken: string): Promise<PlainResponse> {
    const { clientId } = resolved
    const unproven = await rejectUnproven(exchange, () => tokens.isAuthentic(refreshToken))
    if (unproven !== null) return unproven
    return withOptionalProof({ proofs, oneTimeKeys: tokens, exchange }, async (proven) => {
      const admission = await admit(clientId, proven)
      if (!admission.ok) return admission.response
      const { confirmation, validAfter, rotation } = admission
      const presented = { refreshToken, clientId, confirmation, validAfter, rotation }
      const refreshed = await refresh(issuer, exchange, presented)
      if (!refreshed.ok) return refreshed.response
      const { granted, minted } = refreshed
      return tokenResponse({ minted, scope: granted.scope, confirmation, refreshToken: granted.refreshToken })
    })
  }

  async function refreshFromCookie(
    exchange: Exchange,
    cookie: NonNullable<typeof refreshTokenCookie>,
  ): Promise<PlainResponse> {
    const session = await readCookieSession(exchange, cookie, tokens)
    if (!session.ok) return session.response
    const { clientId } = cookie
    const token = await tokenToRefresh(tokens, session, clientId)
    if (token === null) return signedOut()
    return withOptionalProof({ proofs, oneTimeKeys: tokens, exchange }, async (proven) => {
      const admission = await admit(clientId, proven)
      if (!admission.ok) return admission.response
      const { confirmation, validAfter, rotation } = admission
      const presented = { ...token, clientId, confirmation, validAfter, rotation, ...session.expected }
      const refreshed = await refresh(issuer, exchange, presented)
      if (!refreshed.ok) return refreshed.isVerdict ? signedOut() : refreshed.response
      const { granted, minted } = refreshed
      return tokenResponse({
        minted,
        scope: granted.scope,
        confirmation,
        sid: granted.family.id,
        headers: cookie.set(granted.refreshToken, granted.family, exchange),
      })
    })
  }

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async respond(exchange) {
      const { request, transport } = exchange
      const hasCookie = refreshTokenCookie !== null && refreshTokenCookie.read(request, transport).length > 0
      if (hasCookie) return refreshFromCookie(exchange, refreshTokenCookie)
      const field = await readField(request, bodyField)
      if (!field.ok) return field.response
      if (field.value !== null) return refreshFromBody(exchange, field.value)
      if (refreshTokenCookie !== null) return refreshFromCookie(exchange, refreshTokenCookie)
      return invalidRequest(`Send ${bodyField} in a JSON or form body.`)
    },
  })
}
