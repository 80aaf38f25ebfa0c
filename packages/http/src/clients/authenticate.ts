import { ConfigurationError, type Confirmation, OperationalError, type RefreshTokens } from '@baton/core'
import {
  declareOptions,
  listOf,
  optional,
  type OptionsOf,
  required,
  rule,
  text,
  withDefault,
} from '@baton/core/options'
import type { Exchange } from '../pipeline/define-endpoint.js'
import type { Form } from '../messages/form.js'
import { issuerUrl } from './issuer-url.js'
import type { PlainResponse } from '../messages/message.js'
import type { TransportOptions } from '../pipeline/options.js'
import { invalidClient, tooManyRequests } from '../messages/responses.js'
import { type AssertionAudience, verifyAssertion } from './assertion.js'
import {
  certificateReader,
  certificateSource,
  type ClientCertificate,
  isIssuedTo,
  isOneOf,
} from '../proof-of-possession/mtls/certificate.js'
import { authMethods, type Client, clientMetadata, type ClientRegistry, isConfidential } from './client.js'
import { type Credentials, parseCredentials } from './credentials.js'
import { certificatesIn } from './jwks.js'
import { type Clients, clientRegistry, isClientId, isList, mayHaveAuthMethod } from './registry.js'
import { matchesSecret, unexpiredHashes, secretHash } from './secret.js'

/** How an endpoint authenticates clients. */
export const clientOptions = declareOptions({
  /** The registered clients: a list, or an object whose `find(clientId)` reads one of them from your database. */
  clients: required(
    rule<Clients>(
      'a list of clients or an object with find(clientId)',
      (clients) => Array.isArray(clients) || typeof (clients as Partial<ClientRegistry> | null)?.find === 'function',
    ),
  ),
  /** The issuer of this server, `https://login.example`: the `aud` of assertions of clients with `private_key_jwt`. */
  issuer: optional(issuerUrl()),
  /**
   * Other accepted values of `aud`, such as the URL of the token endpoint, for clients of RFC 7523 before its revision. An assertion for
   * another server that has one of these names is accepted here too. Default: none.
   */
  assertionAudiences: withDefault(listOf(text()), []),
  /** Where client certificates come from, for clients that authenticate with one or whose tokens are bound to one. Default: none. */
  clientCertificates: optional(certificateSource()),
})

export type ClientOptions = OptionsOf<typeof clientOptions>

