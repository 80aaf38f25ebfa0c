import { MisuseError, type RefreshTokens } from '@baton/core'
import { type AccessTokens, demandReadable } from '../access-tokens/access-token.js'
import { CLIENT_OPTIONS, clientAuthenticator, type ClientOptions } from '../clients/authenticate.js'
import { endpoint } from '../endpoint.js'
import { readForm } from '../form.js'
import type { Endpoint, PlainResponse } from '../message.js'
import type { EndpointOptions } from '../options.js'
import { error, invalidRequest, json } from '../respond.js'

export interface RevocationOptions extends EndpointOptions, ClientOptions {
  /** Lets an access token be told from rubbish: it gets `unsupported_token_type` instead of a 200 that ended nothing. */
  readonly accessToken?: AccessTokens
  /**
   * True lets a client end the whole session by an access token of it: none is stored, so none can be ended alone. Resource servers
   * that ask (introspection, or a guard with `tokens`) refuse it at once. Default false.
   */
  readonly accessTokenEndsSession?: boolean
}

/**
 * Ends a family by any of its refresh tokens (RFC 7009). A 200 means that the token does not work, whether or not it ever did; its
 * body is `{}`, since clients trip over an empty one. Throws `MisuseError`.
 */
export function revocationEndpoint(tokens: RefreshTokens, options: RevocationOptions): Endpoint {
  const authenticate = clientAuthenticator(tokens, options)
  const { accessToken, accessTokenEndsSession = false } = options
  demandReadable(accessToken)
  if (accessTokenEndsSession && accessToken === undefined)
    throw new MisuseError('accessToken', 'is needed where access tokens end sessions')

  return endpoint({
    tokens,
    options,
    ownOptions: [...CLIENT_OPTIONS, 'accessToken', 'accessTokenEndsSession'],
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
      const end = { clientId, reason: 'client_request' } as const
      const outcome = await tokens.revoke({ refreshToken: token, ...end })
      if (outcome.ok) return json(200, {})
      if (outcome.reason === 'mismatch') return ofAnother()
      const claims = (await accessToken?.read(token, exchange.now)) ?? null
      if (claims === null) return json(200, {})
      if (claims.client_id !== clientId) return ofAnother()
      if (!accessTokenEndsSession)
        return error('unsupported_token_type', {
          description: 'Access tokens end by themselves; revoke the refresh token.',
        })
      await tokens.revoke({ familyId: claims.sid, ...end })
      return json(200, {})
    },
  })
}

function ofAnother(): PlainResponse {
  return invalidRequest('The token was issued to another client.')
}
