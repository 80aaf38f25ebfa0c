import { ConfigurationError } from '@baton/core'
import type { JwtAccessTokens } from '../access-tokens/jwt.js'
import type { Endpoint } from '../messages/message.js'
import { publicDocument } from '../messages/public-document.js'

/**
 * Publishes the public keys with which resource servers verify access tokens
 * ([RFC 7517 section 5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). The keys are read at every request. Throws `ConfigurationError`
 * for access tokens without keys.
 *
 * @example
 * ```ts
 * import { deriveSigningKey, jwksEndpoint, jwtAccessTokens } from '@baton/http'
 *
 * const accessTokens = jwtAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   keys: [deriveSigningKey(process.env['BATON_SIGNING_SECRET'])],
 * })
 * const jwks = jwksEndpoint(accessTokens)
 * ```
 */
export function jwksEndpoint(accessTokens: Pick<JwtAccessTokens, 'jwks'>): Endpoint {
  if (typeof (accessTokens as Partial<JwtAccessTokens> | null)?.jwks !== 'function')
    throw new ConfigurationError(
      'accessTokens',
      'must be what jwtAccessTokens() returns; other access tokens have no keys',
    )
  return publicDocument(() => accessTokens.jwks())
}
