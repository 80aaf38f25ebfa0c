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
  type NodeRequestOptions,
  readNodeRequest,
  refreshEndpoint,
  type RefreshOptions,
  revocationEndpoint,
  type RevocationOptions,
  sessionsEndpoint,
  type SessionsOptions,
  writeNodeResponse,
} from '@baton/http'
import type { IncomingMessage, ServerResponse } from 'node:http'

declare global {
  // The one place that lets others add to the request in every version of Express.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** What the access token says; set by `requireAccessToken`. */
      auth?: AccessTokenClaims
    }
  }
}

/** What Express gives to a handler, as far as it is used here. */
export interface ExpressRequest extends IncomingMessage {
  originalUrl: string
  body?: unknown
  auth?: AccessTokenClaims
}

/** Fits `app.use`, `app.all`, `app.post` and their like on apps and routers of Express 4 and 5. */
export type ExpressHandler = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/** All endpoints and their metadata over one set of options, for `app.use`; other paths go on to `next`. See `authServer`. */
export function authHandler(tokens: RefreshTokens, options: AuthServerOptions): ExpressHandler {
  const server = authServer(tokens, options)
  return (request, response, next) => {
    const endpoint = server.find({ url: request.originalUrl })
    if (endpoint === null) next()
    else handler(endpoint)(request, response, next)
  }
}

/** With `clients` the OAuth token endpoint, with `cookie` the refresh of your own pages. See `refreshEndpoint`. */
export function refreshHandler(tokens: RefreshTokens, options: RefreshOptions): ExpressHandler {
  return handler(refreshEndpoint(tokens, options))
}

/** Lets clients end what they hold (RFC 7009). See `revocationEndpoint`. */
export function revocationHandler(tokens: RefreshTokens, options: RevocationOptions): ExpressHandler {
  return handler(revocationEndpoint(tokens, options))
}

/** Tells resource servers, and clients of their own, what a token is worth (RFC 7662). See `introspectionEndpoint`. */
export function introspectionHandler(tokens: RefreshTokens, options: IntrospectionOptions): ExpressHandler {
  return handler(introspectionEndpoint(tokens, options))
}

/** Publishes the keys that access tokens are verified with (RFC 7517). See `jwksEndpoint`. */
export function jwksHandler(accessToken: Pick<JwtAccessTokens, 'jwks'>): ExpressHandler {
  return handler(jwksEndpoint(accessToken))
}

/** Starts a session after your own check of who is asking. See `loginEndpoint`. */
export function loginHandler(tokens: RefreshTokens, options: LoginOptions): ExpressHandler {
  return handler(loginEndpoint(tokens, options))
}

/** Ends the session of the cookie. See `logoutEndpoint`. */
export function logoutHandler(tokens: RefreshTokens, options: LogoutOptions): ExpressHandler {
  return handler(logoutEndpoint(tokens, options))
}

/** Lets people see and end their sessions: serves all that is below where it is mounted. See `sessionsEndpoint`. */
export function sessionsHandler(tokens: RefreshTokens, options: SessionsOptions): ExpressHandler {
  return handler(sessionsEndpoint(tokens, options))
}

/** Mounts an endpoint. It answers whatever reaches it, and never calls `next` without an error. */
export function handler(endpoint: Endpoint): ExpressHandler {
  return (request, response, next) => {
    answerNodeRequest(endpoint, request, sentTo(request))
      .then((answer) => writeNodeResponse(response, answer))
      .catch(next)
  }
}

/** Lets a request with a valid access token through, with `req.auth` saying what is in it; answers every other (RFC 6750). */
export function requireAccessToken(options: AccessTokenGuardOptions): ExpressHandler {
  const guard = accessTokenGuard(options)
  return (request, response, next) => {
    guard(readNodeRequest(request, sentTo(request)))
      .then((verdict) => {
        if (!verdict.ok) {
          writeNodeResponse(response, verdict.response)
          return
        }
        for (const [name, value] of verdict.headers) response.setHeader(name, value)
        request.auth = verdict.claims
        next()
      })
      .catch(next)
  }
}

/** A router cuts `url`, and a body parser may have drained the stream. */
function sentTo({ originalUrl, body }: ExpressRequest): NodeRequestOptions {
  return { originalUrl, body }
}
