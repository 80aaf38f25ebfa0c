import type { RefreshTokens } from '@baton/core'
import { declareOptions, func, required } from '@baton/core/options'
import type { JwtAccessTokens } from '../access-tokens/jwt.js'
import { type AuthServer, authServer, type AuthServerOptions } from '../auth-server/auth-server.js'
import { introspectionEndpoint, type IntrospectionOptions } from '../endpoints/introspection.js'
import { jwksEndpoint } from '../endpoints/jwks.js'
import { loginEndpoint, type LoginOptions } from '../endpoints/login.js'
import { logoutEndpoint, type LogoutOptions } from '../endpoints/logout.js'
import { refreshEndpoint, type RefreshOptions } from '../endpoints/refresh.js'
import { revocationEndpoint, type RevocationOptions } from '../endpoints/revocation.js'
import { revocationsEndpoint, type RevocationsOptions } from '../endpoints/revocations.js'
import { sessionsEndpoint, type SessionsOptions } from '../endpoints/sessions.js'
import { tokenEndpoint, type TokenEndpointOptions } from '../endpoints/token.js'
import type { Endpoint } from '../messages/message.js'

// The comments are on the function types, so that editors show them at a call, even if an adapter destructures its exports.

export type AuthHandlerFactory<Handler> =
  /**
   * Creates a handler for all endpoints and the metadata, from one set of options. Requests for other paths are passed on to the app.
   * See `authServer`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { authHandler } from '@baton/express'
   *
   * app.use(authHandler(tokens, { accessTokens, clients, cookie: true }))
   * ```
   */
  (tokens: RefreshTokens, options: AuthServerOptions) => Handler

export type RefreshHandlerFactory<Handler> =
  /**
   * Creates a handler that refreshes the sessions of your own pages and apps, by a cookie or by a JSON or form body. It needs no
   * registered clients. See `refreshEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { refreshHandler } from '@baton/express'
   *
   * app.post('/auth/refresh', refreshHandler(tokens, { accessTokens, cookie: true }))
   * ```
   */
  (tokens: RefreshTokens, options: RefreshOptions) => Handler

export type TokenHandlerFactory<Handler> =
  /**
   * Creates a handler for the OAuth token endpoint ([RFC 6749 section 3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)). See
   * `tokenEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { tokenHandler } from '@baton/express'
   *
   * app.post('/oauth/token', tokenHandler(tokens, { accessTokens, clients }))
   * ```
   */
  (tokens: RefreshTokens, options: TokenEndpointOptions) => Handler

export type RevocationHandlerFactory<Handler> =
  /**
   * Creates a handler with which clients revoke tokens ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)). See `revocationEndpoint`.
   * Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { revocationHandler } from '@baton/express'
   *
   * app.post('/oauth/revoke', revocationHandler(tokens, { accessTokens, clients }))
   * ```
   */
  (tokens: RefreshTokens, options: RevocationOptions) => Handler

export type IntrospectionHandlerFactory<Handler> =
  /**
   * Creates a handler that returns the state of a token to resource servers and to the client of the token
   * ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)). See `introspectionEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { introspectionHandler } from '@baton/express'
   *
   * app.post('/oauth/introspect', introspectionHandler(tokens, { accessTokens, clients }))
   * ```
   */
  (tokens: RefreshTokens, options: IntrospectionOptions) => Handler

export type RevocationsHandlerFactory<Handler> =
  /**
   * Creates a handler that lists revoked sessions to resource servers. See `revocationsEndpoint`. Throws `ConfigurationError` for invalid
   * options.
   *
   * @example
   * ```ts
   * import { revocationsHandler } from '@baton/express'
   * app.get('/auth/revocations', revocationsHandler(tokens, { clients }))
   * ```
   */
  (tokens: RefreshTokens, options: RevocationsOptions) => Handler

export type JwksHandlerFactory<Handler> =
  /**
   * Creates a handler that publishes the keys for the verification of access tokens ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
   * See `jwksEndpoint`.
   *
   * @example
   * ```ts
   * import { jwksHandler } from '@baton/express'
   * import { deriveSigningKey, jwtAccessTokens } from '@baton/http'
   *
   * const keys = [deriveSigningKey(process.env['BATON_SIGNING_SECRET'])]
   * const accessTokens = jwtAccessTokens({ issuer: 'https://login.example', audience: 'https://api.example', keys })
   * app.get('/.well-known/jwks.json', jwksHandler(accessTokens))
   * ```
   */
  (accessTokens: Pick<JwtAccessTokens, 'jwks'>) => Handler

