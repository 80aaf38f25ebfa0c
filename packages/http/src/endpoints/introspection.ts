import type { RefreshTokens } from '@baton/core'
import type { OptionsOf } from '@baton/core/options'
import type { AccessTokenClaims } from '../access-tokens/access-token.js'
import { isFor } from '../access-tokens/claims.js'
import { tokenTypeFor } from '../proof-of-possession/confirmation.js'
import { clientAuthenticator, clientOptions } from '../clients/authenticate.js'
import type { Client } from '../clients/client.js'
import { type ClientPolicy, clientPolicy } from '../clients/client-policy.js'
import { defineEndpoint } from '../pipeline/define-endpoint.js'
import { type Form, readForm } from '../messages/form.js'
import type { Endpoint, PlainRequest } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { invalidClient, invalidRequest, json } from '../messages/responses.js'
import { readableAccessTokens } from './shared-options.js'

export const introspectionOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /** The access tokens of this server. Default: none, so that only refresh tokens are active. */
  accessTokens: readableAccessTokens,
})

export type IntrospectionOptions = OptionsOf<typeof introspectionOptions>

interface Sessions {
  readonly tokens: RefreshTokens
  readonly policy: ClientPolicy
}

/**
 * Serves the introspection endpoint ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). Reads the store, so that tokens of an ended
 * session are inactive. A resource server can introspect access tokens for its audiences (`introspectionAudiences`), and a client that
 * authenticates can introspect its tokens. The response for all other tokens is `{"active":false}`. Throws `ConfigurationError` for
 * invalid options.
 *
 * @example
 * ```ts
 * import { introspectionEndpoint } from '@baton/http'
 *
 * const introspection = introspectionEndpoint(tokens, { clients, accessTokens })
 * ```
 */
export function introspectionEndpoint(tokens: RefreshTokens, options: IntrospectionOptions): Endpoint {
  const resolved = introspectionOptions.parse('introspectionEndpoint', options)
  const policy = clientPolicy(resolved)
  const authenticate = clientAuthenticator(tokens, resolved)
  const { accessTokens } = resolved

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async respond(exchange) {
      const body = await readForm(exchange.request)
      if (!body.ok) return body.response
      const { form } = body
      const authentication = await authenticate(exchange, form)
      if (!authentication.ok)
        return isAnonymous(exchange.request, form) ? invalidClient('header') : authentication.response
      // Clients without a secret must not try tokens here (RFC 7662 section 2.1).
      if (!authentication.confidential) return invalidClient('header')
      const token = form.get('token')
      if (token === null) return invalidRequest('token is missing.')
      const { client } = authentication
      // The hint could only change the order, and neither kind can be taken for the other.
      const ofAccess = (await accessTokens?.read(token, exchange.now)) ?? null
      const said =
        ofAccess === null
          ? await aboutRefreshToken({ tokens, policy }, token, client)
          : await aboutAccessToken({ tokens, policy }, ofAccess, client)
      return json(200, said ?? { active: false })
    },
  })
}

/** Returns true if the request has no credentials; the response then names the scheme to use. */
function isAnonymous({ headers }: PlainRequest, form: Form): boolean {
  return headers['authorization'] === undefined && !['client_secret', 'client_assertion'].some((name) => form.get(name))
}

async function aboutRefreshToken(
  { tokens, policy }: Sessions,
  refreshToken: string,
  caller: Client,
): Promise<object | null> {
  const inspection = await tokens.inspect(refreshToken)
  if (!inspection.active || inspection.family.clientId !== caller.clientId) return null
  const family = await policy.onlyIfActive(inspection.family)
  if (family === null) return null
  const { scope, audience, confirmation } = family
  return {
    active: true,
    sub: family.subject,
    client_id: family.clientId,
    sid: family.id,
    scope: scope === '' ? undefined : scope,
    aud: audience.length === 0 ? undefined : audience,
    cnf: confirmation ?? undefined,
    iat: seconds(family.createdAt),
    exp: seconds(family.expiresAt),
  }
}

async function aboutAccessToken(
  { tokens, policy }: Sessions,
  claims: AccessTokenClaims,
  caller: Client,
): Promise<object | null> {
  if (!isFor(claims, caller.introspectionAudiences ?? []) && claims.client_id !== caller.clientId) return null
  const family = await policy.onlyIfActive(await tokens.find(claims.sid))
  if (family === null) return null
  const { scope, cnf } = claims
  return {
    ...claims,
    active: true,
    scope: scope === '' ? undefined : scope,
    token_type: tokenTypeFor(cnf ?? null),
  }
}

function seconds(instant: number): number {
  return Math.floor(instant / 1000)
}
