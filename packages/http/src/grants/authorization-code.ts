import { type RefreshTokens, isSameConfirmation } from '@baton/core'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import type { AccessTokenIssuer } from '../access-tokens/issuer.js'
import type { AuthorizationCode, AuthorizationCodes } from '../codes/authorization-codes.js'
import { mayRedirectTo, mayUse } from '../clients/client.js'
import { soleHeader } from '../messages/message.js'
import { isVerifierFor } from '../codes/pkce.js'
import type { Exhausted } from '../messages/rate-limit.js'
import { requestRejection } from './exchange.js'
import { invalidGrant, invalidRequest } from '../messages/responses.js'
import { tokenResponse } from './token-response.js'
import type { GrantHandler, TokenRequest } from './grant.js'

interface Issuer {
  readonly tokens: RefreshTokens
  readonly accessTokenIssuer: AccessTokenIssuer
  readonly codes: AuthorizationCodes
}

/** RFC 6749 section 4.1.3, with PKCE (RFC 7636). The access token is issued before the code is consumed. */
export function authorizationCodeGrant({ tokens, accessTokenIssuer, codes }: Issuer): GrantHandler {
  return async (request) => {
    const { exchange, form, client, confidential } = request
    const { confirmation, validAfter } = request.admission
    const [code, verifier] = [form.get('code'), form.get('code_verifier')]
    if (code === null) return invalidRequest('code is missing.')
    if (verifier === null) return invalidRequest('code_verifier is missing.')
    const opened = codes.open(code)
    if (opened === null) return invalidGrant('code')
    const { limits, counted, now } = exchange
    const getsRefreshToken = mayUse(client, 'refresh_token')
    let exhausted: Exhausted = null
    const outcome = await tokens.redeem<MintedAccessToken>({
      reservation: opened.reservation,
      matches: matches(opened, request) && isVerifierFor(verifier, opened.codeChallenge),
      // A client that authenticates may change its key: the family is bound to the client (RFC 9449 section 5).
      confirmation: confidential ? null : confirmation,
      idempotencyKey: soleHeader(exchange.request, 'idempotency-key'),
      audience: form.all('resource'),
      defaultAudience: accessTokenIssuer.defaultAudience,
      validAfter,
      // Without a refresh token, the session ends when the access token expires.
      ...(getsRefreshToken ? {} : { maxLifetimeSeconds: accessTokenIssuer.lifetimeSeconds }),
      checkRateLimit: async (holder) => {
        exhausted = await limits.countRefresh(holder)
        return exhausted === null
      },
      beforeCommit: (grant) => accessTokenIssuer.mint(grant, { confirmation, now }),
    })
    if (!outcome.ok) return requestRejection(outcome.reason, exhausted) ?? invalidGrant('code')
    counted.release()
    const { prepared: minted, scope, refreshToken } = outcome
    return tokenResponse({ minted, scope, confirmation, ...(getsRefreshToken ? { refreshToken } : {}) })
  }
}

/** Returns true if the request has the client, the redirect URI and the key that the code was issued for. */
function matches(code: AuthorizationCode, { client, form, admission }: TokenRequest): boolean {
  if (code.reservation.grant.clientId !== client.clientId) return false
  if (code.redirectUri !== form.get('redirect_uri') || !mayRedirectTo(client, code.redirectUri)) return false
  return code.confirmation === null || isSameConfirmation(code.confirmation, admission.confirmation)
}