export type LoginHandlerFactory<Handler> =
  /**
   * Creates a handler that issues tokens after `authenticate` has succeeded. See `loginEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { loginHandler } from '@baton/express'
   *
   * const authenticate = async () => ({ subject: 'user-1' }) // your own check of name and password
   * app.post('/login', loginHandler(tokens, { accessTokens, authenticate, cookie: true }))
   * ```
   */
  (tokens: RefreshTokens, options: LoginOptions) => Handler

export type LogoutHandlerFactory<Handler> =
  /**
   * Creates a handler that revokes the session of the cookie. See `logoutEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { logoutHandler } from '@baton/express'
   *
   * app.post('/auth/logout', logoutHandler(tokens, { cookie: true }))
   * ```
   */
  (tokens: RefreshTokens, options: LogoutOptions) => Handler

export type SessionsHandlerFactory<Handler> =
  /**
   * Creates a handler with which users list and revoke their sessions. It serves several paths below the one where it is mounted. See
   * `sessionsEndpoint`. Throws `ConfigurationError` for invalid options.
   *
   * @example
   * ```ts
   * import { sessionsHandler } from '@baton/express'
   *
   * app.use('/auth', sessionsHandler(tokens, { accessTokens }))
   * ```
   */
  (tokens: RefreshTokens, options: SessionsOptions) => Handler

/** The functions that every adapter exports: each creates a handler of the framework. */
export interface AdapterHandlers<Handler> {
  readonly authHandler: AuthHandlerFactory<Handler>
  readonly refreshHandler: RefreshHandlerFactory<Handler>
  readonly tokenHandler: TokenHandlerFactory<Handler>
  readonly revocationHandler: RevocationHandlerFactory<Handler>
  readonly introspectionHandler: IntrospectionHandlerFactory<Handler>
  readonly revocationsHandler: RevocationsHandlerFactory<Handler>
  readonly jwksHandler: JwksHandlerFactory<Handler>
  readonly loginHandler: LoginHandlerFactory<Handler>
  readonly logoutHandler: LogoutHandlerFactory<Handler>
  readonly sessionsHandler: SessionsHandlerFactory<Handler>
}

/** What an adapter implements for its framework. */
export interface AdapterDefinition<Handler> {
  /** Creates a handler for one endpoint. `subtree`: it serves the paths below the one where it is mounted as well. */
  readonly mount: (endpoint: Endpoint, extent: 'path' | 'subtree') => Handler
  /** Creates a handler for the endpoints of a server, each at its path. Requests for other paths are passed on to the app. */
  readonly serve: (server: AuthServer) => Handler
}

const adapterDefinition = declareOptions({
  mount: required(func<AdapterDefinition<unknown>['mount']>()),
  serve: required(func<AdapterDefinition<unknown>['serve']>()),
})

/**
 * Creates the handlers that an adapter exports, from the two functions that depend on the framework. Throws `ConfigurationError` for an
 * invalid definition.
 *
 * @example
 * ```ts
 * import { defineAdapter, type Endpoint, toNodeHandler } from '@baton/http'
 *
 * const mount = (endpoint: Endpoint) => toNodeHandler(endpoint)
 * export const { loginHandler, refreshHandler } = defineAdapter({ mount, serve: ({ endpoint }) => mount(endpoint) })
 * ```
 */
export function defineAdapter<Handler>(definition: AdapterDefinition<Handler>): AdapterHandlers<Handler> {
  adapterDefinition.parse('defineAdapter', definition)
  const { mount, serve } = definition
  return {
    authHandler: (tokens, options) => serve(authServer(tokens, options)),
    refreshHandler: (tokens, options) => mount(refreshEndpoint(tokens, options), 'path'),
    tokenHandler: (tokens, options) => mount(tokenEndpoint(tokens, options), 'path'),
    revocationHandler: (tokens, options) => mount(revocationEndpoint(tokens, options), 'path'),
    introspectionHandler: (tokens, options) => mount(introspectionEndpoint(tokens, options), 'path'),
    revocationsHandler: (tokens, options) => mount(revocationsEndpoint(tokens, options), 'path'),
    jwksHandler: (accessTokens) => mount(jwksEndpoint(accessTokens), 'path'),
    loginHandler: (tokens, options) => mount(loginEndpoint(tokens, options), 'path'),
    logoutHandler: (tokens, options) => mount(logoutEndpoint(tokens, options), 'path'),
    sessionsHandler: (tokens, options) => mount(sessionsEndpoint(tokens, options), 'subtree'),
  }
}
