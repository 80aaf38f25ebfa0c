export type { Endpoint, PeerCertificate, PlainBody, PlainRequest, PlainResponse } from './messages/message.js'
export type { LegacyCookieOptions } from './cookies/legacy-cookie.js'
export type { CookieOptions } from './cookies/refresh-token-cookie.js'
export { type EndpointOptions, endpointOptions, type TransportOptions } from './pipeline/options.js'
export { certificateToJwk, type ClientKey, type JwkSet } from './clients/jwks.js'
export type { CertificateHeaders, CertificateSource } from './proof-of-possession/mtls/certificate.js'
export type { ClientOptions } from './clients/authenticate.js'
export type { Client, ClientRegistry, TokenEndpointAuthMethod } from './clients/client.js'
export type { Confirmation } from '@baton/core'
export type {
  AccessTokenClaims,
  AccessTokenFunction,
  AccessTokenGrant,
  AccessTokenOption,
  AccessTokens,
  MintedAccessToken,
  RemoteAccessTokenClaims,
  TokenVerifier,
  Verification,
} from './access-tokens/access-token.js'
export type { Limiter, LimiterOptions } from './rate-limits/limiter.js'
export type { Exhausted, Standing } from './messages/rate-limit.js'
export {
  type Attempt,
  type CountedRequest,
  type Holder,
  type RateLimits,
  rateLimits,
  type RateLimitsOptions,
} from './rate-limits/rate-limits.js'
export {
  type AccessTokenGuard,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  type BearerClaims,
  type GuardOutcome,
  type VerifyAccessToken,
} from './access-tokens/guard.js'
export {
  type AccessTokenCacheOptions,
  accessTokenCacheStats,
  type AccessTokenCacheStats,
} from './access-tokens/verification-cache.js'
export { type JwtAccessTokens, jwtAccessTokens, type JwtAccessTokensOptions } from './access-tokens/jwt.js'
export { sealedAccessTokens, type SealedAccessTokensOptions } from './access-tokens/sealed.js'
export {
  type RemoteAccessTokens,
  remoteAccessTokens,
  type RemoteAccessTokensOptions,
} from './resource-server/remote-access-tokens.js'
export {
  type IntrospectedAccessTokens,
  introspectedAccessTokens,
  type IntrospectedAccessTokensOptions,
} from './resource-server/introspected-access-tokens.js'
export { IssuerError } from './resource-server/issuer-error.js'
export type { VerificationAlgorithm } from './resource-server/key-set.js'
export {
  deriveSigningKey,
  generateSigningKey,
  type KeyMaterial,
  type PublicJwk,
  type SigningAlgorithm,
  type SigningKey,
} from './access-tokens/signing-keys.js'
export {
  handleNodeRequest,
  mergeHeaders,
  type NodeRequestOptions,
  readNodeRequest,
  toNodeHandler,
  writeNodeResponse,
} from './adapters/node.js'
export { toWebHandler, webGuard, type WebGuardOutcome, type WebOptions } from './adapters/web.js'
export { loginEndpoint, type LoginOptions, LoginRequestError, type SignIn } from './endpoints/login.js'
export { requestCounter, type RequestCounterOptions } from './pipeline/define-endpoint.js'
export { csrfGuard } from './pipeline/csrf-guard.js'
export { readJson, type ReadJson } from './messages/json.js'
export { sessionsEndpoint, type SessionsOptions } from './endpoints/sessions.js'
export {
  type AuthorizationCode,
  type AuthorizationCodes,
  authorizationCodes,
  type AuthorizationCodesOptions,
  type CodeRequest,
} from './codes/authorization-codes.js'
export { type Clients, type StaticClient } from './clients/registry.js'
export type { DpopOptions } from './proof-of-possession/dpop/proof-checker.js'
export type { NonceOptions } from './proof-of-possession/dpop/nonces.js'
export type { ProofAlgorithm } from './proof-of-possession/dpop/proof.js'
export { hashClientSecret, type SecretHash } from './clients/secret.js'
export { refreshEndpoint, type RefreshOptions } from './endpoints/refresh.js'
export { tokenEndpoint, type TokenEndpointOptions } from './endpoints/token.js'
export { revocationEndpoint, type RevocationOptions } from './endpoints/revocation.js'
export { introspectionEndpoint, type IntrospectionOptions } from './endpoints/introspection.js'
export { revocationsEndpoint, type RevocationsOptions } from './endpoints/revocations.js'
export {
  localRevocations,
  type LocalRevocationsOptions,
  type RevokedSessions,
} from './access-tokens/revoked-sessions.js'
export { remoteRevocations, type RemoteRevocationsOptions } from './resource-server/remote-revocations.js'
export { jwksEndpoint } from './endpoints/jwks.js'
export {
  type AdapterDefinition,
  type AdapterHandlers,
  type AuthHandlerFactory,
  defineAdapter,
  type IntrospectionHandlerFactory,
  type JwksHandlerFactory,
  type LoginHandlerFactory,
  type LogoutHandlerFactory,
  type RefreshHandlerFactory,
  type RevocationHandlerFactory,
  type RevocationsHandlerFactory,
  type SessionsHandlerFactory,
  type TokenHandlerFactory,
} from './adapters/define-adapter.js'
export {
  type AuthServer,
  authServer,
  type AuthServerOptions,
  authServerOptions,
  type Route,
} from './auth-server/auth-server.js'
export { type CorsOptions, withCors } from './pipeline/cors.js'
export { logoutEndpoint, type LogoutOptions } from './endpoints/logout.js'
