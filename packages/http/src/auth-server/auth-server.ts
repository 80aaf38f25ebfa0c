import { ConfigurationError, type RefreshTokens } from '@baton/core'
import {
  boolean,
  declareOptions,
  listOf,
  matching,
  nested,
  optional,
  type OptionsOf,
  text,
  withDefault,
} from '@baton/core/options'
import type { AccessTokenOption, AccessTokens } from '../access-tokens/access-token.js'
import type { JwtAccessTokens } from '../access-tokens/jwt.js'
import { cookieOption } from '../cookies/refresh-token-cookie.js'
import { clientOptions } from '../clients/authenticate.js'
import { clientPolicy } from '../clients/client-policy.js'
import { mayHaveAuthMethod } from '../clients/registry.js'
import { corsOptions, withCors } from '../pipeline/cors.js'
import { proofChecker } from '../proof-of-possession/dpop/proof-checker.js'
import { introspectionEndpoint } from '../endpoints/introspection.js'
import { jwksEndpoint } from '../endpoints/jwks.js'
import { loginEndpoint, loginOptions } from '../endpoints/login.js'
import { logoutEndpoint } from '../endpoints/logout.js'
import { refreshEndpoint } from '../endpoints/refresh.js'
import { revocationEndpoint } from '../endpoints/revocation.js'
import { revocationsEndpoint, revocationsOptions } from '../endpoints/revocations.js'
import { sessionsEndpointBy } from '../endpoints/sessions.js'
import { codesField, dpopField, issuedAccessTokens, scopeText } from '../endpoints/shared-options.js'
import { tokenEndpoint } from '../endpoints/token.js'
import { type Endpoint, originForm, getPath, type PlainRequest } from '../messages/message.js'
import { createMetadata, getMetadataPath } from './metadata.js'
import { endpointOptions } from '../pipeline/options.js'
import { publicDocument } from '../messages/public-document.js'
import { error } from '../messages/responses.js'

/** The endpoints. Each has one path, except `account`, which has several below one path. */
export type Route =
  | 'token'
  | 'revocation'
  | 'introspection'
  | 'revocations'
  | 'jwks'
  | 'login'
  | 'refresh'
  | 'logout'
  | 'account'
  | 'metadata'

/** A path without a slash at its end. */
const path = () =>
  matching(/^(\/[A-Za-z0-9._~-]+)*$/, 'a path such as "/auth"', 'start it with a slash and end it without one')

const pathsOptions = declareOptions({
  token: optional(path()),
  revocation: optional(path()),
  introspection: optional(path()),
  revocations: optional(path()),
  jwks: optional(path()),
  login: optional(path()),
  refresh: optional(path()),
  logout: optional(path()),
  account: optional(path()),
})

/** The declaration of the options of `authServer`, for adapters that extend it. */
export const authServerOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /**
   * The registered OAuth clients. With them the token, revocation and introspection endpoints and the metadata are served. Default: none,
   * for a server that only your own pages and apps use.
   */
  clients: optional(clientOptions.fields.clients.rule),
  /** The issuer of this server, in its metadata and for assertions of clients. Default: that of `accessTokens`. */
  issuer: clientOptions.fields.issuer,
  accessTokens: issuedAccessTokens,
  /** Serves the authorization-code grant. Requires `authorizationEndpoint`. */
  codes: codesField,
  /** The URL of your authorization page, for the metadata. */
  authorizationEndpoint: optional(text({ maxBytes: 2048 })),
  dpop: dpopField,
  /** Lets pages of other origins call the token endpoint and the revocation endpoint. */
  cors: optional(nested(corsOptions)),
  /** As at the revocation endpoint. */
  accessTokenEndsSession: optional(boolean()),
  /**
   * A space-separated scope with which the tokens of any client may list and revoke the sessions of their user. Default: none, so that
   * only first-party clients may: those with `firstParty`, the client of the cookie, and the default client of logins.
   */
  sessionsScope: optional(scopeText()),
  /** Serves the pages of your own app: refresh and logout by a cookie that no script can read. */
  cookie: optional(cookieOption()),
  /** Serves the login. */
  authenticate: optional(loginOptions.fields.authenticate.rule),
  /** As at the login endpoint. */
  accountName: loginOptions.fields.accountName,
  /** As at the login endpoint. */
  defaults: loginOptions.fields.defaults,
  /** As at the revocations endpoint: ends the requests that wait for revocations. */
  shutdown: revocationsOptions.fields.shutdown,
  /** The scopes that clients may know, for the metadata. */
  scopes: withDefault(listOf(text()), []),
  /**
   * The start of all paths, from the root of the origin; also in the metadata. If the app mounts the handler below a prefix and no client
   * reads the metadata, it may be relative to the prefix. Default `/auth`.
   */
  basePath: withDefault(path(), '/auth'),
  /**
   * Whole paths, instead of those below `basePath`, such as `{ token: '/oauth/token' }`. The path of the metadata is derived from the issuer.
   */
  paths: optional(nested(pathsOptions)),
})

