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
import type { AccessTokenOption, AccessTokens } from './access-tokens/access-token.js'
import type { JwtAccessTokens } from './access-tokens/jwt.js'
import { cookieOption } from './carrier.js'
import { clientOptions } from './clients/authenticate.js'
import { clientPolicy } from './clients/client-policy.js'
import { mayHaveAuthMethod } from './clients/registry.js'
import { corsOptions, withCors } from './cors.js'
import { proofChecker } from './proof-of-possession/dpop/proof-checker.js'
import { introspectionEndpoint } from './endpoints/introspection.js'
import { jwksEndpoint } from './endpoints/jwks.js'
import { loginEndpoint, loginOptions } from './endpoints/login.js'
import { logoutEndpoint } from './endpoints/logout.js'
import { revocationEndpoint } from './endpoints/revocation.js'
import { sessionsEndpointBy } from './endpoints/sessions.js'
import { codesField, dpopField, issuedAccessTokens, scopeText } from './endpoints/shared-options.js'
import { refreshEndpoint } from './endpoints/token.js'
import { type Endpoint, originForm, pathOf, type PlainRequest } from './message.js'
import { metadataOf, metadataPathOf } from './metadata.js'
import { endpointOptions } from './options.js'
import { published } from './published.js'
import { error } from './respond.js'

/** The endpoints, each at a path of its own; `account` has several, which begin with one. */
export type Route =
  'token' | 'revocation' | 'introspection' | 'jwks' | 'login' | 'refresh' | 'logout' | 'account' | 'metadata'

/** A path without a slash at its end. */
const path = () =>
  matching(/^(\/[A-Za-z0-9._~-]+)*$/, 'a path such as "/auth"', 'start it with a slash and end it without one')

const pathsOptions = declareOptions({
  token: optional(path()),
  revocation: optional(path()),
  introspection: optional(path()),
  jwks: optional(path()),
  login: optional(path()),
  refresh: optional(path()),
  logout: optional(path()),
  account: optional(path()),
})

export const authServerOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /** Default: the issuer of `accessTokens`. */
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
  /** The scopes that clients may know, for the metadata. */
  scopes: withDefault(listOf(text()), []),
  /**
   * The start of all paths, from the root of the origin; also in the metadata. If the app mounts the handler below a prefix and no client
   * reads the metadata, it may be relative to the prefix. Default `/auth`.
   */
  basePath: withDefault(path(), '/auth'),
  /** Whole paths, instead of those below `basePath`. The path of the metadata is derived from the issuer. */
  paths: optional(nested(pathsOptions)),
})

export type AuthServerOptions = OptionsOf<typeof authServerOptions>

type ResolvedOptions = ReturnType<typeof authServerOptions.parse>

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
  const resolved = authServerOptions.parse('authServer', options)
  const { accessTokens, clients, codes, authorizationEndpoint, cookie, cors, scopes, dpop } = resolved
  const issuer = issuerOf(resolved)
  if ((codes === undefined) !== (authorizationEndpoint === undefined))
    throw new ConfigurationError('authorizationEndpoint', 'must be set if and only if codes is set')
  const { rateLimit, trustProxy, onError, now, assertionAudiences, clientCertificates } = resolved
  const publicUrl = resolved.publicUrl ?? new URL(issuer).origin
  const common = { rateLimit, trustProxy, onError, now, publicUrl, dpop }
  const { dpop: _dpop, ...withoutDpop } = common
  const clientAuthentication = { clients, issuer, assertionAudiences, clientCertificates }
  const policy = clientPolicy({ clients, ownClients: [cookie?.clientId, resolved.defaults.clientId] })
  const readable = isReadable(accessTokens) ? accessTokens : undefined
  const withPageAccess = (endpoint: Endpoint) => (cors === undefined ? endpoint : withCors(endpoint, cors))
  const pathOfRoute = pathsOf(resolved)

  const endpoints: Partial<Record<Route, Endpoint>> = {
    token: withPageAccess(refreshEndpoint(tokens, { ...common, ...clientAuthentication, accessTokens, codes })),
    revocation: withPageAccess(
      revocationEndpoint(tokens, {
        ...common,
        ...clientAuthentication,
        accessTokens: readable,
        accessTokenEndsSession: resolved.accessTokenEndsSession,
      }),
    ),
    introspection: introspectionEndpoint(tokens, { ...withoutDpop, ...clientAuthentication, accessTokens: readable }),
  }
  if (readable !== undefined)
    endpoints.account = sessionsEndpointBy(policy, tokens, {
      ...common,
      clientCertificates,
      sessionsScope: resolved.sessionsScope,
      accessTokens: readable,
    })
  if (hasKeys(accessTokens)) endpoints.jwks = jwksEndpoint(accessTokens)
  if (cookie !== undefined) {
    endpoints.refresh = refreshEndpoint(tokens, { ...common, clients, accessTokens, cookie })
    endpoints.logout = logoutEndpoint(tokens, { ...common, cookie })
  }
  if (resolved.authenticate !== undefined)
    endpoints.login = loginEndpoint(tokens, {
      ...common,
      ...clientAuthentication,
      accessTokens,
      authenticate: resolved.authenticate,
      accountName: resolved.accountName,
      defaults: resolved.defaults,
      cookie,
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
    authenticatesByKey: mayHaveAuthMethod(clients, 'private_key_jwt'),
    seesCertificates: clientCertificates !== undefined,
    proofAlgorithms: proofChecker(dpop).algorithms,
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

function issuerOf({ issuer, accessTokens }: ResolvedOptions): string {
  const ofAccessTokens = isReadable(accessTokens) ? accessTokens.issuer : undefined
  const named = issuer ?? ofAccessTokens
  if (named === undefined)
    throw new ConfigurationError('issuer', 'must be set if access tokens are issued by a function')
  if (ofAccessTokens !== undefined && ofAccessTokens !== named)
    throw new ConfigurationError(
      'issuer',
      `must be the issuer of accessTokens, ${ofAccessTokens}, got ${named}; omit it`,
    )
  return named
}

function isReadable(accessTokens: AccessTokenOption): accessTokens is AccessTokens {
  return typeof accessTokens !== 'function'
}

function hasKeys(accessTokens: AccessTokenOption): accessTokens is JwtAccessTokens {
  return 'jwks' in accessTokens && typeof accessTokens.jwks === 'function'
}

function pathsOf({ basePath, paths }: ResolvedOptions): (route: Movable) => string {
  return (route) => paths?.[route] ?? basePath + USUAL_PATHS[route]
}

function demandDistinct(paths: readonly string[]): void {
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) throw new ConfigurationError('paths', `has ${twice} twice`)
}
