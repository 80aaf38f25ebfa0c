import { PROOF_ALGORITHMS } from '../proof-of-possession/dpop/proof.js'

/** What an authorization server has, by the options that its endpoints were made with. */
export interface Abilities {
  readonly issuer: string
  /** Each absent where it is not served. */
  readonly urls: {
    readonly authorization?: string | undefined
    readonly token: string
    readonly revocation: string
    readonly introspection: string
    readonly jwks?: string | undefined
  }
  readonly authenticatesByKey: boolean
  /** Certificates of clients are available (RFC 8705). */
  readonly seesCertificates: boolean
  readonly proofAlgorithms: readonly string[]
  readonly scopes: readonly string[]
}

/** Every way in which a client may authenticate; `none` is for those that have nothing to prove. */
const BY_SECRET = ['client_secret_basic', 'client_secret_post'] as const
const BY_CERTIFICATE = ['tls_client_auth', 'self_signed_tls_client_auth'] as const

/** The document of RFC 8414 section 2. What is absent does not work here, and nothing in it is empty. */
export function createMetadata(abilities: Abilities): object {
  const { issuer, urls, authenticatesByKey, seesCertificates, proofAlgorithms, scopes } = abilities
  const confidential = [
    ...BY_SECRET,
    ...(authenticatesByKey ? ['private_key_jwt'] : []),
    ...(seesCertificates ? BY_CERTIFICATE : []),
  ]
  const algorithms = authenticatesByKey ? PROOF_ALGORITHMS : undefined
  const codes = urls.authorization !== undefined
  return {
    issuer,
    authorization_endpoint: urls.authorization,
    token_endpoint: urls.token,
    revocation_endpoint: urls.revocation,
    introspection_endpoint: urls.introspection,
    jwks_uri: urls.jwks,
    response_types_supported: codes ? ['code'] : undefined,
    grant_types_supported: [...(codes ? ['authorization_code'] : []), 'refresh_token'],
    scopes_supported: scopes.length === 0 ? undefined : scopes,
    code_challenge_methods_supported: codes ? ['S256'] : undefined,
    token_endpoint_auth_methods_supported: [...confidential, 'none'],
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    revocation_endpoint_auth_methods_supported: [...confidential, 'none'],
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_endpoint_auth_methods_supported: confidential,
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
    dpop_signing_alg_values_supported: proofAlgorithms,
    // An extension (RFC 8414 section 2): the token endpoint accepts the header `Idempotency-Key`, from pages of `cors.origins` as well.
    idempotency_key_supported: true,
    tls_client_certificate_bound_access_tokens: seesCertificates ? true : undefined,
  }
}

/** Where clients look for it: between the host and the path of the issuer (RFC 8414 section 3.1). */
export function getMetadataPath(issuer: string): string {
  return `/.well-known/oauth-authorization-server${new URL(issuer).pathname.replace(/\/$/, '')}`
}
