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
  type PlainResponse,
  readNodeRequest,
  refreshEndpoint,
  type RefreshOptions,
  revocationEndpoint,
  type RevocationOptions,
  sessionsEndpoint,
  type SessionsOptions,
} from '@baton/http'
import type { FastifyInstance, FastifyPluginCallback, FastifyReply, onRequestAsyncHookHandler } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the access token says; set by `requireAccessToken`. */
    auth?: AccessTokenClaims
  }
}

/** All endpoints and their metadata over one set of options: `app.register(authHandler(tokens, options))`. See `authServer`. */
export function authHandler(tokens: RefreshTokens, options: AuthServerOptions): FastifyPluginCallback {
  const { routes } = authServer(tokens, options)
  return (scope, _options, done) => {
    for (const { endpoint, paths } of routes) scope.register(mount(endpoint, paths))
    done()
  }
}

/** With `clients` the OAuth token endpoint, with `cookie` the refresh of your own pages. See `refreshEndpoint`. */
export function refreshHandler(tokens: RefreshTokens, options: RefreshOptions): FastifyPluginCallback {
  return mount(refreshEndpoint(tokens, options), ['/'])
}

/** Lets clients end what they hold (RFC 7009). See `revocationEndpoint`. */
export function revocationHandler(tokens: RefreshTokens, options: RevocationOptions): FastifyPluginCallback {
  return mount(revocationEndpoint(tokens, options), ['/'])
}

/** Tells resource servers, and clients of their own, what a token is worth (RFC 7662). See `introspectionEndpoint`. */
export function introspectionHandler(tokens: RefreshTokens, options: IntrospectionOptions): FastifyPluginCallback {
  return mount(introspectionEndpoint(tokens, options), ['/'])
}

/** Publishes the keys that access tokens are verified with (RFC 7517). See `jwksEndpoint`. */
export function jwksHandler(accessToken: Pick<JwtAccessTokens, 'jwks'>): FastifyPluginCallback {
  return mount(jwksEndpoint(accessToken), ['/'])
}

/** Starts a session after your own check of who is asking. See `loginEndpoint`. */
export function loginHandler(tokens: RefreshTokens, options: LoginOptions): FastifyPluginCallback {
  return mount(loginEndpoint(tokens, options), ['/'])
}

/** Ends the session of the cookie. See `logoutEndpoint`. */
export function logoutHandler(tokens: RefreshTokens, options: LogoutOptions): FastifyPluginCallback {
  return mount(logoutEndpoint(tokens, options), ['/'])
}

/** Lets people see and end their sessions: serves all that is below where it is mounted. See `sessionsEndpoint`. */
export function sessionsHandler(tokens: RefreshTokens, options: SessionsOptions): FastifyPluginCallback {
  return handler(sessionsEndpoint(tokens, options))
}

/** Mounts an endpoint at the `prefix` and below, for every method: `app.register(handler(endpoint), { prefix: '/somewhere' })`. */
export function handler(endpoint: Endpoint): FastifyPluginCallback {
  return mount(endpoint, ['/', '/*'])
}

/** A hook that lets a request with a valid access token through, with `request.auth` saying what is in it; answers every other (RFC 6750). */
export function requireAccessToken(options: AccessTokenGuardOptions): onRequestAsyncHookHandler {
  const guard = accessTokenGuard(options)
  return async (request, reply) => {
    const verdict = await guard(readNodeRequest(request.raw, { originalUrl: request.originalUrl }))
    if (!verdict.ok) return answer(reply, verdict.response)
    for (const [name, value] of verdict.headers) reply.header(name, value)
    request.auth = verdict.claims
  }
}

function mount(endpoint: Endpoint, paths: readonly string[]): FastifyPluginCallback {
  return (scope, _options, done) => {
    leaveBodiesAlone(scope)
    for (const path of paths)
      scope.all(path, async (request, reply) => {
        const { raw, originalUrl } = request
        return answer(reply, await answerNodeRequest(endpoint, raw, { originalUrl }))
      })
    done()
  }
}

/** Inside the encapsulated scope only: Fastify refuses types without a parser, and headers that name no type, before we are asked. */
function leaveBodiesAlone(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null))
  scope.addHook('preParsing', async (request) => {
    request.headers = { 'content-type': 'application/octet-stream' }
  })
}

function answer(reply: FastifyReply, { status, headers, body }: PlainResponse): FastifyReply {
  for (const [name, value] of mergeHeaders(headers, (name) => reply.getHeader(name)))
    // By itself `header` would add to a Set-Cookie that is there, and we have all of it.
    reply.removeHeader(name).header(name, value)
  // As bytes: to text Fastify adds a charset that JSON does not have.
  return reply.code(status).send(body === null ? undefined : Buffer.from(body))
}
