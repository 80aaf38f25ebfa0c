import type { RefreshTokens } from '@baton/core'
import type { AccessTokenIssuer } from '../access-tokens/issuer.js'
import { refresh } from './exchange.js'
import { invalidRequest } from '../messages/responses.js'
import { tokenResponse } from './token-response.js'
import type { GrantHandler } from './grant.js'

/** RFC 6749 section 6. */
export function refreshTokenGrant(issuer: {
  readonly tokens: RefreshTokens
  readonly accessTokenIssuer: AccessTokenIssuer
}): GrantHandler {
  return async ({ exchange, form, client, confidential, admission }) => {
    const { confirmation, validAfter, rotation } = admission
    const refreshToken = form.get('refresh_token')
    if (refreshToken === null) return invalidRequest('refresh_token is missing.')
    const refreshed = await refresh(issuer, exchange, {
      refreshToken,
      clientId: client.clientId,
      confidential,
      confirmation,
      scope: form.get('scope') ?? '',
      audience: form.all('resource'),
      validAfter,
      rotation,
    })
    if (!refreshed.ok) return refreshed.response
    const { granted, minted } = refreshed
    return tokenResponse({ minted, scope: granted.scope, confirmation, refreshToken: granted.refreshToken })
  }
}
