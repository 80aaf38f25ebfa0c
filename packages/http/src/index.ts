export type { Endpoint, PlainBody, PlainRequest, PlainResponse } from './message.js'
export type { CookieOptions, EndpointOptions } from './options.js'
export type { Client, ClientRegistry } from './clients/client.js'
export type {
  AccessTokenClaims,
  AccessTokenFunction,
  AccessTokenGrant,
  AccessTokenOption,
  AccessTokens,
  MintedAccessToken,
} from './access-tokens/access-token.js'
export { type Limiter, type LimiterOptions, type RateLimits, rateLimits, type RateLimitsOptions } from './rate-limit.js'
