import { ConfigurationError } from '@baton/core'
import type { JwtAccessTokens } from '../access-tokens/jwt.js'
import type { Endpoint } from '../message.js'
import { published } from '../published.js'

/**
 * Publishes the keys by which resource servers verify access tokens (RFC 7517): public parts only. Asked anew at every request.
 * Throws `ConfigurationError`.
 */
export function jwksEndpoint(accessToken: Pick<JwtAccessTokens, 'jwks'>): Endpoint {
  if (typeof (accessToken as Partial<JwtAccessTokens> | null)?.jwks !== 'function')
    throw new ConfigurationError('accessToken', 'has no keys to publish; give what jwtAccessTokens(…) returns')
  return published(() => accessToken.jwks())
}
