import {
  type AccessTokenClaims,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  answerNodeRequest,
  type AuthServer,
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

declare module 'fastify' {
  interface FastifyRequest {
    /** What the access token says; set by `requireAccessToken`. */
    auth?: AccessTokenClaims
  }
}

export const {
  authHandler,
  refreshHandler,
  revocationHandler,
  introspectionHandler,
  jwksHandler,
  loginHandler,
  logoutHandler,
  sessionsHandler,
} = defineAdapter<FastifyPluginCallback>({ mount, serve })

/** Mounts an endpoint at the `prefix` and below, for every method: `app.register(handler(endpoint), { prefix: '/somewhere' })`. */
export function handler(endpoint: Endpoint): FastifyPluginCallback {
  return mount(endpoint, 'subtree')
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
