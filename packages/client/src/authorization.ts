import { createEnvironment, type Environment, type PendingAuthorization } from '@baton/client'
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

export interface AuthorizationRequest {
  /** Where to send the browser. */
  readonly url: string
  readonly pending: PendingAuthorization
}

/** Begins a sign-in with the authorization code grant: a fresh state, verifier and S256 challenge each time (RFC 7636). */
export async function beginAuthorization(options: AuthorizationOptions): Promise<AuthorizationRequest> {
  const { clientId, redirectUri, scope, parameters = {}, environment = createEnvironment() } = options
  const state = randomText(environment)
  // 64 characters of 43 to 128.
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
