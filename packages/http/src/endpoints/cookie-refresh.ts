import type { RefreshTokens } from '@baton/core'
import { optional, type OptionsOf, required } from '@baton/core/options'
import { mintingOf } from '../access-tokens/issuer.js'
import { cookieCarrier, cookieOption } from '../carrier.js'
import { clientOptions } from '../clients/authenticate.js'
import { clientPolicy } from '../clients/client-policy.js'
import { proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { withOptionalProof } from '../proof-of-possession/dpop/with-proof.js'
import { endpoint } from '../endpoint.js'
import type { Endpoint } from '../message.js'
import { endpointOptions } from '../options.js'
import { refresh } from '../refresh.js'
import { signedOut } from '../respond.js'
import { readCookieSession, tokenToRefresh } from '../session-cookie.js'
import { tokenAnswer } from '../grants/token-response.js'
import { dpopField, issuedAccessTokens } from './shared-options.js'

export const cookieRefreshOptions = endpointOptions.extend({
  accessTokens: issuedAccessTokens,
  cookie: required(cookieOption()),
  /** As at the token endpoint. */
  dpop: dpopField,
  /** The registry of the cookie's client, if it is registered: its `validAfter` and the keys that it must prove apply here too. */
  clients: optional(clientOptions.fields.clients.rule),
})

/** For the pages of your own app: the refresh token is in a cookie that no script can read. */
export type CookieRefreshOptions = OptionsOf<typeof cookieRefreshOptions>

/**
 * The refresh of a page that cannot see its own refresh token. No refusal sets or clears the cookie: a late verdict would otherwise
 * wipe a newer sign-in, and a dead cookie is harmless.
 */
export function cookieRefreshEndpoint(tokens: RefreshTokens, options: CookieRefreshOptions): Endpoint {
  const resolved = cookieRefreshOptions.parse('refreshEndpoint', options)
  const carrier = cookieCarrier(resolved.cookie)
  const policy = clientPolicy({ clients: resolved.clients, ownClients: [carrier.clientId] })
  const proofs = proofChecker(resolved.dpop)
  const issuer = { tokens, minting: mintingOf(resolved.accessTokens, tokens.policy) }

  return endpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async answer(exchange) {
      const session = await readCookieSession(exchange, carrier, tokens)
      if (!session.ok) return session.response
      const { clientId } = carrier
      const { expected } = session
      const carried = await tokenToRefresh(tokens, session, clientId)
      if (carried === null) return signedOut()
      const client = await policy.find(clientId)
      return withOptionalProof({ proofs, memory: tokens, exchange }, async (proven) => {
        const facts = {
          clientId,
          client,
          grantType: 'refresh_token',
          confidential: false,
          proven,
          certificateConfirmation: null,
        }
        const admission = policy.admit(facts)
        if (!admission.ok) return admission.response
        const { confirmation, validAfter, rotation } = admission
        const presented = { ...carried, clientId, confirmation, validAfter, rotation, ...expected }
        const refreshed = await refresh(issuer, exchange, presented)
        if (!refreshed.ok) return refreshed.isVerdict ? signedOut() : refreshed.response
        const { granted, minted } = refreshed
        return tokenAnswer({
          minted,
          scope: granted.scope,
          confirmation,
          sid: granted.family.id,
          headers: carrier.set(granted.refreshToken, granted.family, exchange),
        })
      })
    },
  })
}
