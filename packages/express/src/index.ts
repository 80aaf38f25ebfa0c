import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  handleNodeRequest,
  type AuthServer,
  type BearerClaims,
  defineAdapter,
  type Endpoint,
  type NodeRequestOptions,
  readNodeRequest,
  writeNodeResponse,
} from '@baton/http'
import type { NextFunction, Request, RequestHandler, Response } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'

declare global {
  // The one place that lets others add to the request in every version of Express.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** The claims of the access token. Set by `requireAccessToken`; absent in a handler without it. */
      auth?: BearerClaims
    }
  }
}

/** The members of the Express request that are used here. */
export interface ExpressRequest extends IncomingMessage {
  originalUrl: string
  /** The path at which the router is mounted that runs the handler. */
  baseUrl: string
  body?: unknown
  auth?: BearerClaims
}

/** Fits `app.use`, `app.all`, `app.post` and their like on apps and routers of Express 4 and 5. */
export type ExpressHandler = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

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
} = defineAdapter<ExpressHandler>({ mount: handler, serve })

/**
 * Creates a handler for an endpoint. It sends a response to every request, and calls `next` only with an error.
 *
 * @example
 * ```ts
 * import { handler } from '@baton/express'
 * import { withCors, refreshEndpoint } from '@baton/http'
 *
 * const refresh = refreshEndpoint(tokens, { accessTokens })
 * app.post('/auth/refresh', handler(withCors(refresh, { origins: ['https://app.example'] })))
 * ```
 */
export function handler(endpoint: Endpoint): ExpressHandler {
  return (request, response, next) => {
    handleNodeRequest(endpoint, request, sentTo(request))
      .then((plain) => writeNodeResponse(response, plain))
      .catch(next)
  }
}

/** What `requireAccessToken` returns: a middleware, and a function that types the handlers behind it. */
export interface ExpressGuard<Claims extends BearerClaims> extends ExpressHandler {
  /**
   * Creates a handler whose `req.auth` is present and typed. It checks the access token unless this guard has already accepted the
   * request as a middleware. Passes what the handler throws, or rejects with, to `next`.
   */
  handler(
    handle: (request: Request & { auth: Claims }, response: Response, next: NextFunction) => unknown,
  ): RequestHandler
}

/**
 * Creates a middleware that accepts requests with a valid access token and sets `req.auth` to its claims. All others are rejected
 * ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)). Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { requireAccessToken } from '@baton/express'
 *
 * const guard = requireAccessToken({ accessTokens })
 * app.get(
 *   '/api/me',
 *   guard.handler((req, res) => res.json({ sub: req.auth.sub })),
 * )
 * ```
 */
export function requireAccessToken<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): ExpressGuard<Claims> {
  const guard = accessTokenGuard(options)
  const accepted = new WeakSet<ExpressRequest>()
  const isAccepted = (request: Request): request is Request & { auth: Claims } => accepted.has(request)

  /** Accepts the request, or rejects it by sending a response. */
  async function check(request: ExpressRequest, response: ServerResponse): Promise<void> {
    if (accepted.has(request)) return
    const outcome = await guard(readNodeRequest(request, sentTo(request)))
    if (!outcome.ok) {
      writeNodeResponse(response, outcome.response)
      return
    }
    for (const [name, value] of outcome.headers) response.setHeader(name, value)
    request.auth = outcome.claims
    accepted.add(request)
  }

  const handlerOf: ExpressGuard<Claims>['handler'] = (handle) => (request, response, next) => {
    check(request, response)
      .then(() => (isAccepted(request) ? handle(request, response, next) : undefined))
      .catch(next)
  }
  const middleware: ExpressHandler = (request, response, next) => {
    check(request, response)
      .then(() => {
        if (accepted.has(request)) next()
      })
      .catch(next)
  }
  return Object.assign(middleware, { handler: handlerOf })
}

function serve(server: AuthServer): ExpressHandler {
  return (request, response, next) => {
    const endpoint = server.find({ url: request.originalUrl }, request.baseUrl)
    if (endpoint === null) next()
    else handler(endpoint)(request, response, next)
  }
}

/** A router cuts `url`, and a body parser may have drained the stream. */
function sentTo({ originalUrl, body }: ExpressRequest): NodeRequestOptions {
  return { originalUrl, body }
}
