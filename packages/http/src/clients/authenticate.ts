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
import type { Exchange } from '../endpoint.js'
import type { Form } from '../form.js'
import { issuerUrl } from '../issuer.js'
import type { PlainResponse } from '../message.js'
import type { TransportOptions } from '../options.js'
import { invalidClient, tooManyRequests } from '../respond.js'
import { type AssertionAudience, demandClientKeys, isAssertionOf } from './assertion.js'
import {
  type CertificateSource,
  certificateReader,
  type ClientCertificate,
  demandCertificates,
  demandTlsSubject,
  isIssuedTo,
  isRegistered,
} from './certificate.js'
import { type Client, type ClientRegistry, wayOf } from './client.js'
import { type Credentials, credentialsOf } from './credentials.js'
import { type Clients, clientRegistry, isClientId } from './registry.js'
import { isSecretHash, isSecretOf, liveHashes } from './secret.js'

/** How an endpoint authenticates clients. */
export const clientOptions = declareOptions({
  clients: required(
    rule<Clients>(
      'a list of clients or an object with find(clientId)',
      (clients) => Array.isArray(clients) || typeof (clients as Partial<ClientRegistry> | null)?.find === 'function',
    ),
  ),
  /** The issuer of this server, `https://login.example`: the `aud` that assertions of clients with `keys` must have. */
  issuer: optional(issuerUrl()),
  /**
   * Other accepted values of `aud`, such as the URL of the token endpoint, for clients of RFC 7523 before its revision. An assertion for
   * another server that has one of these names is accepted here too. Default: none.
   */
  assertionAudiences: withDefault(listOf(text()), []),
  /** Where certificates come from, for clients that have registered some, or whose tokens are bound to theirs. Default: from nowhere. */
  clientCertificates: optional(
    rule<CertificateSource>(
      '"tls" or { header, verified: { header, value } }',
      (source) => source === 'tls' || (typeof source === 'object' && source !== null),
    ),
  ),
})

export type ClientOptions = OptionsOf<typeof clientOptions>

type Authentication =
  | {
      readonly ok: true
      readonly client: Client
      /** It proved who it is; false for a public client, which only said so. */
      readonly confidential: boolean
      /** The certificate that the request came with, where the client's tokens are bound to it. */
      readonly certificateConfirmation: Confirmation | null
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Finds out which client is asking. Rejects with a `OperationalError` when the registry or the store is out. */
export type ClientAuthenticator = (exchange: Exchange, form: Form) => Promise<Authentication>

/**
 * Authenticates each client in the one way that it has registered. A client that does not exist, a wrong proof, a proof from a public
 * client and none from a confidential one all get the same answer; with secrets, after the same work. Throws `ConfigurationError`.
 */
export function clientAuthenticator(
  memory: Pick<RefreshTokens, 'once'>,
  options: ClientOptions & TransportOptions,
): ClientAuthenticator {
  const registry = clientRegistry(options.clients)
  const audience = audienceOf(options)
  const certificateIn = certificateReader(options.clientCertificates, options.trustProxy)
  demandSource(options)

  /** Whether the client is who it says it is, by what the request brings. */
  async function isGenuine(client: Client | null, credentials: Named, { request, now }: Exchange): Promise<boolean> {
    const way = client && wayOf(client)
    switch (credentials.method) {
      case 'private_key_jwt': {
        if (client === null || way !== 'keys') return false
        const { clientId, keys } = client
        demandClientKeys(`keys of client ${clientId}`, keys)
        if (audience === null)
          throw new ConfigurationError(
            'issuer',
            `is missing, and assertions of client ${clientId} have to be addressed to it`,
          )
        return isAssertionOf(credentials.assertion, { clientId, keys, audience, memory, now })
      }
      case 'none':
        return client !== null && isShown(client, certificateIn(request))
      default:
        // As much work for an unknown client, and for one that has no secret, as for any other.
        return isSecretOf(client && hashesOf(client, now), credentials.secret)
    }
  }

  return async (exchange, form) => {
    const { request, transport, limits, counted } = exchange
    const credentials = credentialsOf(request, form)
    if (!credentials.ok) return credentials
    const { clientId, method, via } = credentials
    const named = method === 'none' ? await findClient(registry, clientId) : null
    if (method === 'none' && named === null) return { ok: false, response: invalidClient(via) }
    if (named !== null && wayOf(named) === null) return authenticated(named, false, certificateIn(request))

    // Only requests with credentials are attempts: users of a public client share no bucket.
    const attempt = await limits.authenticateClient({ clientId, address: transport.address }, async () => {
      const client = named ?? (await findClient(registry, clientId))
      return (await isGenuine(client, credentials, exchange)) ? client : null
    })
    if (attempt.exhausted !== null) return { ok: false, response: tooManyRequests(attempt.exhausted) }
    if (attempt.result === null) return { ok: false, response: invalidClient(via) }
    counted.releaseClient()
    return authenticated(attempt.result, true, certificateIn(request))
  }
}

type Named = Extract<Credentials, { ok: true }>

function authenticated(client: Client, confidential: boolean, certificate: ClientCertificate | null): Authentication {
  const isBound = client.certificateBoundAccessTokens === true
  return {
    ok: true,
    client,
    confidential,
    certificateConfirmation: isBound ? (certificate?.confirmation ?? null) : null,
  }
}

/** Whether this is the certificate that the client has registered, by name or byte for byte. */
function isShown(client: Client, certificate: ClientCertificate | null): boolean {
  const { clientId, tlsSubject, certificates } = client
  if (certificate === null) return false
  if (tlsSubject !== undefined) {
    demandTlsSubject(`tlsSubject of client ${clientId}`, tlsSubject)
    return isIssuedTo(certificate, tlsSubject)
  }
  if (certificates === undefined) return false
  demandCertificates(`certificates of client ${clientId}`, certificates)
  return isRegistered(certificate, certificates)
}

/** Null for a client that has no secrets. */
function hashesOf({ clientId, secretHashes }: Client, now: number): readonly string[] | null {
  if (secretHashes === undefined) return null
  if (!secretHashes.every(isSecretHash))
    throw new ConfigurationError('secretHashes', `of client ${clientId} are not all made by hashClientSecret`)
  return liveHashes(secretHashes, now)
}

/** Null for an unknown client. Rejects with a `OperationalError` when the registry is out. */
export async function findClient(registry: ClientRegistry, clientId: string): Promise<Client | null> {
  if (!isClientId(clientId)) return null
  let client: Client | null
  try {
    client = await registry.find(clientId)
  } catch (cause) {
    throw new OperationalError('hook_failed', 'clients.find threw', { cause })
  }
  // A registry that compares without case, as some databases do, must not make two ids one.
  return client?.clientId === clientId ? client : null
}

/** A client that nobody could ever authenticate as is a mistake, not a locked door. */
function demandSource({ clients, clientCertificates }: ClientOptions): void {
  if (clientCertificates !== undefined || !Array.isArray(clients)) return
  const names = ['tlsSubject', 'certificates', 'certificateBoundAccessTokens']
  if ((clients as readonly object[]).some((client) => names.some((name) => name in client)))
    throw new ConfigurationError(
      'clientCertificates',
      "is missing, and there are clients with certificates; give 'tls' or a header",
    )
}

function audienceOf({ clients, issuer, assertionAudiences = [] }: ClientOptions): AssertionAudience | null {
  if (issuer !== undefined) return { issuer, others: assertionAudiences }
  if (Array.isArray(clients) && clients.some((client) => 'keys' in client))
    throw new ConfigurationError('issuer', 'is missing: assertions of clients with keys have to be addressed to it')
  return null
}
