import type { Rotation } from '@baton/core'
import type { ClientKey } from './assertion.js'
import type { SecretHash } from './secret.js'

/**
 * A registered OAuth client. It authenticates by what it has registered, `secretHashes` or `keys`, and in no other way; one that
 * has neither is public, and known by its client_id alone.
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
  /** True: no token without a proof of a key (RFC 9449 section 5.2). */
  readonly dpopBoundAccessTokens?: boolean
  /** Default: `refresh_token` and `authorization_code`. Without `refresh_token` a code earns an access token alone. */
  readonly grantTypes?: readonly string[]
  /**
   * What a resource server is told of (RFC 7662): access tokens whose `aud` holds one of these. Only for a client that authenticates.
   */
  readonly introspects?: readonly string[]
  /** Tokens received before this instant (epoch milliseconds) are refused: ends everything of a client at once. */
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

/** Finds clients wherever you keep them. Rejecting is an outage, answered with 503; null is an unknown client. */
export interface ClientRegistry {
  find(clientId: string): Promise<Client | null>
}
