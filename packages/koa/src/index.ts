import type { RefreshTokens } from '@baton/core'
import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  answerNodeRequest,
  authServer,
  type AuthServerOptions,
  type Endpoint,
  introspectionEndpoint,
  type IntrospectionOptions,
  jwksEndpoint,
  type JwtAccessTokens,
  loginEndpoint,
  type LoginOptions,
  logoutEndpoint,
  type LogoutOptions,
  mergeHeaders,
  type NodeRequestOptions,
  type PlainResponse,
  readNodeRequest,
  refreshEndpoint,
  type RefreshOptions,
  revocationEndpoint,
  type RevocationOptions,
  sessionsEndpoint,
  type SessionsOptions,
} from '@baton/http'
import type { Context, Middleware } from 'koa'

declare module 'koa' {
  interface DefaultState {
    /** What the access token says; set by `requireAccessToken`. */
    auth?: AccessTokenClaims
  }
}

/** All endpoints and their metadata over one set of options, for `app.use`; other paths go on to `next`. See `authServer`. */
export function authHandler(tokens: RefreshTokens, options: AuthServerOptions): Middleware {
  const server = authServer(tokens, options)
  return async (ctx, next) => {
    const endpoint = server.find({ url: ctx.originalUrl })
    if (endpoint === null) await next()
    else await handler(endpoint)(ctx, next)
  }
}

/** With `clients` the OAuth token endpoint, with `cookie` the refresh of your own pages. See `refreshEndpoint`. */
export function refreshHandler(tokens: RefreshTokens, options: RefreshOptions): Middleware {
  return handler(refreshEndpoint(tokens, options))
}

/** Lets clients end what they hold (RFC 7009). See `revocationEndpoint`. */
export function revocationHandler(tokens: RefreshTokens, options: RevocationOptions): Middleware {
  return handler(revocationEndpoint(tokens, options))
}

/** Tells resource servers, and clients of their own, what a token is worth (RFC 7662). See `introspectionEndpoint`. */
export function introspectionHandler(tokens: RefreshTokens, options: IntrospectionOptions): Middleware {
  return handler(introspectionEndpoint(tokens, options))
}

/** Publishes the keys that access tokens are verified with (RFC 7517). See `jwksEndpoint`. */
export function jwksHandler(accessToken: Pick<JwtAccessTokens, 'jwks'>): Middleware {
  return handler(jwksEndpoint(accessToken))
}

/** Starts a session after your own check of who is asking. See `loginEndpoint`. */
export function loginHandler(tokens: RefreshTokens, options: LoginOptions): Middleware {
  return handler(loginEndpoint(tokens, options))
}

/** Ends the session of the cookie. See `logoutEndpoint`. */
export function logoutHandler(tokens: RefreshTokens, options: LogoutOptions): Middleware {
  return handler(logoutEndpoint(tokens, options))
}

/** Lets people see and end their sessions: serves all that is below where it is mounted. See `sessionsEndpoint`. */
export function sessionsHandler(tokens: RefreshTokens, options: SessionsOptions): Middleware {
  return handler(sessionsEndpoint(tokens, options))
}

/** Mounts an endpoint. It answers whatever reaches it, and never calls `next`. */
export function handler(endpoint: Endpoint): Middleware {
  return async (ctx) => {
    answer(ctx, await answerNodeRequest(endpoint, ctx.req, sentTo(ctx)))
  }
}

/** Lets a request with a valid access token through, with `ctx.state.auth` saying what is in it; answers every other (RFC 6750). */
export function requireAccessToken(options: AccessTokenGuardOptions): Middleware {
  const guard = accessTokenGuard(options)
  return async (ctx, next) => {
    const verdict = await guard(readNodeRequest(ctx.req, sentTo(ctx)))
    if (!verdict.ok) {
      answer(ctx, verdict.response)
      return
    }
    for (const [name, value] of verdict.headers) ctx.set(name, value)
    ctx.state.auth = verdict.claims
    await next()
  }
}

/** Of what a body parser leaves behind, the text that it has read says more than what it made of it. */
function sentTo({ originalUrl, request }: Context): NodeRequestOptions {
  const { rawBody, body = rawBody } = request as { rawBody?: unknown; body?: unknown }
  return { originalUrl, body: rawBody ?? body }
}

function answer(ctx: Context, { status, headers, body }: PlainResponse): void {
  // The body first, and never null: from it Koa guesses status and type, which the endpoint knows better.
  ctx.body = body ?? ''
  ctx.status = status
  ctx.remove('content-type')
  for (const [name, value] of mergeHeaders(headers, (name) => ctx.res.getHeader(name))) ctx.set(name, value)
}
