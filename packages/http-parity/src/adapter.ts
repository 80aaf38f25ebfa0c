import type { RefreshTokens } from '@baton/core'
import type {
  AccessTokenGuardOptions,
  AuthServerOptions,
  Endpoint,
  IntrospectionOptions,
  JwtAccessTokens,
  LoginOptions,
  LogoutOptions,
  RefreshOptions,
  RevocationOptions,
  SessionsOptions,
} from '@baton/http'

/** What every adapter exports, under the same names and with the same arguments. */
export interface Adapter<Handler, Guard> {
  readonly authHandler: (tokens: RefreshTokens, options: AuthServerOptions) => Handler
  readonly refreshHandler: (tokens: RefreshTokens, options: RefreshOptions) => Handler
  readonly revocationHandler: (tokens: RefreshTokens, options: RevocationOptions) => Handler
  readonly introspectionHandler: (tokens: RefreshTokens, options: IntrospectionOptions) => Handler
  readonly jwksHandler: (accessToken: Pick<JwtAccessTokens, 'jwks'>) => Handler
  readonly loginHandler: (tokens: RefreshTokens, options: LoginOptions) => Handler
  readonly logoutHandler: (tokens: RefreshTokens, options: LogoutOptions) => Handler
  readonly sessionsHandler: (tokens: RefreshTokens, options: SessionsOptions) => Handler
  readonly handler: (endpoint: Endpoint) => Handler
  readonly requireAccessToken: (options: AccessTokenGuardOptions) => Guard
}
