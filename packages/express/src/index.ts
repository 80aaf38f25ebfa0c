import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  answerNodeRequest,
  type AuthServer,
  defineAdapter,
  type Endpoint,
  type NodeRequestOptions,
  readNodeRequest,
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
  /** The path at which the router is mounted that runs the handler. */
  baseUrl: string
  body?: unknown
  auth?: AccessTokenClaims
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
  revocationHandler,
  introspectionHandler,
  jwksHandler,
  loginHandler,
  logoutHandler,
  sessionsHandler,
} = defineAdapter<ExpressHandler>({ mount: handler, serve })

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
