import { ConfigurationError } from '@baton/core'
import type { JwtAccessTokens } from '../access-tokens/jwt.js'
import type { Endpoint } from '../messages/message.js'
import { publicDocument } from '../messages/public-document.js'

/**
 * Publishes the keys by which resource servers verify access tokens (RFC 7517): public parts only. The keys are read at every request.
 * Throws `ConfigurationError`.
 */
export function jwksEndpoint(accessTokens: Pick<JwtAccessTokens, 'jwks'>): Endpoint {
  if (typeof (accessTokens as Partial<JwtAccessTokens> | null)?.jwks !== 'function')
    throw new ConfigurationError(
      'accessTokens',
      'must be what jwtAccessTokens() returns; other access tokens have no keys',
    )
  return publicDocument(() => accessTokens.jwks())
}
