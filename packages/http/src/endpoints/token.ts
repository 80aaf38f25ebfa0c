import { ConfigurationError, type RefreshTokens } from '@baton/core'
import type { OptionsOf } from '@baton/core/options'
import type { AccessTokenOption } from '../access-tokens/access-token.js'
import { createAccessTokenIssuer } from '../access-tokens/issuer.js'
import type { AuthorizationCodes } from '../codes/authorization-codes.js'
import { clientAuthenticator, clientOptions } from '../clients/authenticate.js'
import { clientPolicy } from '../clients/client-policy.js'
import { proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { withOptionalProof } from '../proof-of-possession/dpop/with-proof.js'
import { defineEndpoint, rejectUnproven } from '../pipeline/define-endpoint.js'
import { type Form, readForm } from '../messages/form.js'
import type { GrantHandler } from '../grants/grant.js'
import { authorizationCodeGrant } from '../grants/authorization-code.js'
import { refreshTokenGrant } from '../grants/refresh-token.js'
import type { Endpoint } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { error, invalidRequest } from '../messages/responses.js'
import { codesField, dpopField, issuedAccessTokens } from './shared-options.js'

export const tokenOptions = endpointOptions.extend({
  ...clientOptions.fields,
  accessTokens: issuedAccessTokens,
  /** What `authorizationCodes(…)` returns: serves `grant_type=authorization_code` as well. */
  codes: codesField,
  /** How DPoP proofs are verified (RFC 9449). A request with a proof gets an access token that is bound to its key. */
  dpop: dpopField,
})

export type TokenEndpointOptions = OptionsOf<typeof tokenOptions>

/**
 * Creates the OAuth token endpoint ([RFC 6749 section 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)) with the grants
 * `refresh_token` and, with `codes`, `authorization_code`. A rejected request consumes nothing. Requests are checked in one order, so that
 * a request with several errors always gets the same response: body, client, grant type, proof, grant. For your own pages and apps use
 * `refreshEndpoint`, which needs no registered clients. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { tokenEndpoint } from '@baton/http'
 *
 * const token = tokenEndpoint(tokens, { accessTokens, clients: [{ clientId: 'web' }] })
 * ```
 */
export function tokenEndpoint(tokens: RefreshTokens, options: TokenEndpointOptions): Endpoint {
  const resolved = tokenOptions.parse('tokenEndpoint', options)
  const authenticate = clientAuthenticator(tokens, resolved)
  const policy = clientPolicy(resolved)
  const proofs = proofChecker(resolved.dpop)
  const issuer = { tokens, accessTokenIssuer: createAccessTokenIssuer(resolved.accessTokens, tokens.policy) }
  const { codes } = resolved
  if (codes !== undefined) assertSameIssuer(codes, resolved)
  const grants = new Map<string, GrantHandler>([['refresh_token', refreshTokenGrant(issuer)]])
  if (codes !== undefined) grants.set('authorization_code', authorizationCodeGrant({ ...issuer, codes }))

  /** Returns true if the request has a token or a code of this server, even if it is no longer valid. */
  function hasProof(form: Form): boolean {
    const [refreshToken, code] = [form.get('refresh_token'), form.get('code')]
    if (refreshToken !== null && tokens.isAuthentic(refreshToken)) return true
    return code !== null && codes !== undefined && codes.open(code) !== null
  }

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
      if (!authentication.ok) return authentication.response
      const { client, confidential, certificateConfirmation } = authentication
      const unproven = confidential ? null : await rejectUnproven(exchange, () => hasProof(form))
      if (unproven !== null) return unproven
      const grantType = form.get('grant_type')
      if (grantType === null) return invalidRequest('grant_type is missing.')
      const grant = grants.get(grantType)
      if (grant === undefined)
        return error('unsupported_grant_type', { description: 'This grant type is not served here.' })
      return withOptionalProof({ proofs, oneTimeKeys: tokens, exchange }, async (proven) => {
        const { clientId } = client
        const admission = policy.admit({ clientId, client, grantType, confidential, proven, certificateConfirmation })
        return admission.ok ? grant({ exchange, form, client, confidential, admission }) : admission.response
      })
    },
  })
}

/** Throws `ConfigurationError` for codes of another issuer. */
function assertSameIssuer(
  codes: AuthorizationCodes,
  { issuer, accessTokens }: { readonly issuer: string | undefined; readonly accessTokens: AccessTokenOption },
): void {
  const own = issuer ?? (typeof accessTokens === 'function' ? undefined : accessTokens.issuer)
  if (own !== undefined && own !== codes.issuer)
    throw new ConfigurationError('codes', `must be made with the issuer of this server, ${own}, got ${codes.issuer}`)
}