export type AuthServerOptions = OptionsOf<typeof authServerOptions>

type ResolvedOptions = ReturnType<typeof authServerOptions.parse>

export interface AuthServer {
  /** The endpoints and their paths. A segment `:id` matches any text. Serve each path with a trailing slash too, as `find` does. */
  readonly routes: readonly { readonly route: Route; readonly paths: readonly string[]; readonly endpoint: Endpoint }[]
  /**
   * Returns the endpoint for the path of a request, or null if the path is not one of this server. `mountPath` is the path at which a
   * router serves this server; it may be the pattern of a route, such as `/x/*`. The paths of the endpoints may then be relative
   * to it. The metadata has a fixed path at the root of the origin (RFC 8414 section 3.1), which is never relative.
   */
  find(request: Pick<PlainRequest, 'url'>, mountPath?: string): Endpoint | null
  /** Serves all paths, and responds with 404 to others. */
  readonly endpoint: Endpoint
}

type Movable = Exclude<Route, 'metadata'>

const DEFAULT_PATHS: Readonly<Record<Movable, string>> = {
  token: '/token',
  revocation: '/revoke',
  introspection: '/introspect',
  revocations: '/revocations',
  jwks: '/jwks',
  login: '/login',
  refresh: '/refresh',
  logout: '/logout',
  account: '',
}
const MOVABLE = Object.keys(DEFAULT_PATHS) as readonly Movable[]
const ACCOUNT_PATHS = ['/sessions', '/sessions/:id', '/logout-others', '/logout-everywhere']

/**
 * Creates all endpoints from one set of options: those for your own pages and apps and, with `clients`, those of an OAuth authorization
 * server, whose metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414)) is derived from what is served. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { authServer, toNodeHandler } from '@baton/http'
 * import { createServer } from 'node:http'
 *
 * const authenticate = async () => ({ subject: 'user-1' }) // your own check of name and password
 * const server = authServer(tokens, { accessTokens, cookie: true, authenticate })
 * createServer(toNodeHandler(server.endpoint)).listen(3000, '127.0.0.1')
 * ```
 */
