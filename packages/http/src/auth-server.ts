import { ConfigurationError, type RefreshTokens } from '@baton/core'
import type { AccessTokenOption, AccessTokens } from './access-tokens/access-token.js'
import type { JwtAccessTokens } from './access-tokens/jwt.js'
import type { AuthorizationCodes } from './authorization-code.js'
import type { ClientOptions } from './clients/authenticate.js'
import { clientPolicy } from './clients/client-policy.js'
import { type CorsOptions, withCors } from './cors.js'
import { type DpopOptions, proofChecker } from './dpop/dpop.js'
import { demandKnown } from './endpoint.js'
import { introspectionEndpoint } from './endpoints/introspection.js'
import { jwksEndpoint } from './endpoints/jwks.js'
import { loginEndpoint, type LoginOptions } from './endpoints/login.js'
import { logoutEndpoint } from './endpoints/logout.js'
import { revocationEndpoint } from './endpoints/revocation.js'
import { sessionsEndpointBy } from './endpoints/sessions.js'
import { refreshEndpoint } from './endpoints/token.js'
import { issuerUrl } from './issuer.js'
import { type Endpoint, originForm, pathOf, type PlainRequest } from './message.js'
import { metadataOf, metadataPathOf } from './metadata.js'
import type { CookieOptions, EndpointOptions } from './options.js'
import { published } from './published.js'
import { error } from './respond.js'

/** The endpoints, each at a path of its own; `account` has several, which begin with one. */
export type Route =
  'token' | 'revocation' | 'introspection' | 'jwks' | 'login' | 'refresh' | 'logout' | 'account' | 'metadata'

export interface AuthServerOptions extends EndpointOptions, ClientOptions {
  /** Default: that of `accessToken`. */
  readonly issuer?: string
  readonly accessToken: AccessTokenOption
  /** Serves the authorization-code grant. Takes `authorizationEndpoint` as well. */
  readonly codes?: AuthorizationCodes
  /** The URL of your authorize page, for the metadata. */
  readonly authorizationEndpoint?: string
  readonly dpop?: DpopOptions
  /** Lets pages of other origins call the token and the revocation endpoint. */
  readonly cors?: CorsOptions
  readonly accessTokenEndsSession?: boolean
  /**
   * A space-separated scope with which the tokens of any client may list and revoke the sessions of their user. Default: none, so that
   * only the clients of your own app may: those with `firstParty`, the client of the cookie, and the default client of the sign-in.
   */
  readonly sessionsScope?: string
  /** Serves the pages of your own app: refresh and sign-out by a cookie that no script can read. */
  readonly cookie?: CookieOptions | true
  /** Serves the sign-in. */
  readonly authenticate?: LoginOptions['authenticate']
  /** As at the sign-in endpoint. */
  readonly accountName?: NonNullable<LoginOptions['accountName']>
  readonly defaults?: NonNullable<LoginOptions['defaults']>
  /** The scopes that clients may know of, for the metadata. */
  readonly scopes?: readonly string[]
  /**
   * The beginning of the paths, from the root of the origin, for the metadata as well. If the app mounts the handler below a prefix
   * and no client reads the metadata, it may be relative to the prefix. Default `/auth`.
   */
  readonly basePath?: string
  /** Whole paths, instead of those below `basePath`. The path of the metadata follows from the issuer. */
  readonly paths?: Partial<Record<Movable, string>>
}

export interface AuthServer {
  /** What is served, and where. A segment `:id` stands for any. Serve each path with one trailing slash too, as `find` does. */
  readonly routes: readonly { readonly route: Route; readonly paths: readonly string[]; readonly endpoint: Endpoint }[]
  /**
   * Returns the endpoint for the path of a request, or null if the path is not one of this server. `mountPath` is the path at which a
   * router serves this server; it may be the pattern of a route, such as `/x/*`. The paths of the endpoints may then be relative
   * to it. The metadata has one place for each issuer, at the root of the origin (RFC 8414 section 3.1), and is found by its whole path
   * only.
   */
  find(request: Pick<PlainRequest, 'url'>, mountPath?: string): Endpoint | null
  /** Answers every request: 404 for a path that is none of ours. */
  readonly endpoint: Endpoint
}

