import { MisuseError, type RefreshTokens } from '@baton/core'
import type { AccessTokenOption } from '../access-tokens/access-token.js'
import { mintingOf } from '../access-tokens/minting.js'
import type { AuthorizationCodes } from '../authorization-code.js'
import { CLIENT_OPTIONS, clientAuthenticator, type ClientOptions } from '../clients/authenticate.js'
import { mayUse } from '../clients/client.js'
import { type DpopOptions, proofChecker } from '../dpop/dpop.js'
import { withProof } from '../dpop/with-proof.js'
import { endpoint } from '../endpoint.js'
import { readForm } from '../form.js'
import type { GrantHandler } from '../grants/grant.js'
import { authorizationCodeGrant } from '../grants/authorization-code.js'
import { refreshTokenGrant } from '../grants/refresh-token.js'
import type { Endpoint } from '../message.js'
import type { CookieOptions, EndpointOptions } from '../options.js'
import { error, invalidRequest } from '../respond.js'
import { cookieRefreshEndpoint } from './cookie-refresh.js'

/** For the OAuth token endpoint: forms, and clients that identify themselves. */
export interface TokenEndpointOptions extends EndpointOptions, ClientOptions {
  readonly accessToken: AccessTokenOption
  /** `authorizationCodes(…)`: serves `grant_type=authorization_code` as well. */
  readonly codes?: AuthorizationCodes
  /** How proofs of keys are judged (RFC 9449). A request that brings one gets an access token that is bound to its key. */
  readonly dpop?: DpopOptions
  readonly cookie?: never
}

/** For the pages of one's own app: the refresh token in a cookie that no script can read. */
export interface CookieRefreshOptions extends EndpointOptions {
  readonly accessToken: AccessTokenOption
  readonly cookie: CookieOptions | true
  /** As at the token endpoint. */
  readonly dpop?: DpopOptions
  readonly clients?: never
  readonly codes?: never
}

export type RefreshOptions = TokenEndpointOptions | CookieRefreshOptions

/**
 * Exchanges refresh tokens over HTTP: with `clients` as the OAuth token endpoint (RFC 6749 section 6), with `cookie` for the pages
 * of one's own app. A refused request consumes nothing. Throws `MisuseError`.
 */
export function refreshEndpoint(tokens: RefreshTokens, options: RefreshOptions): Endpoint {
  const { clients, cookie }: { readonly clients?: unknown; readonly cookie?: unknown } = options
  if ((clients === undefined) === (cookie === undefined))
    throw new MisuseError(
      'clients',
      'and cookie: give exactly one of them; clients for OAuth, or cookie: true for the pages of your own app',
    )
  return options.cookie === undefined ? tokenEndpoint(tokens, options) : cookieRefreshEndpoint(tokens, options)
}

/** Checks in one order, so that a request with several faults always gets the same answer: shape, client, grant type, proof, grant. */
function tokenEndpoint(tokens: RefreshTokens, options: TokenEndpointOptions): Endpoint {
  const authenticate = clientAuthenticator(tokens, options)
  const proofs = proofChecker(options.dpop)
  const issuer = { tokens, minting: mintingOf(options.accessToken, tokens.policy) }
  const { codes } = options
  const grants = new Map<string, GrantHandler>([['refresh_token', refreshTokenGrant(issuer)]])
  if (codes !== undefined)
    grants.set('authorization_code', authorizationCodeGrant({ ...issuer, codes: demandCodes(codes) }))

  return endpoint({
    tokens,
    options,
    ownOptions: [...CLIENT_OPTIONS, 'accessToken', 'codes', 'cookie', 'dpop'],
    methods: ['POST'],
    async answer(exchange) {
      const body = await readForm(exchange.request)
      if (!body.ok) return body.response
      const { form } = body
      const authentication = await authenticate(exchange, form)
      if (!authentication.ok) return authentication.response
      const { client, confidential, certificateKey } = authentication
      const grantType = form.get('grant_type')
      if (grantType === null) return invalidRequest('grant_type is missing.')
      const grant = grants.get(grantType)
      if (grant === undefined)
        return error('unsupported_grant_type', { description: 'This grant type is not served here.' })
      if (!mayUse(client, grantType))
        return error('unauthorized_client', { description: 'The client is not registered for this grant type.' })
      return withProof({ proofs, memory: tokens, exchange }, async (proven) => {
        if (proven === null && client.dpopBoundAccessTokens)
          return error('invalid_dpop_proof', { description: 'This client must send a DPoP proof.' })
        if (certificateKey === null && client.certificateBoundAccessTokens)
          return invalidRequest('This client must present its certificate.')
        if (certificateKey !== null && proven !== null)
          return invalidRequest('The tokens of this client are bound to its certificate; send no DPoP proof.')
        return grant({ exchange, form, client, confidential, boundKey: certificateKey ?? proven })
      })
    },
  })
}

function demandCodes(codes: AuthorizationCodes): AuthorizationCodes {
  if (typeof (codes as Partial<AuthorizationCodes> | null)?.open === 'function') return codes
  throw new MisuseError('codes', 'is not what authorizationCodes(…) returns')
}
