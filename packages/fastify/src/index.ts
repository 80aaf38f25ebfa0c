import { ConfigurationError, type RefreshTokens } from '@baton/core'
import { objectWith, optional, type OptionsOf, required, rule } from '@baton/core/options'
import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  handleNodeRequest,
  type AuthServer,
  type AuthServerOptions,
  authServerOptions,
  type BearerClaims,
  defineAdapter,
  type Endpoint,
  mergeHeaders,
  type NodeRequestOptions,
  type PlainResponse,
  readNodeRequest,
} from '@baton/http'
import type {
  FastifyInstance,
  FastifyPluginCallback,
  FastifyReply,
  FastifyRequest,
  onRequestAsyncHookHandler,
} from 'fastify'
import fastifyPlugin from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Rejects requests without a valid access token. Set by the `baton` plugin. */
    requireAccessToken: FastifyGuard<BearerClaims>
  }
  interface FastifyRequest {
    /** The claims of the access token. Set by `requireAccessToken`; absent in a handler without it. */
    auth?: BearerClaims
  }
}

export const {
  authHandler: authPlugin,
  refreshHandler: refreshPlugin,
  tokenHandler: tokenPlugin,
  revocationHandler: revocationPlugin,
  introspectionHandler: introspectionPlugin,
  revocationsHandler: revocationsPlugin,
  jwksHandler: jwksPlugin,
  loginHandler: loginPlugin,
  logoutHandler: logoutPlugin,
  sessionsHandler: sessionsPlugin,
} = defineAdapter<FastifyPluginCallback>({ mount, serve })

/**
 * Creates a plugin that serves an endpoint at its `prefix` and below, for every method.
 *
 * @example
 * ```ts
 * import fastify from 'fastify'
 * import { endpointPlugin } from '@baton/fastify'
 * import { withCors, refreshEndpoint } from '@baton/http'
 *
 * const app = fastify()
 * const refresh = refreshEndpoint(tokens, { accessTokens })
 * const endpoint = withCors(refresh, { origins: ['https://app.example'] })
 * await app.register(endpointPlugin(endpoint), { prefix: '/auth/refresh' })
 * ```
 */
export function endpointPlugin(endpoint: Endpoint): FastifyPluginCallback {
  return mount(endpoint, 'subtree')
}

/** What `requireAccessToken` returns: an `onRequest` hook, and a function that types the handlers behind it. */
export interface FastifyGuard<Claims extends BearerClaims> extends onRequestAsyncHookHandler {
  /**
   * Creates a route handler whose `request.auth` is present and typed. It checks the access token unless this guard has already
   * accepted the request as a hook.
   */
  handler<Request extends FastifyRequest, Reply extends FastifyReply>(
    handle: (request: Request & { auth: Claims }, reply: Reply) => unknown,
  ): (request: Request, reply: Reply) => Promise<unknown>
}

/**
 * Creates a hook that accepts requests with a valid access token and sets `request.auth` to its claims. All others are rejected
 * ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)). Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import fastify from 'fastify'
 * import { requireAccessToken } from '@baton/fastify'
 *
 * const app = fastify()
 * const guard = requireAccessToken({ accessTokens })
 * app.get(
 *   '/api/me',
 *   guard.handler((request) => ({ sub: request.auth.sub })),
 * )
 * ```
 */
export function requireAccessToken<Claims extends BearerClaims = AccessTokenClaims>(
  options: AccessTokenGuardOptions<Claims>,
): FastifyGuard<Claims> {
  const guard = accessTokenGuard(options)
  const accepted = new WeakSet<FastifyRequest['raw']>()
  const isAccepted = <Request extends FastifyRequest>(request: Request): request is Request & { auth: Claims } =>
    accepted.has(request.raw)

  /** Accepts the request, or rejects it by sending a response. */
  async function check(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (isAccepted(request)) return
    const outcome = await guard(readNodeRequest(request.raw, sentTo(request)))
    if (!outcome.ok) {
      sendResponse(reply, outcome.response)
      return
    }
    for (const [name, value] of outcome.headers) reply.header(name, value)
    request.auth = outcome.claims
    accepted.add(request.raw)
  }

  const hook: onRequestAsyncHookHandler = async (request, reply) => {
    await check(request, reply)
    return isAccepted(request) ? undefined : reply
  }
  const handlerOf: FastifyGuard<Claims>['handler'] = (handle) => async (request, reply) => {
    await check(request, reply)
    return isAccepted(request) ? handle(request, reply) : reply
  }
  return Object.assign(hook, { handler: handlerOf })
}

