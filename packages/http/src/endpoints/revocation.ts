import { MisuseError, type RefreshTokens } from '@baton/core'
import type { AccessTokens } from '../access-tokens/access-token.js'
import { CLIENT_OPTIONS, clientAuthenticator, type ClientOptions } from '../clients/authenticate.js'
import { endpoint } from '../endpoint.js'
import { readForm } from '../form.js'
import type { Endpoint } from '../message.js'
import type { EndpointOptions } from '../options.js'
import { error, invalidRequest, json } from '../respond.js'

export interface RevocationOptions extends EndpointOptions, ClientOptions {
  /** Lets an access token be told from rubbish: it gets `unsupported_token_type` instead of a 200 that ended nothing. */
  readonly accessToken?: AccessTokens
}

/**
 * Ends a family by any of its refresh tokens (RFC 7009). A 200 means that the token does not work, whether or not it ever did; its
 * body is `{}`, since clients trip over an empty one. Throws `MisuseError`.
 */
export function revocationEndpoint(tokens: RefreshTokens, options: RevocationOptions): Endpoint {
  const authenticate = clientAuthenticator(tokens, options)
  const { accessToken } = options
  if (accessToken !== undefined && typeof (accessToken as Partial<AccessTokens>).verify !== 'function')
    throw new MisuseError('accessToken', 'has no verify(); leave it out if access tokens are made by a function')

  return endpoint({
    tokens,
    options,
    ownOptions: [...CLIENT_OPTIONS, 'accessToken'],
    methods: ['POST'],
    async answer(exchange) {
      const body = await readForm(exchange.request)
      if (!body.ok) return body.response
      const authentication = await authenticate(exchange, body.form)
      if (!authentication.ok) return authentication.response
      const { clientId } = authentication.client
      const token = body.form.get('token')
      if (token === null) return invalidRequest('token is missing.')

      // A token that has been rotated away ends its family as well: a late sign-out, and no theft.
      const outcome = await tokens.revoke({ refreshToken: token, clientId, reason: 'client_request' })
      if (outcome.ok) return json(200, {})
      if (outcome.reason === 'mismatch') return invalidRequest('The token was issued to another client.')
      const isAccessToken = accessToken !== undefined && (await accessToken.verify(token, exchange.now)) !== null
      return isAccessToken
        ? error('unsupported_token_type', { description: 'Access tokens end by themselves; revoke the refresh token.' })
        : json(200, {})
    },
  })
}