const KNOWN = [
  ...['rateLimit', 'trustProxy', 'publicUrl', 'onError', 'now', 'clients', 'issuer'],
  ...['assertionAudiences', 'clientCertificates'],
  ...[
    'accessToken',
    'codes',
    'authorizationEndpoint',
    'dpop',
    'cors',
    'accessTokenEndsSession',
    'sessionsScope',
    'cookie',
  ],
  ...['authenticate', 'accountName', 'defaults', 'scopes', 'basePath', 'paths'],
]

type Movable = Exclude<Route, 'metadata'>

const USUAL_PATHS: Readonly<Record<Movable, string>> = {
  token: '/token',
  revocation: '/revoke',
  introspection: '/introspect',
  jwks: '/jwks',
  login: '/login',
  refresh: '/refresh',
  logout: '/logout',
  account: '',
}
const MOVABLE = Object.keys(USUAL_PATHS) as readonly Movable[]
const OF_ACCOUNT = ['/sessions', '/sessions/:id', '/logout-others', '/logout-everywhere']

/**
 * All endpoints over one set of options, and the metadata (RFC 8414) that says which they are: it is derived from what is served,
 * so that it cannot say anything else. Throws `ConfigurationError`.
 */
export function authServer(tokens: RefreshTokens, options: AuthServerOptions): AuthServer {
  demandKnown(options, KNOWN)
  const { accessToken, clients, codes, authorizationEndpoint, cookie, authenticate, cors, scopes = [] } = options
  const issuer = issuerOf(options)
  if ((codes === undefined) !== (authorizationEndpoint === undefined))
    throw new ConfigurationError('authorizationEndpoint', 'and codes: give both, or neither')
  const shared = given(options, ['rateLimit', 'trustProxy', 'onError', 'now'])
  const publicUrl = options.publicUrl ?? new URL(issuer).origin
  const common = { ...shared, publicUrl }
  const ofClients = { ...common, clients, issuer, ...given(options, ['assertionAudiences', 'clientCertificates']) }
  const ownClients = [cookie === true ? undefined : cookie?.clientId, options.defaults?.clientId]
  const policy = clientPolicy({ clients, ownClients })
  const proving = given(options, ['dpop'])
  const readable = isReadable(accessToken) ? { accessToken } : {}
  const forPages = (endpoint: Endpoint) => (cors === undefined ? endpoint : withCors(endpoint, cors))
  const pathOfRoute = pathsOf(options)

  const endpoints: Partial<Record<Route, Endpoint>> = {
    token: forPages(refreshEndpoint(tokens, { ...ofClients, ...proving, accessToken, ...given(options, ['codes']) })),
    revocation: forPages(
      revocationEndpoint(tokens, {
        ...ofClients,
        ...proving,
        ...readable,
        ...given(options, ['accessTokenEndsSession']),
      }),
    ),
    introspection: introspectionEndpoint(tokens, { ...ofClients, ...readable }),
  }
  if (isReadable(accessToken))
    endpoints.account = sessionsEndpointBy(policy, tokens, {
      ...common,
      ...proving,
      ...given(options, ['clientCertificates', 'sessionsScope']),
      verify: accessToken,
    })
  if (hasKeys(accessToken)) endpoints.jwks = jwksEndpoint(accessToken)
  if (cookie !== undefined) {
    endpoints.refresh = refreshEndpoint(tokens, { ...common, ...proving, clients, accessToken, cookie })
    endpoints.logout = logoutEndpoint(tokens, { ...common, ...proving, cookie })
  }
  if (authenticate !== undefined)
    endpoints.login = loginEndpoint(tokens, {
      ...ofClients,
      ...proving,
      accessToken,
      authenticate,
      ...given(options, ['cookie', 'accountName', 'defaults']),
    })
  const urlOf = (route: Movable) => publicUrl.replace(/\/$/, '') + pathOfRoute(route)
  const metadata = metadataOf({
    issuer,
    urls: {
      authorization: authorizationEndpoint,
      token: urlOf('token'),
      revocation: urlOf('revocation'),
      introspection: urlOf('introspection'),
      jwks: endpoints.jwks === undefined ? undefined : urlOf('jwks'),
    },
    authenticatesByKey: !Array.isArray(clients) || clients.some((client) => 'keys' in client),
    seesCertificates: options.clientCertificates !== undefined,
    proofAlgorithms: proofChecker(options.dpop).algorithms,
    scopes,
  })

  const routes: AuthServer['routes'] = [
    { route: 'metadata', paths: [metadataPathOf(issuer)], endpoint: published(() => metadata) },
    ...MOVABLE.flatMap((route) => {
      const endpoint = endpoints[route]
      const path = pathOfRoute(route)
      const paths = route === 'account' ? OF_ACCOUNT.map((below) => path + below) : [path]
      return endpoint === undefined ? [] : [{ route, paths, endpoint }]
    }),
  ]
  demandDistinct(routes.flatMap(({ paths }) => paths))
  const find: AuthServer['find'] = (request, mountPath = '') => {
    const path = pathOf(request).replace(/\/$/, '')
    const relative = pathsBelow(path, mountPath)
    const isFound = ({ route, paths }: AuthServer['routes'][number]) =>
      paths.some(
        (wanted) => isAt(wanted, path) || (route !== 'metadata' && relative.some((each) => isAt(wanted, each))),
      )
    return routes.find(isFound)?.endpoint ?? null
  }
  return {
    routes,
    find,
    endpoint: async (request) => {
      const endpoint = find(request)
      return endpoint === null ? error('not_found', { description: 'Nothing is served here.' }) : endpoint(request)
    },
  }
}