const batonOptions = authServerOptions.extend({
  /** What `createRefreshTokens()` returns. */
  tokens: required(
    objectWith<RefreshTokens>(['issue', 'rotate', 'redeem', 'revoke'], 'what createRefreshTokens() returns'),
  ),
  /** Further options of the hook `app.requireAccessToken`, and `accessTokens` if access tokens are issued by a function. */
  guard: optional(
    rule<Partial<AccessTokenGuardOptions>>('an object', (value) => typeof value === 'object' && value !== null),
  ),
})

/** The options of the `baton` plugin: those of `authServer`, and `tokens`. */
export type BatonOptions = OptionsOf<typeof batonOptions>

/**
 * Registers all endpoints, and decorates the app with the hook `requireAccessToken`, which sets `request.auth`. `prefix` applies to the
 * endpoints. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import fastify from 'fastify'
 * import { baton } from '@baton/fastify'
 *
 * const app = fastify()
 * const authenticate = async () => ({ subject: 'user-1' }) // your own check of name and password
 * await app.register(baton, { tokens, accessTokens, authenticate, cookie: true })
 * app.get(
 *   '/api/me',
 *   app.requireAccessToken.handler((request) => ({ sub: request.auth.sub })),
 * )
 * ```
 */
export const baton = fastifyPlugin(registerAll, { name: '@baton/fastify', fastify: '5.x' })

/** What Fastify adds to the options of a plugin. */
interface RegisterOptions {
  /** The prefix of the paths of all endpoints. */
  readonly prefix?: string
  /** As for every plugin of Fastify. */
  readonly logLevel?: unknown
  /** As for every plugin of Fastify. */
  readonly logSerializers?: unknown
}

async function registerAll(
  app: FastifyInstance,
  { prefix, logLevel: _level, logSerializers: _serializers, ...given }: BatonOptions & RegisterOptions,
): Promise<void> {
  batonOptions.parse('baton', given)
  const { tokens, guard, ...options } = given
  await app.register(authPlugin(tokens, options), prefix === undefined ? {} : { prefix })
  if (!app.hasRequestDecorator('auth')) app.decorateRequest('auth')
  app.decorate('requireAccessToken', requireAccessToken<BearerClaims>(toGuardOptions(options, guard)))
}

/** The options that the guard shares with the endpoints. */
function toGuardOptions(
  { accessTokens, clientCertificates, dpop, trustProxy, publicUrl, onError, now }: AuthServerOptions,
  guard: BatonOptions['guard'] = {},
): AccessTokenGuardOptions {
  const verifier = guard.accessTokens ?? (typeof accessTokens === 'function' ? undefined : accessTokens)
  if (verifier === undefined)
    throw new ConfigurationError('guard.accessTokens', 'must be set if access tokens are issued by a function')
  return { clientCertificates, dpop, trustProxy, publicUrl, onError, now, ...guard, accessTokens: verifier }
}

function serve({ routes }: AuthServer): FastifyPluginCallback {
  return (scope, _options, done) => {
    const { prefix: mountPath } = scope
    const relative = (path: string) => (path.startsWith(`${mountPath}/`) ? path.slice(mountPath.length) : path)
    // The metadata has its place at the root of the origin.
    const mounted = routes.filter(({ route }) => mountPath === '' || route !== 'metadata')
    // As prefixes, which Fastify serves with and without a trailing slash.
    for (const { endpoint, paths } of mounted)
      for (const path of paths) scope.register(mount(endpoint, 'path'), { prefix: relative(path) })
    done()
  }
}

function mount(endpoint: Endpoint, extent: 'path' | 'subtree'): FastifyPluginCallback {
  const paths = extent === 'path' ? ['/'] : ['/', '/*']
  return (scope, _options, done) => {
    leaveBodiesAlone(scope)
    for (const path of paths)
      scope.all(path, async (request, reply) =>
        sendResponse(reply, await handleNodeRequest(endpoint, request.raw, sentTo(request))),
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

function sendResponse(reply: FastifyReply, { status, headers, body }: PlainResponse): FastifyReply {
  for (const [name, value] of mergeHeaders(headers, (name) => reply.getHeader(name)))
    // By itself `header` would add to a Set-Cookie that is there, and we have all of it.
    reply.removeHeader(name).header(name, value)
  // As bytes: to text Fastify adds a charset that JSON does not have.
  return reply.code(status).send(body === null ? undefined : Buffer.from(body))
}