export function authServer(tokens: RefreshTokens, options: AuthServerOptions): AuthServer {
  const resolved = authServerOptions.parse('authServer', options)
  assertCodes(resolved)
  const issuer = findIssuer(resolved)
  const publicUrl = resolved.publicUrl ?? (issuer === undefined ? undefined : new URL(issuer).origin)
  const shared: Shared = { ...resolved, issuer, publicUrl }
  const pathOfRoute = (route: Movable) => resolved.paths?.[route] ?? resolved.basePath + DEFAULT_PATHS[route]
  const endpoints = { ...ownEndpoints(tokens, shared), ...oauthEndpoints(tokens, shared) }
  const routes: AuthServer['routes'] = [
    ...metadataRoutes(shared, pathOfRoute),
    ...MOVABLE.flatMap((route) => {
      const endpoint = endpoints[route]
      const path = pathOfRoute(route)
      const paths = route === 'account' ? ACCOUNT_PATHS.map((below) => path + below) : [path]
      return endpoint === undefined ? [] : [{ route, paths, endpoint }]
    }),
  ]
  assertDistinct(routes.flatMap(({ paths }) => paths))
  const find: AuthServer['find'] = (request, mountPath = '') => findEndpoint(routes, request, mountPath)
  return {
    routes,
    find,
    endpoint: async (request) => {
      const endpoint = find(request)
      return endpoint === null ? error('not_found', { description: 'Nothing is served here.' }) : endpoint(request)
    },
  }
}

/** The options of a server, with what is derived from them. */
interface Shared extends Omit<ResolvedOptions, 'issuer' | 'publicUrl'> {
  readonly issuer: string | undefined
  readonly publicUrl: string | undefined
}

type Endpoints = Partial<Record<Route, Endpoint>>

function toEndpointOptions({ rateLimit, trustProxy, publicUrl, onError, now }: Shared) {
  return { rateLimit, trustProxy, publicUrl, onError, now }
}

/** The endpoints for your own pages and apps, and the keys of access tokens. */
function ownEndpoints(tokens: RefreshTokens, shared: Shared): Endpoints {
  const { accessTokens, clients, cookie, dpop, authenticate, accountName, defaults, issuer } = shared
  const { assertionAudiences, clientCertificates, sessionsScope } = shared
  const common = { ...toEndpointOptions(shared), dpop }
  const endpoints: Endpoints = {}
  if (isReadable(accessTokens)) {
    const policy = clientPolicy({ clients, ownClients: [cookie?.clientId, defaults.clientId] })
    const guarding = { clientCertificates, sessionsScope, accessTokens }
    endpoints.account = sessionsEndpointBy(policy, tokens, { ...common, ...guarding })
  }
  if (hasKeys(accessTokens)) endpoints.jwks = jwksEndpoint(accessTokens)
  if (cookie !== undefined || authenticate !== undefined || clients === undefined) {
    const { clientId } = defaults
    endpoints.refresh = refreshEndpoint(tokens, { ...common, clients, accessTokens, cookie, clientId })
  }
  if (cookie !== undefined) endpoints.logout = logoutEndpoint(tokens, { ...common, cookie })
  if (authenticate !== undefined) {
    const authentication = { clients, issuer, assertionAudiences, clientCertificates }
    const login = { accessTokens, authenticate, accountName, defaults, cookie }
    endpoints.login = loginEndpoint(tokens, { ...common, ...authentication, ...login })
  }
  return endpoints
}

/** The endpoints of OAuth; none without registered clients. */
function oauthEndpoints(tokens: RefreshTokens, shared: Shared): Endpoints {
  const { accessTokens, clients, issuer, assertionAudiences, clientCertificates, codes, dpop, cors } = shared
  if (clients === undefined) return {}
  const common = {
    ...toEndpointOptions(shared),
    ...{ clients, issuer, assertionAudiences, clientCertificates },
  }
  const readable = isReadable(accessTokens) ? accessTokens : undefined
  const { accessTokenEndsSession, shutdown } = shared
  const withPageAccess = (endpoint: Endpoint) => (cors === undefined ? endpoint : withCors(endpoint, cors))
  return {
    token: withPageAccess(tokenEndpoint(tokens, { ...common, accessTokens, codes, dpop })),
    revocation: withPageAccess(
      revocationEndpoint(tokens, { ...common, accessTokens: readable, accessTokenEndsSession, dpop }),
    ),
    introspection: introspectionEndpoint(tokens, { ...common, accessTokens: readable }),
    revocations: revocationsEndpoint(tokens, { ...common, shutdown }),
  }
}

