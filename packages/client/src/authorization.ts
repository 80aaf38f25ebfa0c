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
  readonly authorizationEndpoint: string | URL
  /** Of the authorization server: a response that names another one in `iss` is rejected (RFC 9207). */
  readonly issuer?: string
  /** From the metadata of the server: a response without `iss` is rejected as well. Default false. */
  readonly authorizationResponseIssParameterSupported?: boolean
  readonly clientId: string
  readonly redirectUri: string
  /** Space-separated. */
  readonly scope?: string
  /** Further parameters, such as `prompt` or `dpop_jkt`. */
  readonly parameters?: Readonly<Record<string, string>>
  readonly environment?: Pick<Environment, 'random'>
}

/** What has to be kept until the browser comes back, in `sessionStorage` for instance. The verifier is a secret. */
export interface PendingAuthorization {
  readonly state: string
  readonly codeVerifier: string
  readonly redirectUri: string
  readonly issuer?: string
  /** True if the response must name the issuer. */
  readonly issuerRequired?: boolean
  /** Present once the code is about to be exchanged; see `save` of `loginWithCode`. */
  readonly idempotencyKey?: string
}

export interface AuthorizationRequest {
  /** Where to send the browser. */
  readonly url: string
  readonly pending: PendingAuthorization
}

/**
 * Begins a sign-in with the authorization code grant: a fresh state, verifier and S256 challenge each time (RFC 7636). Takes what `discover`
 * returns. Throws `ConfigurationError`.
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
  // 62 to 126 characters; 43 to 128 are allowed.
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
  /** Where the browser came back to. */
  readonly url: string | URL
  readonly pending: PendingAuthorization
  /**
   * Stores `pending` again, with the Idempotency-Key that the code is about to be exchanged with. A page that is reloaded meanwhile then
   * repeats the same attempt, which the server does not take for reuse of the code.
   */
  readonly save?: (pending: PendingAuthorization) => unknown
  readonly environment?: Pick<Environment, 'random'>
}

/**
 * Exchanges the code that the browser came back with, for what `beginAuthorization` had begun. Rejects with a `SessionError` where the
 * server refused, or where nobody here has asked (RFC 6749 section 10.12).
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
    throw new SessionError(
      'bad_answer',
      'the callback belongs to another sign-in: its state is not the one that was sent',
    )
  // Against a mix-up of servers (RFC 9207 section 2.4), errors included.
  const iss = getParameter(searchParams, 'iss')
  if (issuer !== undefined && (iss === null ? issuerRequired : iss !== issuer))
    throw new SessionError(
      'bad_answer',
      'the callback comes from another authorization server: its iss is not the issuer',
    )
  if (error !== null || !code)
    throw new SessionError('bad_answer', `the server did not sign in (${toErrorCode(error)})`)
  const { idempotencyKey = randomText(environment) } = pending
  await save?.({ ...pending, idempotencyKey })
  await session.loginWithGrant(
    { grant_type: 'authorization_code', code, code_verifier: codeVerifier, redirect_uri: redirectUri },
    idempotencyKey,
  )
}

/** The message does not repeat the URL: it contains the code. */
function parseCallback(url: string | URL): URL {
  const parsed = parseUrl(String(url))
  if (parsed) return parsed
  throw new ConfigurationError('url', 'must be the absolute URL of the callback')
}

/** Null if it is absent. A repeated one is ambiguous, and no server sends it (RFC 6749 section 3.1). */
function getParameter(parameters: URLSearchParams, name: string): string | null {
  const [value = null, ...others] = parameters.getAll(name)
  if (others.length === 0) return value
  throw new SessionError('bad_answer', `the callback has more than one ${name}`)
}

/** Only what reads like a code of the standards: an address may say anything. */
function toErrorCode(error: string | null): string {
  return /^[a-z_]{1,40}$/.exec(error ?? '')?.[0] ?? 'no code'
}
