import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  handleNodeRequest,
  type AuthServer,
  type BearerClaims,
  defineAdapter,
  type Endpoint,
  mergeHeaders,
  type NodeRequestOptions,
  type PlainResponse,
  readNodeRequest,
} from '@baton/http'
import type { Context, DefaultState, Middleware } from 'koa'

declare module 'koa' {
  interface DefaultState {
    /** The claims of the access token. Set by `requireAccessToken`; absent in a middleware without it. */
    auth?: BearerClaims
  }
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
} = defineAdapter<Middleware>({ mount: handler, serve })

/**
 * Creates a middleware for an endpoint. It sends a response to every request, and never calls `next`.
 *
 * @example
 * ```ts
 * import Router from '@koa/router'
 * import { handler } from '@baton/koa'
 * import { withCors, refreshEndpoint } from '@baton/http'
 *
 * const router = new Router()
 * const refresh = refreshEndpoint(tokens, { accessTokens })
 * router.all('/auth/refresh', handler(withCors(refresh, { origins: ['https://app.example'] })))
 * ```
 */
export function handler(endpoint: Endpoint): Middleware {
  return async (ctx) => {
    sendResponse(ctx, await handleNodeRequest(endpoint, ctx.req, sentTo(ctx)))
  }
}

/** The state that `requireAccessToken` sets, for `new Router<AuthState>()`. */
export interface AuthState<Claims extends BearerClaims = AccessTokenClaims> extends DefaultState {
  /** The claims of the access token. */
  auth: Claims
}

/**
 * Creates a middleware that accepts requests with a valid access token and sets `ctx.state.auth` to its claims. All others are rejected
 * ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)). Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import Router from '@koa/router'
 * import { type AuthState, requireAccessToken } from '@baton/koa'
 *
 * const router = new Router<AuthState>()
 * router.get('/api/me', requireAccessToken({ accessTokens }), (ctx) => {
 *   ctx.body = { sub: ctx.state.auth.sub }
 * })
 * ```
 */
export function requireAccessToken<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): Middleware<AuthState<Claims>> {
  const guard = accessTokenGuard(options)
  return async (ctx, next) => {
    const verdict = await guard(readNodeRequest(ctx.req, sentTo(ctx)))
    if (!verdict.ok) {
      sendResponse(ctx, verdict.response)
      return
    }
    for (const [name, value] of verdict.headers) ctx.set(name, value)
    ctx.state.auth = verdict.claims
    await next()
  }
}

function serve(server: AuthServer): Middleware {
  return async (ctx, next) => {
    const endpoint = server.find({ url: ctx.originalUrl }, mountPathOf(ctx))
    if (endpoint === null) await next()
    else await handler(endpoint)(ctx, next)
  }
}

/** The part of the path that koa-mount has removed, and the route of @koa/router that runs the middleware. */
function mountPathOf(ctx: Context): string {
  const [path = ''] = ctx.originalUrl.split('?')
  const removed = path.endsWith(ctx.path) ? path.slice(0, -ctx.path.length) : ''
  const route: unknown = ctx['routerPath']
  return typeof route === 'string' ? removed + route : removed
}

/** Of what a body parser leaves behind, the text that it has read says more than what it made of it. */
function sentTo({ originalUrl, request }: Context): NodeRequestOptions {
  const { rawBody, body = rawBody } = request as { rawBody?: unknown; body?: unknown }
  return { originalUrl, body: rawBody ?? body }
}

function sendResponse(ctx: Context, { status, headers, body }: PlainResponse): void {
  // The body first, and never null: from it Koa guesses status and type, which the endpoint knows better.
  ctx.body = body ?? ''
  ctx.status = status
  ctx.remove('content-type')
  for (const [name, value] of mergeHeaders(headers, (name) => ctx.res.getHeader(name))) ctx.set(name, value)
}
