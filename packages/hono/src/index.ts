import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  type AuthServer,
  type BearerClaims,
  defineAdapter,
  type Endpoint,
  toWebHandler,
  webGuard,
} from '@baton/http'
import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import { remoteAddressOf } from './remote-address.js'

/** The variables that `requireAccessToken` sets, for `new Hono<{ Variables: AuthVariables }>()`. */
export type AuthVariables<Claims extends BearerClaims = AccessTokenClaims> = {
  /** The claims of the access token. */
  auth: Claims
}

export const {
  authHandler,
  refreshHandler,
  tokenHandler,
  revocationHandler,
  introspectionHandler,
  revocationsHandler,
  jwksHandler,
  loginHandler,
  logoutHandler,
  sessionsHandler,
} = defineAdapter<MiddlewareHandler>({ mount: handler, serve })

/**
 * Creates a handler for an endpoint of `@baton/http` or for your own endpoint. It sends a response to every request.
 *
 * @example
 * ```ts
 * import { Hono } from 'hono'
 * import { handler } from '@baton/hono'
 * import { withCors, refreshEndpoint } from '@baton/http'
 *
 * const app = new Hono()
 * const refresh = refreshEndpoint(tokens, { accessTokens })
 * app.all('/auth/refresh', handler(withCors(refresh, { origins: ['https://app.example'] })))
 * ```
 */
export function handler(endpoint: Endpoint): MiddlewareHandler {
  return (c) => toWebHandler(endpoint, { remoteAddress: () => remoteAddressOf(c) })(c.req.raw)
}

/**
 * Creates a middleware that accepts requests with a valid access token and sets `c.var.auth` to its claims. All others are rejected
 * ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)). Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { Hono } from 'hono'
 * import { requireAccessToken } from '@baton/hono'
 *
 * const app = new Hono()
 * app.get('/api/me', requireAccessToken({ accessTokens }), (c) => c.json({ sub: c.var.auth.sub }))
 * ```
 */
export function requireAccessToken<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): MiddlewareHandler<{ Variables: AuthVariables<Claims> }> {
  const guard = accessTokenGuard(options)
  return async (c, next) => {
    const outcome = await webGuard(guard, { remoteAddress: () => remoteAddressOf(c) })(c.req.raw)
    if (!outcome.ok) return outcome.response
    c.set('auth', outcome.claims)
    await next()
    // Afterwards, because Hono drops the headers that were set before if a handler returns its own `Response`.
    for (const [name, value] of outcome.headers) c.header(name, value)
  }
}

function serve(server: AuthServer): MiddlewareHandler {
  return async (c, next) => {
    const endpoint = server.find({ url: c.req.url }, routePath(c))
    if (endpoint === null) return next()
    return handler(endpoint)(c, next)
  }
}
