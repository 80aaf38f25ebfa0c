import type { Confirmation, RefreshTokens } from '@baton/core'
import type { Exchange } from '../pipeline/define-endpoint.js'
import type { Form } from '../messages/form.js'
import type { TransportOptions } from '../pipeline/options.js'
import { clientAuthenticator, type ClientOptions } from './authenticate.js'
import { type Client, isConfidential } from './client.js'
import { type Admission, clientPolicy } from './client-policy.js'
import type { Clients } from './registry.js'

/** A sign-in that the app has accepted, and the client that receives its tokens. */
interface ApprovedSignIn {
  readonly clientId: string
  /** The key that the request proved; null for none. */
  readonly confirmation: Confirmation | null
  /** The members of the JSON body, which may contain client credentials; null if no client can authenticate. */
  readonly credentials: ReadonlyMap<string, unknown> | null
}

/** Decides whether the client of a sign-in may get tokens. Rejects with an `OperationalError` if the registry or the store fails. */
export type LoginAdmission = (exchange: Exchange, signIn: ApprovedSignIn) => Promise<Admission>

/**
 * Applies the rules of the token endpoint to a sign-in: a client with credentials must authenticate, and a client whose tokens are bound to
 * a key must prove it. Throws `ConfigurationError`.
 */
export function loginAdmission(
  tokens: RefreshTokens,
  options: Omit<ClientOptions, 'clients'> & { readonly clients: Clients | undefined } & TransportOptions,
  ownClients: readonly (string | undefined)[],
): LoginAdmission {
  const { clients } = options
  const policy = clientPolicy({ clients, ownClients })
  const authenticate = clients === undefined ? null : clientAuthenticator(tokens, { ...options, clients })

  return async (exchange, { clientId, confirmation, credentials }) => {
    const client = await policy.find(clientId)
    const certificateConfirmation = confirmation !== null && 'x5t#S256' in confirmation ? confirmation : null
    const facts = {
      clientId,
      client,
      grantType: 'refresh_token',
      confidential: false,
      proven: { ok: true, confirmation: certificateConfirmation === null ? confirmation : null },
      certificateConfirmation,
    } as const
    if (client === null || authenticate === null || credentials === null || !mustAuthenticate(client))
      return policy.admit(facts)
    const authentication = await authenticate(exchange, toForm(credentials, clientId))
    if (!authentication.ok) return authentication
    const { confidential } = authentication
    return policy.admit({
      ...facts,
      confidential,
      certificateConfirmation: authentication.certificateConfirmation ?? certificateConfirmation,
    })
  }
}

/** Authentication also returns the certificate that tokens are bound to. */
function mustAuthenticate(client: Client): boolean {
  return isConfidential(client) || client.tlsClientCertificateBoundAccessTokens === true
}

/** Returns the members of a JSON object as form parameters, with the client id that the app has set. */
function toForm(members: ReadonlyMap<string, unknown>, clientId: string): Form {
  const get = (name: string) => {
    const value = name === 'client_id' ? clientId : members.get(name)
    return typeof value === 'string' && value !== '' ? value : null
  }
  return { get, all: (name) => [get(name)].filter((value) => value !== null) }
}
