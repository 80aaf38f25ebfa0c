import type { Call } from './protocol/requests.js'
import type { Endpoints } from './session/connection.js'
import type { ErrorCodeMapper } from './protocol/token-response.js'
import { connectWith } from './session/connection.js'
import type { DiscoveredServer } from './discovery.js'
import { checkOptions } from './platform/options.js'
import { secureUrl } from './protocol/secure-url.js'

/** Accepts all members that `discover` returns; those that are not described here have no effect. */
export interface OAuthOptions extends Partial<
  Omit<DiscoveredServer, 'idempotencyKey' | 'tokenEndpoint' | 'revocationEndpoint'>
> {
  /** The token endpoint of the server. */
  readonly tokenEndpoint: string | URL
  /** The client id at this server. */
  readonly clientId: string
  /** For confidential clients, never in a browser. Sent with HTTP Basic. */
  readonly clientSecret?: string
  /** The revocation endpoint of the server (RFC 7009), for sign-outs. Without it a sign-out only deletes the stored session. */
  readonly revocationEndpoint?: string | URL
  /**
   * True if the token endpoint accepts the header `Idempotency-Key`, returns the same tokens to a repeated request, and allows the header
   * in CORS. Baton servers do, and `discover` returns it from their metadata. Default false: other servers would reject the preflight
   * request.
   */
  readonly idempotencyKey?: boolean
  /**
   * Maps an error response with a proprietary code to a code of RFC 6749 section 5.2. For example, map `{"error":"bad_refresh_token"}` to
   * `invalid_grant`, which ends the session. Return undefined to use the member `error`. Not called for 408, 425, 429 and 5xx.
   */
  readonly errorCode?: ErrorCodeMapper
}

/**
 * Returns endpoints for any OAuth 2.0 server. The client stores the refresh token. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { oauthEndpoints } from '@baton/client/oauth'
 *
 * const session = createSession({
 *   endpoints: oauthEndpoints({ tokenEndpoint: 'https://login.example/oauth/token', clientId: 'web' }),
 * })
 * ```
 */
export function oauthEndpoints(options: OAuthOptions): Endpoints {
  checkOptions<OAuthOptions>(
    options,
    { tokenEndpoint: 'URL', clientId: 'string' },
    {
      clientSecret: 'string',
      revocationEndpoint: 'URL',
      idempotencyKey: 'boolean',
      errorCode: 'function',
      issuer: 'string',
      authorizationEndpoint: 'URL',
      authorizationResponseIssParameterSupported: 'boolean',
    },
  )
  const { clientId, clientSecret, idempotencyKey = false, errorCode } = options
  const token = secureUrl('tokenEndpoint', options.tokenEndpoint)
  const revocation =
    options.revocationEndpoint === undefined ? null : secureUrl('revocationEndpoint', options.revocationEndpoint)

  function createCall(
    url: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Call {
    return {
      url,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'application/json',
        ...headers,
        ...(clientSecret === undefined ? {} : { authorization: basic(clientId, clientSecret) }),
      },
      // One authentication method per request: with a secret, `client_id` is in the header only (RFC 6749 section 2.3).
      body: new URLSearchParams(clientSecret === undefined ? { ...form, client_id: clientId } : { ...form }).toString(),
      credentials: 'omit',
    }
  }

  const toKeyHeader = (key: string) => (idempotencyKey ? { 'idempotency-key': key } : {})

  return {
    origin: new URL(token).origin,
    isCookie: false,
    connect: connectWith(() => (send) => send(new AbortController().signal), errorCode),
    refresh({ refreshToken }, key) {
      if (refreshToken === null) return null
      return createCall(token, { grant_type: 'refresh_token', refresh_token: refreshToken }, toKeyHeader(key))
    },
    revoke({ refreshToken }) {
      if (revocation === null || refreshToken === null) return null
      return createCall(revocation, { token: refreshToken, token_type_hint: 'refresh_token' })
    },
    exchange: (parameters, key) =>
      createCall(token, parameters, parameters['grant_type'] === 'authorization_code' ? toKeyHeader(key) : {}),
  }
}

/** Both parts are form-encoded first (RFC 6749 section 2.3.1). */
function basic(clientId: string, clientSecret: string): string {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}`
}
