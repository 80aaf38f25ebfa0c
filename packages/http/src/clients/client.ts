import { isIP } from 'node:net'
import { ConfigurationError } from '@baton/core'
import {
  boolean,
  declareOptions,
  listOf,
  oneOf,
  optional,
  type OptionsOf,
  required,
  rule,
  text,
} from '@baton/core/options'
import type { TlsClientName } from '../proof-of-possession/mtls/certificate.js'
import { certificatesIn, jwkSet } from './jwks.js'
import { secretHash } from './secret.js'

const AUTH_METHODS = [
  'none',
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
] as const

/** A method of client authentication (RFC 7591 section 2, RFC 8705 section 2). */
export type TokenEndpointAuthMethod = (typeof AUTH_METHODS)[number]

/**
 * The metadata of a registered client, in camelCase: RFC 7591 section 2 (https://www.rfc-editor.org/rfc/rfc7591#section-2), RFC 8705 and
 * RFC 9449.
 */
export const clientMetadata = declareOptions({
  /** The `client_id` of its requests. */
  clientId: required(text()),
  /**
   * The method by which the client authenticates. Default: derived from the credentials that are registered. With `secretHashes` it is
   * `client_secret_basic` and `client_secret_post`, with `jwks` `private_key_jwt`, with a `tlsClientAuth…` name `tls_client_auth`, with
   * none of them `none`, a public client. Must be given for `self_signed_tls_client_auth`, and if there are several kinds of credentials.
   */
  tokenEndpointAuthMethod: optional(oneOf(...AUTH_METHODS)),
  /**
   * Hashes from `hashClientSecret`: one, or two while the secret is changed, the old one as `{ hash, expiresAt }`. A client from `find` with an empty list cannot
   * authenticate; it is not a public client.
   */
  secretHashes: optional(listOf(secretHash(), { min: 1, max: 16 })),
  /**
   * The public keys of the client as `{ keys }`, for `private_key_jwt` (RFC 7523). A key with `x5c`, from `certificateToJwk(pem)`, is a
   * certificate for `self_signed_tls_client_auth`.
   */
  jwks: optional(jwkSet()),
  /** For `tls_client_auth`: the subject of the certificate as in RFC 4514, most specific part first: `CN=billing,O=Example,C=SE`. */
  tlsClientAuthSubjectDn: optional(text()),
  /** For `tls_client_auth`: a DNS name of the certificate. Wildcards do not match. */
  tlsClientAuthSanDns: optional(text()),
  /** For `tls_client_auth`: a URI of the certificate. */
  tlsClientAuthSanUri: optional(text()),
  /** For `tls_client_auth`: an IP address of the certificate. */
  tlsClientAuthSanIp: optional(
    rule<string>('an IP address', (value) => typeof value === 'string' && isIP(value) !== 0),
  ),
  /** For `tls_client_auth`: an e-mail address of the certificate. */
  tlsClientAuthSanEmail: optional(text()),
  /** True: tokens are issued only with a client certificate, to which they are bound (RFC 8705 section 3). Default false. */
  tlsClientCertificateBoundAccessTokens: optional(boolean()),
  /** True: tokens are issued only with a DPoP proof, to whose key they are bound (RFC 9449 section 5.2). Default false. */
  dpopBoundAccessTokens: optional(boolean()),
  /**
   * If given, a code is exchanged only if its redirect URI is one of these. Compared as text, except for the port of a loopback address
   * (RFC 8252 section 7.3). Default: any redirect URI.
   */
  redirectUris: optional(
    listOf(
      rule<string>(
        'an absolute URI without fragment',
        (value) => typeof value === 'string' && URL.canParse(value) && !value.includes('#'),
      ),
      { min: 1 },
    ),
  ),
  /**
   * The grant types that the client may use; any other one is rejected with `unauthorized_client`. Without `refresh_token` a code is
   * exchanged for an access token only, and the session ends with it. Default: `refresh_token` and `authorization_code`.
   */
  grantTypes: optional(listOf(text())),
  /** The audiences whose access tokens the client may introspect (RFC 7662), for a resource server that authenticates. Default: none. */
  introspectionAudiences: optional(listOf(text())),
  /**
   * True for a client of your own app: its tokens may list and revoke all sessions of their user at the sessions endpoint. Leave it out for
   * clients of third parties. Default false.
   */
  firstParty: optional(boolean()),
  /**
   * Sessions created before this instant (epoch milliseconds) are rejected at every endpoint and guard that has `clients`: this ends all
   * sessions of a client at once.
   */
  validAfter: optional(rule<number>('epoch milliseconds', Number.isFinite, 'use getTime() of a Date')),
  /** `never` keeps the token of a client that authenticates or proves a key. Default: that of the policy. */
  rotation: optional(oneOf('always', 'never')),
})

