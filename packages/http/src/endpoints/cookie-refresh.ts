import type { RefreshTokens } from '@baton/core'
import { mintingOf } from '../access-tokens/minting.js'
import { cookieCarrier } from '../carrier.js'
import { clientPolicy } from '../clients/client-policy.js'
import { proofChecker } from '../dpop/dpop.js'
import { withOptionalProof } from '../dpop/with-proof.js'
import { endpoint } from '../endpoint.js'
import type { Endpoint } from '../message.js'
import { refresh } from '../refresh.js'
import { signedOut } from '../respond.js'
import { readCookieSession, tokenToRefresh } from '../session-cookie.js'
import { tokenAnswer } from '../token-answer.js'
import type { CookieRefreshOptions } from './token.js'

/**
 * The refresh of a page that cannot see its own refresh token. No refusal sets or clears the cookie: a late verdict would otherwise
 * wipe a newer sign-in, and a dead cookie is harmless.
 */
export function cookieRefreshEndpoint(tokens: RefreshTokens, options: CookieRefreshOptions): Endpoint {
  const carrier = cookieCarrier(options.cookie)
  const policy = clientPolicy({ clients: options.clients, ownClients: [carrier.clientId] })
  const proofs = proofChecker(options.dpop)
  const issuer = { tokens, minting: mintingOf(options.accessToken, tokens.policy) }

  return endpoint({
    tokens,
    options,
    ownOptions: ['accessToken', 'cookie', 'clients', 'dpop'],
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