/** The metadata of an OAuth server; none without registered clients. */
function metadataRoutes(shared: Shared, pathOfRoute: (route: Movable) => string): AuthServer['routes'] {
  const { issuer, clients, publicUrl, accessTokens, authorizationEndpoint, clientCertificates, dpop, scopes } = shared
  if (clients === undefined || issuer === undefined || publicUrl === undefined) return []
  const getUrl = (route: Movable) => publicUrl.replace(/\/$/, '') + pathOfRoute(route)
  const metadata = createMetadata({
    issuer,
    urls: {
      authorization: authorizationEndpoint,
      token: getUrl('token'),
      revocation: getUrl('revocation'),
      introspection: getUrl('introspection'),
      jwks: hasKeys(accessTokens) ? getUrl('jwks') : undefined,
    },
    authenticatesByKey: mayHaveAuthMethod(clients, 'private_key_jwt'),
    seesCertificates: clientCertificates !== undefined,
    proofAlgorithms: proofChecker(dpop).algorithms,
    scopes,
  })
  return [{ route: 'metadata', paths: [getMetadataPath(issuer)], endpoint: publicDocument(() => metadata) }]
}

function findEndpoint(
  routes: AuthServer['routes'],
  request: Pick<PlainRequest, 'url'>,
  mountPath: string,
): Endpoint | null {
  const path = getPath(request).replace(/\/$/, '')
  const relative = pathsBelow(path, mountPath)
  const isFound = ({ route, paths }: AuthServer['routes'][number]) =>
    paths.some(
      (pattern) =>
        matchesPath(pattern, path) || (route !== 'metadata' && relative.some((each) => matchesPath(pattern, each))),
    )
  return routes.find(isFound)?.endpoint ?? null
}

/**
 * Returns the possible parts of a path below the mount point. A pattern does not show where the mount point ends and the paths of
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

function matchesPath(pattern: string, path: string): boolean {
  const [expected, given] = [pattern.split('/'), path.split('/')]
  const matches = (segment: string, index: number) =>
    segment === given[index] || (segment === ':id' && given[index] !== '')
  return expected.length === given.length && expected.every(matches)
}

/** Throws `ConfigurationError` if the authorization-code grant lacks one of its parts. */
function assertCodes({ codes, authorizationEndpoint, clients }: ResolvedOptions): void {
  if ((codes === undefined) !== (authorizationEndpoint === undefined))
    throw new ConfigurationError('authorizationEndpoint', 'must be set if and only if codes is set')
  if (codes !== undefined && clients === undefined)
    throw new ConfigurationError('clients', 'must be set if codes is set; only registered clients can redeem a code')
}

/** Returns the issuer; undefined if nothing needs it. Throws `ConfigurationError` if it is missing, or is not that of the access tokens. */
function findIssuer({ issuer, accessTokens, clients }: ResolvedOptions): string | undefined {
  const ofAccessTokens = isReadable(accessTokens) ? accessTokens.issuer : undefined
  const found = issuer ?? ofAccessTokens
  if (found === undefined && clients !== undefined)
    throw new ConfigurationError('issuer', 'must be set if access tokens are issued by a function')
  if (ofAccessTokens !== undefined && ofAccessTokens !== found)
    throw new ConfigurationError(
      'issuer',
      `must be the issuer of accessTokens, ${ofAccessTokens}, got ${String(found)}; omit it`,
    )
  return found
}

function isReadable(accessTokens: AccessTokenOption): accessTokens is AccessTokens {
  return typeof accessTokens !== 'function'
}

function hasKeys(accessTokens: AccessTokenOption): accessTokens is JwtAccessTokens {
  return 'jwks' in accessTokens && typeof accessTokens.jwks === 'function'
}

function assertDistinct(paths: readonly string[]): void {
  const repeated = paths.find((path, index) => paths.indexOf(path) !== index)
  if (repeated !== undefined) throw new ConfigurationError('paths', `must differ, got ${repeated} twice`)
}