/**
 * Returns what can be the part of a path below the mount point. A pattern does not tell where the mount point ends and the paths of
 * the server begin, so it is every part after one or more of the segments in front of the wildcard.
 */
function pathsBelow(path: string, mountPath: string): readonly string[] {
  const pattern = originForm(mountPath)
    .split('/')
    .filter((segment) => segment !== '')
  const wildcard = pattern.findIndex((segment) => segment.includes('*'))
  const [, ...segments] = path.split('/')
  return pattern
    .slice(0, wildcard === -1 ? undefined : wildcard)
    .map((_, index) => ['', ...segments.slice(index + 1)].join('/'))
}

function isAt(path: string, asked: string): boolean {
  const [wanted, given] = [path.split('/'), asked.split('/')]
  const isSame = (segment: string, index: number) =>
    segment === given[index] || (segment === ':id' && given[index] !== '')
  return wanted.length === given.length && wanted.every(isSame)
}

function issuerOf({ issuer, accessToken }: AuthServerOptions): string {
  const itsOwn = isReadable(accessToken) ? accessToken.issuer : undefined
  const named = issuerUrl().parse(issuer ?? itsOwn, 'issuer')
  if (itsOwn !== undefined && itsOwn !== named)
    throw new ConfigurationError('issuer', 'is another than the one that is written into access tokens; leave it out')
  return named
}

function isReadable(accessToken: AccessTokenOption): accessToken is AccessTokens {
  return typeof accessToken !== 'function'
}

function hasKeys(accessToken: AccessTokenOption): accessToken is JwtAccessTokens {
  return 'jwks' in accessToken && typeof accessToken.jwks === 'function'
}

/** The paths of the routes. Throws `ConfigurationError`. */
function pathsOf({ basePath = '/auth', paths = {} }: AuthServerOptions): (route: Movable) => string {
  demandPath('basePath', basePath)
  demandKnown(paths, MOVABLE)
  for (const [route, path] of Object.entries(paths)) demandPath(`paths.${route}`, path)
  return (route) => paths[route] ?? basePath + USUAL_PATHS[route]
}

function demandPath(option: string, path: unknown): void {
  if (typeof path === 'string' && /^(\/[A-Za-z0-9._~-]+)*$/.test(path)) return
  throw new ConfigurationError(
    option,
    `${JSON.stringify(path)} is not a path such as /auth, without a slash at its end`,
  )
}

function demandDistinct(paths: readonly string[]): void {
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) throw new ConfigurationError('paths', `has ${twice} twice`)
}

/** Those of the options that have been given: an endpoint takes none that is undefined. */
function given<Options extends object, Name extends keyof Options>(
  options: Options,
  names: readonly Name[],
): { [Given in Name]?: Exclude<Options[Given], undefined> } {
  const entries = names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]])
  return Object.fromEntries(entries) as { [Given in Name]?: Exclude<Options[Given], undefined> }
}
