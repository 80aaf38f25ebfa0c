import { ConfigurationError, type RefreshTokens } from '@baton/core'
import type { AccessTokenOption } from '../access-tokens/access-token.js'
import { mintingOf } from '../access-tokens/minting.js'
import type { AuthorizationCodes } from '../authorization-code.js'
import { CLIENT_OPTIONS, clientAuthenticator, type ClientOptions } from '../clients/authenticate.js'
import { clientPolicy } from '../clients/client-policy.js'
import { type DpopOptions, proofChecker } from '../dpop/dpop.js'
import { withOptionalProof } from '../dpop/with-proof.js'
import { endpoint, rejectUnproven } from '../endpoint.js'
import { type Form, readForm } from '../form.js'
import type { GrantHandler } from '../grants/grant.js'
import { authorizationCodeGrant } from '../grants/authorization-code.js'
import { refreshTokenGrant } from '../grants/refresh-token.js'
import type { Endpoint } from '../message.js'
import type { CookieOptions, EndpointOptions } from '../options.js'
import { error, invalidRequest } from '../respond.js'
import type { Clients } from '../clients/registry.js'
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
  /** The registry of the cookie's client, if it is registered: its `validAfter` and the keys that it must prove hold here too. */
  readonly clients?: Clients
  readonly codes?: never
}

export type RefreshOptions = TokenEndpointOptions | CookieRefreshOptions

/**
 * Exchanges refresh tokens over HTTP: with `cookie` for the pages of your own app, without it as the OAuth token endpoint (RFC 6749
 * section 6), which needs `clients`. A rejected request consumes nothing. Throws `ConfigurationError`.
 */
export function refreshEndpoint(tokens: RefreshTokens, options: RefreshOptions): Endpoint {
  if (isForCookies(options)) return cookieRefreshEndpoint(tokens, options)
  if ((options.clients as unknown) === undefined)
    throw new ConfigurationError(
      'clients',
      'or cookie must be given: clients for OAuth, cookie: true for the pages of your own app',
    )
  return tokenEndpoint(tokens, options)
}

function isForCookies(options: RefreshOptions): options is CookieRefreshOptions {
  return options.cookie !== undefined
}

/** Checks in one order, so that a request with several faults always gets the same answer: shape, client, grant type, proof, grant. */
function tokenEndpoint(tokens: RefreshTokens, options: TokenEndpointOptions): Endpoint {
  const authenticate = clientAuthenticator(tokens, options)
  const policy = clientPolicy(options)
  const proofs = proofChecker(options.dpop)
  const issuer = { tokens, minting: mintingOf(options.accessToken, tokens.policy) }
  const { codes } = options
  const grants = new Map<string, GrantHandler>([['refresh_token', refreshTokenGrant(issuer)]])
  if (codes !== undefined)
    grants.set('authorization_code', authorizationCodeGrant({ ...issuer, codes: demandCodes(codes, options) }))

  /** The request brings a token or a code of this server, whether or not it is still valid. */
  function bringsProof(form: Form): boolean {
    const [refreshToken, code] = [form.get('refresh_token'), form.get('code')]
    if (refreshToken !== null && tokens.isAuthentic(refreshToken)) return true
    return code !== null && codes !== undefined && codes.open(code) !== null
  }

  return endpoint({
    tokens,
    options,
    ownOptions: [...CLIENT_OPTIONS, 'accessToken', 'codes', 'cookie', 'dpop'],
    methods: ['POST'],
    acceptsProof: true,
    async answer(exchange) {
      const body = await readForm(exchange.request)
      if (!body.ok) return body.response
      const { form } = body
      const authentication = await authenticate(exchange, form)
      if (!authentication.ok) return authentication.response
      const { client, confidential, certificateConfirmation } = authentication
      const unproven = confidential ? null : await rejectUnproven(exchange, () => bringsProof(form))
      if (unproven !== null) return unproven
      const grantType = form.get('grant_type')
      if (grantType === null) return invalidRequest('grant_type is missing.')
      const grant = grants.get(grantType)
      if (grant === undefined)
        return error('unsupported_grant_type', { description: 'This grant type is not served here.' })
      return withOptionalProof({ proofs, memory: tokens, exchange }, async (proven) => {
        const { clientId } = client
        const admission = policy.admit({ clientId, client, grantType, confidential, proven, certificateConfirmation })
        return admission.ok ? grant({ exchange, form, client, confidential, admission }) : admission.response
      })
    },
  })
}

/** Throws `ConfigurationError` for anything but codes of this server. */
function demandCodes(
  codes: AuthorizationCodes,
  { issuer, accessToken }: Pick<TokenEndpointOptions, 'issuer' | 'accessToken'>,
): AuthorizationCodes {
  if (typeof (codes as Partial<AuthorizationCodes> | null)?.open !== 'function')
    throw new ConfigurationError('codes', 'is not what authorizationCodes(…) returns')
  const own = issuer ?? (typeof accessToken === 'function' ? undefined : accessToken.issuer)
  if (own !== undefined && own !== codes.issuer)
    throw new ConfigurationError('codes', `must be made with the issuer of this server, ${own}, got ${codes.issuer}`)
  return codes
}
