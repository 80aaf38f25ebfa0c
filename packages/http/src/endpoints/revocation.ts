import {
  type Confirmation,
  ConfigurationError,
  type RefreshTokens,
  type RevokeOutcome,
  isSameConfirmation,
} from '@baton/core'
import { boolean, optional, type OptionsOf } from '@baton/core/options'
import { clientAuthenticator, clientOptions } from '../clients/authenticate.js'
import type { Client } from '../clients/client.js'
import { proofChecker, type Proven } from '../proof-of-possession/dpop/proof-checker.js'
import { unprovenKey, withOptionalProof } from '../proof-of-possession/dpop/with-proof.js'
import { defineEndpoint, type Exchange, rejectUnproven } from '../pipeline/define-endpoint.js'
import { readForm } from '../messages/form.js'
import type { Endpoint, PlainResponse } from '../messages/message.js'
import { endpointOptions } from '../pipeline/options.js'
import { error, invalidRequest, json } from '../messages/responses.js'
import { dpopField, readableAccessTokens } from './shared-options.js'

export const revocationOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /** The access tokens of this server. Without it, an access token is unknown: the response is 200 and nothing is revoked. */
  accessTokens: readableAccessTokens,
  /**
   * True: revoking an access token ends its whole session, as RFC 7009 section 2.1 allows. Access tokens are not stored, so one
   * cannot be revoked alone. Resource servers that ask the store (introspection, or a guard with `tokens`) reject the session's
   * access tokens at once. False: the response is `unsupported_token_type` and nothing is revoked. Default true.
   */
  accessTokenEndsSession: optional(boolean()),
  /** As at the token endpoint. A token that is bound to a key is revoked only with a proof of that key. */
  dpop: dpopField,
})

export type RevocationOptions = OptionsOf<typeof revocationOptions>

/**
 * Revokes a family by any of its refresh tokens, or by an access token that has not expired
 * ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)). The token must have been issued to the client, and a token that is bound to a key
 * needs a proof of that key; otherwise nothing is revoked. An expired access token is already invalid: the response is 200 and the family
 * remains active. A 200 means that the token is not valid, also if it never was. The body is `{}`, because some clients fail on an empty
 * one. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { revocationEndpoint } from '@baton/http'
 *
 * const revocation = revocationEndpoint(tokens, { clients, accessTokens })
 * ```
 */
export function revocationEndpoint(tokens: RefreshTokens, options: RevocationOptions): Endpoint {
  const resolved = revocationOptions.parse('revocationEndpoint', options)
  const authenticate = clientAuthenticator(tokens, resolved)
  const proofs = proofChecker(resolved.dpop)
  const { accessTokens, accessTokenEndsSession = true } = resolved
  if (resolved.accessTokenEndsSession === true && accessTokens === undefined)
    throw new ConfigurationError('accessTokens', 'must be set if accessTokenEndsSession is true')

  async function isKnown(token: string, now: number): Promise<boolean> {
    return tokens.isAuthentic(token) || ((await accessTokens?.read(token, now)) ?? null) !== null
  }

  async function revoke(token: string, caller: Caller, { counted, now }: Exchange): Promise<PlainResponse> {
    const { client, confidential, confirmation, proven } = caller
    const by = { clientId: client.clientId, confirmation, reason: 'client_request' } as const
    // A token that has been rotated away revokes its family as well: a late sign-out, and no reuse.
    const outcome = await tokens.revoke({ refreshToken: token, ...by })
    const rejection = rejectionOf(outcome, proven)
    if (rejection !== null) return rejection
    if (outcome.ok) return revoked(outcome, counted)
    const claims = (await accessTokens?.read(token, now)) ?? null
    if (claims === null) return json(200, {})
    if (claims.client_id !== client.clientId) return ofAnother()
    if (!accessTokenEndsSession)
      return error('unsupported_token_type', {
        description: 'Access tokens end by themselves; revoke the refresh token.',
      })
    // The access token of a client that authenticates may be bound to a key although its family is not.
    const key = claims.cnf ?? null
    if (!confidential && key !== null && !isSameConfirmation(key, confirmation)) return unprovenKey(proven)
    const ending = await tokens.revoke({ familyId: claims.sid, ...by })
    return rejectionOf(ending, proven) ?? revoked(ending, counted)
  }

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['POST'],
    acceptsProof: true,
    async respond(exchange) {
      const body = await readForm(exchange.request)
      if (!body.ok) return body.response
      const authentication = await authenticate(exchange, body.form)
      if (!authentication.ok) return authentication.response
      const { client, confidential, certificateConfirmation } = authentication
      const token = body.form.get('token')
      if (token === null) return invalidRequest('token is missing.')
      const unproven = await rejectUnproven(exchange, () => isKnown(token, exchange.now))
      if (unproven !== null) return unproven
      return withOptionalProof({ proofs, oneTimeKeys: tokens, exchange }, async (proven) => {
        const confirmation = certificateConfirmation ?? (proven.ok ? proven.confirmation : null)
        return revoke(token, { client, confidential, confirmation, proven }, exchange)
      })
    },
  })
}

/** What the request has shown of its sender. */
interface Caller {
  readonly client: Client
  readonly confidential: boolean
  readonly confirmation: Confirmation | null
  readonly proven: Proven
}

/** Null where the token is not of another client or key. */
function rejectionOf(outcome: RevokeOutcome, proven: Proven): PlainResponse | null {
  if (outcome.ok) return null
  if (outcome.reason === 'mismatch') return ofAnother()
  return outcome.reason === 'unconfirmed' ? unprovenKey(proven) : null
}

/** Only a request that ended something has proved to be legitimate: a second one with the same token is counted. */
function revoked(outcome: RevokeOutcome, counted: Exchange['counted']): PlainResponse {
  if (outcome.ok && outcome.ended) counted.release()
  return json(200, {})
}

function ofAnother(): PlainResponse {
  return invalidRequest('The token was issued to another client.')
}