type Authentication =
  | {
      readonly ok: true
      readonly client: Client
      /** True if the client authenticated; false for a public client. */
      readonly confidential: boolean
      /** The client certificate of the request, if the tokens of the client are bound to it. */
      readonly certificateConfirmation: Confirmation | null
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Authenticates the client of a request. Rejects with an `OperationalError` if the registry or the store fails. */
export type ClientAuthenticator = (exchange: Exchange, form: Form) => Promise<Authentication>

/**
 * Creates a function that authenticates each client by its registered method. An unknown client, wrong credentials, credentials of a
 * public client and missing credentials of a confidential client get the same response; with secrets, after the same time. Throws
 * `ConfigurationError`.
 */
export function clientAuthenticator(
  oneTimeKeys: Pick<RefreshTokens, 'consumeOnce'>,
  options: ClientOptions & TransportOptions,
): ClientAuthenticator {
  const registry = clientRegistry(options.clients)
  const audience = assertionAudience(options)
  const certificateIn = certificateReader(options.clientCertificates, options.trustProxy)
  assertCertificateSource(options)

  async function hasValidCredentials(
    client: Client | null,
    credentials: Named,
    { request, now }: Exchange,
  ): Promise<boolean> {
    const methods = client === null ? [] : authMethods(client)
    switch (credentials.method) {
      case 'private_key_jwt': {
        if (client === null || !methods.includes('private_key_jwt')) return false
        const { clientId } = client
        const { keys } = parseJwks(client)
        if (audience === null)
          throw new ConfigurationError(
            'issuer',
            `is missing; assertions of client ${JSON.stringify(clientId)} must have it as aud`,
          )
        return verifyAssertion(credentials.assertion, { clientId, keys, audience, oneTimeKeys, now })
      }
      case 'none':
        return client !== null && hasRegisteredCertificate(client, certificateIn(request))
      default:
        // Takes the same time for an unknown client, and for a client with another method.
        return matchesSecret(
          client !== null && methods.includes(credentials.method) ? activeHashes(client, now) : null,
          credentials.secret,
        )
    }
  }

  return async (exchange, form) => {
    const { request, transport, limits, counted } = exchange
    const credentials = parseCredentials(request, form)
    if (!credentials.ok) return credentials
    const { clientId, method, via } = credentials
    const named = method === 'none' ? await findClient(registry, clientId) : null
    if (method === 'none' && named === null) return { ok: false, response: invalidClient(via) }
    if (named !== null && !isConfidential(named)) return authenticated(named, false, certificateIn(request))

    // Only requests with credentials are counted: the users of a public client do not share a bucket.
    const attempt = await limits.authenticateClient({ clientId, address: transport.address }, async () => {
      const client = named ?? (await findClient(registry, clientId))
      return (await hasValidCredentials(client, credentials, exchange)) ? client : null
    })
    if (attempt.exhausted !== null) return { ok: false, response: tooManyRequests(attempt.exhausted) }
    if (attempt.result === null) return { ok: false, response: invalidClient(via) }
    counted.releaseClient()
    return authenticated(attempt.result, true, certificateIn(request))
  }
}

type Named = Extract<Credentials, { ok: true }>

function authenticated(client: Client, confidential: boolean, certificate: ClientCertificate | null): Authentication {
  const isBound = client.tlsClientCertificateBoundAccessTokens === true
  return {
    ok: true,
    client,
    confidential,
    certificateConfirmation: isBound ? (certificate?.confirmation ?? null) : null,
  }
}

function hasRegisteredCertificate(client: Client, certificate: ClientCertificate | null): boolean {
  if (certificate === null) return false
  const methods = authMethods(client)
  if (methods.includes('tls_client_auth')) return isIssuedTo(certificate, client)
  return methods.includes('self_signed_tls_client_auth') && isOneOf(certificate, certificatesIn(parseJwks(client)))
}

/** Validates the keys of a client, which a registry may have returned. */
function parseJwks({ clientId, jwks }: Client) {
  return clientMetadata.fields.jwks.rule.parse(jwks, `jwks of client ${clientId}`)
}

/** Returns the hashes that are accepted at `now`. */
function activeHashes({ clientId, secretHashes = [] }: Client, now: number): readonly string[] {
  return unexpiredHashes(
    secretHashes.map((hash) => secretHash().parse(hash, `secretHashes of client ${clientId}`)),
    now,
  )
}

/** Returns the client, or null for an unknown one. Rejects with an `OperationalError` if the registry fails. */
export async function findClient(registry: ClientRegistry, clientId: string): Promise<Client | null> {
  if (!isClientId(clientId)) return null
  let client: Client | null
  try {
    client = await registry.find(clientId)
  } catch (cause) {
    throw new OperationalError('hook_failed', 'clients.find threw', { cause })
  }
  // A registry may compare without case, as some databases do; client ids are case-sensitive.
  return client?.clientId === clientId ? client : null
}

/** Throws `ConfigurationError` if a client needs a certificate and there is no source of certificates. */
function assertCertificateSource({ clients, clientCertificates }: ClientOptions): void {
  if (clientCertificates !== undefined || !isList(clients)) return
  const needsCertificate = (client: Client) =>
    client.tlsClientCertificateBoundAccessTokens === true ||
    authMethods(client).some((method) => method === 'tls_client_auth' || method === 'self_signed_tls_client_auth')
  if (clients.some(needsCertificate))
    throw new ConfigurationError(
      'clientCertificates',
      'is missing; a client authenticates with a certificate, so set "tls" or the header of your proxy',
    )
}

function assertionAudience({ clients, issuer, assertionAudiences = [] }: ClientOptions): AssertionAudience | null {
  if (issuer !== undefined) return { issuer, others: assertionAudiences }
  if (isList(clients) && mayHaveAuthMethod(clients, 'private_key_jwt'))
    throw new ConfigurationError('issuer', 'is missing; assertions of clients with private_key_jwt must have it as aud')
  return null
}
