export { sqlTokens, type SqlQuery, type SqlRow, type SqlTokensOptions } from './sql.js'
export { type IoRedisReads, type NodeRedisReads, redisTokens, type RedisTokensOptions } from './redis.js'
export { jwtTokens, type JwtTokensOptions } from './jwt.js'
export {
  type OidcAdapter,
  type OidcAdapterSource,
  oidcProviderTokens,
  type OidcProviderTokensOptions,
} from './oidc-provider.js'
export type { GrantFields, ImportOptions } from './grants.js'
export type { Instant } from './instants.js'
