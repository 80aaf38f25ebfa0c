import { createEnvironment, type Environment, type Session, SessionError } from '@baton/client'
import { hashOf } from './encoding.js'
import { randomText } from './timing.js'

export interface AuthorizationOptions {
  readonly authorizationEndpoint: string | URL
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
  /** Present once the code is about to be exchanged; see `save` of `loginWithCode`. */
  readonly idempotencyKey?: string
}

export interface AuthorizationRequest {
  /** Where to send the browser. */
  readonly url: string
  readonly pending: PendingAuthorization
}

/** Begins a sign-in with the authorization code grant: a fresh state, verifier and S256 challenge each time (RFC 7636). */
export async function beginAuthorization(options: AuthorizationOptions): Promise<AuthorizationRequest> {
  const { clientId, redirectUri, scope, parameters = {}, environment = createEnvironment() } = options
  const state = randomText(environment)
  // 62 to 126 characters; 43 to 128 are allowed.
  const codeVerifier = randomText(environment) + randomText(environment)
  const url = new URL(options.authorizationEndpoint)
  const query = {
    ...parameters,
    ...(scope === undefined ? {} : { scope }),
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    // RFC 7636 section 4.2.
    code_challenge: await hashOf(codeVerifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return { url: url.href, pending: { state, codeVerifier, redirectUri } }
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
export async function loginWithCode(
  session: Pick<Session, 'loginWithGrant'>,
  { url, pending, save, environment = createEnvironment() }: Callback,
): Promise<void> {
  const { state, codeVerifier, redirectUri } = pending
  const { searchParams } = new URL(url)
  if (searchParams.get('state') !== state)
    throw new SessionError(
      'bad_answer',
      'the callback belongs to another sign-in: its state is not the one that was sent',
    )
  const code = searchParams.get('code') ?? ''
  // Only what reads like a code of the standards: an address may say anything.
  const error = /^[a-z_]{1,40}$/.exec(searchParams.get('error') ?? '')?.[0] ?? 'no code'
  if (code === '') throw new SessionError('bad_answer', `the server did not sign in (${error})`)
  const { idempotencyKey = randomText(environment) } = pending
  await save?.({ ...pending, idempotencyKey })
  await session.loginWithGrant(
    { grant_type: 'authorization_code', code, code_verifier: codeVerifier, redirect_uri: redirectUri },
    idempotencyKey,
  )
}
