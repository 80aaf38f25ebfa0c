import type { DiscoveredServer } from './discovery.js'
import { checkOptions } from './platform/options.js'
import { createEnvironment, type Environment } from './platform/environment.js'
import type { Session } from './session/session.js'
import { ConfigurationError, SessionError } from './platform/errors.js'
import { sha256 } from './protocol/encoding.js'
import { parseUrl, secureUrl } from './protocol/secure-url.js'
import { randomText } from './platform/timing.js'

/** Accepts all members that `discover` returns; those that are not described here have no effect. */
export interface AuthorizationOptions extends Partial<
  Pick<DiscoveredServer, 'tokenEndpoint' | 'revocationEndpoint' | 'idempotencyKey'>
> {
  /** The authorization endpoint of the server. */
  readonly authorizationEndpoint: string | URL
  /** The issuer of the authorization server. A callback with another `iss` is rejected (RFC 9207). */
  readonly issuer?: string
  /** From the metadata of the server. True: a callback without `iss` is rejected as well. Default false. */
  readonly authorizationResponseIssParameterSupported?: boolean
  /** The client id at this server. */
  readonly clientId: string
  /** The page or app that the browser returns to, as registered at the server. */
  readonly redirectUri: string
  /** The requested scope, space-separated. */
  readonly scope?: string
  /** Further parameters, such as `prompt` or `dpop_jkt`. */
  readonly parameters?: Readonly<Record<string, string>>
  /** For tests only. */
  readonly environment?: Pick<Environment, 'random'>
}

/** What the app stores until the browser returns, for example in `sessionStorage`. The verifier is a secret. */
export interface PendingAuthorization {
  readonly state: string
  readonly codeVerifier: string
  readonly redirectUri: string
  readonly issuer?: string
  /** True if the callback must contain `iss`. */
  readonly issuerRequired?: boolean
  /** Set before the code is exchanged; see `save` of `loginWithCode`. */
  readonly idempotencyKey?: string
}

export interface AuthorizationRequest {
  /** The URL to open in the browser. */
  readonly url: string
  readonly pending: PendingAuthorization
}

/**
 * Starts a sign-in with an authorization code and PKCE ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)). State, verifier and S256
 * challenge are new for each call. Accepts what `discover` returns. Rejects with a `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { beginAuthorization } from '@baton/client/authorization'
 *
 * const { url, pending } = await beginAuthorization({
 *   authorizationEndpoint: 'https://login.example/oauth/authorize',
 *   clientId: 'web',
 *   redirectUri: 'https://app.example/callback',
 * })
 * sessionStorage.setItem('pending', JSON.stringify(pending))
 * location.assign(url)
 * ```
 */
export async function beginAuthorization(options: AuthorizationOptions): Promise<AuthorizationRequest> {
  checkOptions<AuthorizationOptions>(
    options,
    { authorizationEndpoint: 'URL', clientId: 'string', redirectUri: 'string' },
    {
      issuer: 'string',
      authorizationResponseIssParameterSupported: 'boolean',
      scope: 'string',
      parameters: 'object',
      environment: '.random',
      tokenEndpoint: 'URL',
      revocationEndpoint: 'URL',
      idempotencyKey: 'boolean',
    },
  )
  const { clientId, redirectUri, scope, issuer, parameters = {}, environment = createEnvironment() } = options
  const issuerRequired = options.authorizationResponseIssParameterSupported ?? false
  const state = randomText(environment)
  // The verifier has 62 to 126 characters. RFC 7636 section 4.1 allows 43 to 128.
  const codeVerifier = randomText(environment) + randomText(environment)
  const url = new URL(secureUrl('authorizationEndpoint', options.authorizationEndpoint))
  const query = {
    ...parameters,
    ...(scope === undefined ? {} : { scope }),
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    // RFC 7636 section 4.2.
    code_challenge: await sha256(codeVerifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  const pending = { state, codeVerifier, redirectUri, ...(issuer === undefined ? {} : { issuer, issuerRequired }) }
  return { url: url.href, pending }
}

export interface Callback {
  /** The URL to which the browser was redirected. */
  readonly url: string | URL
  readonly pending: PendingAuthorization
  /**
   * Stores `pending` again with the Idempotency-Key of the exchange. If the page is reloaded during the exchange, it repeats the same
   * attempt, which the server does not treat as reuse of the code.
   */
  readonly save?: (pending: PendingAuthorization) => unknown
  readonly environment?: Pick<Environment, 'random'>
}

/**
 * Exchanges the authorization code of a callback and signs in. Rejects with a `SessionError` if the server rejected the request, or if the
 * callback does not belong to `pending` ([RFC 6749 section 10.12](https://www.rfc-editor.org/rfc/rfc6749#section-10.12)).
 *
 * @example
 * ```ts
 * import { loginWithCode } from '@baton/client/authorization'
 *
 * const pending = JSON.parse(sessionStorage.getItem('pending') ?? 'null')
 * await loginWithCode(session, { url: location.href, pending })
 * ```
 */
export async function loginWithCode(session: Pick<Session, 'loginWithGrant'>, callback: Callback): Promise<void> {
  checkOptions({ session }, { session: '.loginWithGrant' }, {})
  checkOptions<Callback>(callback, { url: 'URL', pending: 'object' }, { save: 'function', environment: '.random' })
  const { url, pending, save, environment = createEnvironment() } = callback
  const { state, codeVerifier, redirectUri, issuer, issuerRequired = false } = pending
  checkOptions(
    { state, codeVerifier, redirectUri },
    { state: 'string', codeVerifier: 'string', redirectUri: 'string' },
    {},
  )
  const { searchParams } = parseCallback(url)
  const [code, error] = [getParameter(searchParams, 'code'), getParameter(searchParams, 'error')]
  if (getParameter(searchParams, 'state') !== state)
    throw new SessionError('bad_answer', 'the callback belongs to another sign-in: its state differs')
  // Prevents mix-up attacks, also for error responses (RFC 9207 section 2.4).
  const iss = getParameter(searchParams, 'iss')
  if (issuer !== undefined && (iss === null ? issuerRequired : iss !== issuer))
    throw new SessionError(
      'bad_answer',
      'the callback comes from another authorization server: its iss differs from the issuer',
    )
  if (error !== null || !code)
    throw new SessionError('bad_answer', `the server rejected the authorization request (${toErrorCode(error)})`)
  const { idempotencyKey = randomText(environment) } = pending
  await save?.({ ...pending, idempotencyKey })
  await session.loginWithGrant(
    { grant_type: 'authorization_code', code, code_verifier: codeVerifier, redirect_uri: redirectUri },
    idempotencyKey,
  )
}

/** The message does not contain the URL, because the URL contains the code. */
function parseCallback(url: string | URL): URL {
  const parsed = parseUrl(String(url))
  if (parsed) return parsed
  throw new ConfigurationError('url', 'must be the absolute URL of the callback')
}

/** Returns null if the parameter is missing. Repeated parameters are rejected (RFC 6749 section 3.1). */
function getParameter(parameters: URLSearchParams, name: string): string | null {
  const [value = null, ...others] = parameters.getAll(name)
  if (others.length === 0) return value
  throw new SessionError('bad_answer', `the callback has more than one ${name}`)
}

/** Returns the error code if it has the form of a registered code. Other text from a URL is not put into messages. */
function toErrorCode(error: string | null): string {
  return /^[a-z_]{1,40}$/.exec(error ?? '')?.[0] ?? 'no code'
}
