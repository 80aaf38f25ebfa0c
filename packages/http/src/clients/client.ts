import { ConfigurationError, type Rotation } from '@baton/core'
import type { ClientKey } from './assertion.js'
import type { TlsSubject } from './certificate.js'
import type { SecretHash } from './secret.js'

/**
 * A registered OAuth client. It authenticates by the one thing that it has registered, `secretHashes`, `keys`, `tlsSubject` or
 * `certificates`, and in no other way; one that has none of them is public, and known by its client_id alone.
 */
export interface Client {
  readonly clientId: string
  /**
   * Made by `hashClientSecret`: at least one for a confidential client, two while a secret is being changed. An empty list is a
   * confidential client that nobody can authenticate as, never a public one.
   */
  readonly secretHashes?: readonly SecretHash[]
  /** Public keys (JWK) for `private_key_jwt` (RFC 7523): nothing secret is registered, and nothing secret is sent. */
  readonly keys?: readonly ClientKey[]
  /** For `tls_client_auth`: the name in a certificate of an authority that your TLS server trusts (RFC 8705 section 2.1). */
  readonly tlsSubject?: TlsSubject
  /** For `self_signed_tls_client_auth`: the client's own certificates, in PEM (RFC 8705 section 2.2). */
  readonly certificates?: readonly string[]
  /** True: no token without a certificate, to which it is then bound (RFC 8705 section 3). */
  readonly certificateBoundAccessTokens?: boolean
  /** True: no token without a proof of a key (RFC 9449 section 5.2). */
  readonly dpopBoundAccessTokens?: boolean
  /** Default: `refresh_token` and `authorization_code`. Without `refresh_token` a code earns an access token alone. */
  readonly grantTypes?: readonly string[]
  /**
   * What a resource server is told of (RFC 7662): access tokens whose `aud` holds one of these. Only for a client that authenticates.
   */
  readonly introspects?: readonly string[]
  /**
   * True for a client of your own app, whose tokens may list and revoke all sessions of their user at the sessions endpoint. Leave it
   * out for every client of somebody else.
   */
  readonly firstParty?: boolean
  /**
   * Families created before this instant (epoch milliseconds) are rejected at every endpoint that is given `clients`: it ends
   * everything of a client at once.
   */
  readonly validAfter?: number
  /** Overrides the policy; `never` has an effect only for clients that authenticate or prove a key. */
  readonly rotation?: Rotation
}

/** Of a client that lists none. */
const USUAL_GRANT_TYPES: readonly string[] = ['refresh_token', 'authorization_code']

/** Claims that the client is registered for this grant type. One for `refresh_token` gets refresh tokens; any other does not. */
export function mayUse({ grantTypes = USUAL_GRANT_TYPES }: Client, grantType: string): boolean {
  return grantTypes.includes(grantType)
}

const WAYS = ['secretHashes', 'keys', 'tlsSubject', 'certificates'] as const

/** The one thing by which a client authenticates; null for a public one. Throws `ConfigurationError` where there are two: the weaker would count. */
export function wayOf(client: Client): (typeof WAYS)[number] | null {
  let registered: (typeof WAYS)[number] | null = null
  for (const way of WAYS) {
    if (client[way] === undefined) continue
    if (registered !== null)
      throw new ConfigurationError(
        way,
        `and ${registered} of client ${client.clientId}: a client authenticates in one way`,
      )
    registered = way
  }
  return registered
}

/** Finds clients wherever you keep them. Rejecting is an outage, answered with 503; null is an unknown client. */
export interface ClientRegistry {
  find(clientId: string): Promise<Client | null>
}
