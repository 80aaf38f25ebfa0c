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
import type {
  FastifyInstance,
  FastifyPluginCallback,
  FastifyReply,
  FastifyRequest,
  onRequestAsyncHookHandler,
} from 'fastify'

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
    // As prefixes, which Fastify serves with and without a trailing slash.
    for (const { endpoint, paths } of routes)
      for (const prefix of paths) scope.register(mount(endpoint, ['/']), { prefix })
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
    const verdict = await guard(readNodeRequest(request.raw, sentTo(request)))
    if (!verdict.ok) return answer(reply, verdict.response)
    for (const [name, value] of verdict.headers) reply.header(name, value)
    request.auth = verdict.claims
  }
}

function mount(endpoint: Endpoint, paths: readonly string[]): FastifyPluginCallback {
  return (scope, _options, done) => {
    leaveBodiesAlone(scope)
    for (const path of paths)
      scope.all(path, async (request, reply) =>
        answer(reply, await answerNodeRequest(endpoint, request.raw, sentTo(request))),
      )
    done()
  }
}

/** A hook may have replaced `request.headers` without changing those of the raw request. */
function sentTo({ originalUrl, headers }: FastifyRequest): NodeRequestOptions {
  return { originalUrl, headers }
}

/** Of Fastify's methods, those whose requests are not parsed. */
const UNPARSED_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'TRACE'])

/**
 * Inside the encapsulated scope only: passes bodies of every content type to the endpoint. Fastify rejects a malformed content type
 * before it looks for a parser, so a well-formed one stands in until the parser runs. The raw request's headers are changed and
 * restored, because Fastify returns a copy once `request.headers` has been assigned, and later hooks would change only that copy.
 */
function leaveBodiesAlone(scope: FastifyInstance): void {
  const stated = new WeakMap<FastifyRequest['raw'], string | undefined>()
  scope.removeAllContentTypeParsers()
  scope.addHook('preParsing', async ({ raw }) => {
    if (UNPARSED_METHODS.has(raw.method ?? '')) return
    stated.set(raw, raw.headers['content-type'])
    raw.headers['content-type'] = 'application/octet-stream'
  })
  scope.addContentTypeParser('*', ({ raw }, _payload, parsed) => {
    const type = stated.get(raw)
    if (type === undefined) delete raw.headers['content-type']
    else raw.headers['content-type'] = type
    parsed(null)
  })
}

function answer(reply: FastifyReply, { status, headers, body }: PlainResponse): FastifyReply {
  for (const [name, value] of mergeHeaders(headers, (name) => reply.getHeader(name)))
    // By itself `header` would add to a Set-Cookie that is there, and we have all of it.
    reply.removeHeader(name).header(name, value)
  // As bytes: to text Fastify adds a charset that JSON does not have.
  return reply.code(status).send(body === null ? undefined : Buffer.from(body))
}