/** A registered OAuth client. */
export type Client = OptionsOf<typeof clientMetadata>

/** Of a client without `grantTypes`. */
const DEFAULT_GRANT_TYPES: readonly string[] = ['refresh_token', 'authorization_code']

/** Returns true if the client is registered for this grant type. Only a client with `refresh_token` receives refresh tokens. */
export function mayUse({ grantTypes = DEFAULT_GRANT_TYPES }: Client, grantType: string): boolean {
  return grantTypes.includes(grantType)
}

/** Returns true if the client may receive a code at this redirect URI; null is an authorization request without one. */
export function mayRedirectTo({ redirectUris }: Client, redirectUri: string | null): boolean {
  if (redirectUris === undefined) return true
  // An authorization request may omit the only registered URI (RFC 6749 section 3.1.2.3).
  if (redirectUri === null) return redirectUris.length === 1
  return redirectUris.some((registered) => withoutLoopbackPort(registered) === withoutLoopbackPort(redirectUri))
}

/** A native app listens on any free port of the loopback address (RFC 8252 section 7.3). */
function withoutLoopbackPort(uri: string): string {
  return uri.replace(/^(http:\/\/(?:127\.0\.0\.1|\[::1\])):\d{1,5}(?=[/?]|$)/, '$1')
}

/** A registered client, or one of a list with its secret. */
type Registration = Client & { readonly secret?: string | undefined }

const TLS_NAMES = [
  'tlsClientAuthSubjectDn',
  'tlsClientAuthSanDns',
  'tlsClientAuthSanUri',
  'tlsClientAuthSanIp',
  'tlsClientAuthSanEmail',
] as const satisfies readonly (keyof TlsClientName)[]

/** The kinds of credentials, and the methods that each of them is for by default. */
const CREDENTIALS: readonly {
  readonly name: string
  readonly methods: readonly TokenEndpointAuthMethod[]
  readonly isRegistered: (client: Registration) => boolean
}[] = [
  {
    name: 'secretHashes',
    methods: ['client_secret_basic', 'client_secret_post'],
    isRegistered: ({ secretHashes, secret }) => secretHashes !== undefined || secret !== undefined,
  },
  { name: 'jwks', methods: ['private_key_jwt'], isRegistered: ({ jwks }) => jwks !== undefined },
  {
    name: 'tlsClientAuth…',
    methods: ['tls_client_auth'],
    isRegistered: (client) => TLS_NAMES.some((name) => client[name] !== undefined),
  },
]

/**
 * Returns the methods by which a client may authenticate; `['none']` for a public client. Throws `ConfigurationError` if the method
 * is ambiguous or its credentials are missing. `path` is put before option names.
 */
export function authMethods(client: Registration, path = ''): readonly TokenEndpointAuthMethod[] {
  const { clientId, tokenEndpointAuthMethod: method } = client
  const invalid = (message: string) =>
    new ConfigurationError(`${path}tokenEndpointAuthMethod`, `of client ${JSON.stringify(clientId)} ${message}`)
  const registered = CREDENTIALS.filter(({ isRegistered }) => isRegistered(client))
  if (method === undefined) {
    const [only, another] = registered
    if (another === undefined) return assertOneTlsName(only?.methods ?? ['none'], client, path)
    throw invalid(`must be given, got none; the client has ${registered.map(({ name }) => name).join(' and ')}`)
  }
  // A key set may serve other purposes than authentication; a secret or a certificate name may not.
  if (method === 'none' && registered.some(({ name }) => name !== 'jwks'))
    throw invalid('must name a method with credentials, got "none"; remove the credentials of a public client')
  const isComplete =
    method === 'none' ||
    (method === 'self_signed_tls_client_auth'
      ? client.jwks !== undefined && certificatesIn(client.jwks).length > 0
      : registered.some(({ methods }) => methods.includes(method)))
  if (!isComplete) throw invalid(`must fit the registered credentials, got ${JSON.stringify(method)}`)
  return assertOneTlsName([method], client, path)
}

/** RFC 8705 section 2.1.2: exactly one name. */
function assertOneTlsName(methods: readonly TokenEndpointAuthMethod[], client: Client, path: string) {
  const [, second] = TLS_NAMES.filter((name) => client[name] !== undefined)
  if (second === undefined || !methods.includes('tls_client_auth')) return methods
  throw new ConfigurationError(
    path + second,
    `must be the only tlsClientAuth… name of client ${JSON.stringify(client.clientId)}`,
  )
}

/** Returns true if the client must authenticate. Throws `ConfigurationError`. */
export function isConfidential(client: Client): boolean {
  return !authMethods(client).includes('none')
}

/** Looks up clients in your own storage. An error is a 503 response; null is an unknown client. */
export interface ClientRegistry {
  find(clientId: string): Promise<Client | null>
}
