import { createRefreshTokens, type TokenStore } from '@baton/core'
import { generateSigningKey } from '@baton/http'

export type Options = Readonly<Record<string, unknown>>

export interface Entry {
  /** Required options, with valid values. */
  readonly required?: Options
  /** An option with a value of a wrong type. */
  readonly mistyped: readonly [name: string, value: unknown]
  /** The arguments of the call. Default: the options alone. */
  readonly toArguments?: (options: unknown) => readonly unknown[]
}

const method = () => Promise.resolve(null)
const withMethods = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, method]))
const after =
  (...first: unknown[]) =>
  (options: unknown) => [...first, options]

const STORE_METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce']
const store = withMethods(...STORE_METHODS)
const secrets = ['a secret of at least thirty-two bytes']
const tokens = createRefreshTokens({ store: store as object as TokenStore, secrets })
/** One of two options is required, so that neither is a required option. */
const ofSession = (options: unknown) => [{ familyId: 'none', ...(options as Options) }]
const issuer = 'https://login.example'
const reservation = tokens.reserve({ subject: 'alice', expiresInSeconds: 60 })
const code = { subject: 'alice', clientId: 'web', redirectUri: null, codeChallenge: 'c'.repeat(43) }

const revokedSessions = { maxAccessTokenSeconds: 900, whenUnavailable: 'reject' }

const session = withMethods('fetch', 'loginWithGrant')
const callback = 'https://app.example/callback'
const pending = { state: 's', codeVerifier: 'v', redirectUri: callback }

/** The functions that create an endpoint of one kind, by the name of the kind. */
const ENDPOINTS = {
  auth: { required: { accessTokens: method }, mistyped: ['trustProxy', true] },
  refresh: { required: { accessTokens: method }, mistyped: ['clientId', 1] },
  token: { required: { accessTokens: method, clients: [] }, mistyped: ['codes', true] },
  revocation: { required: { clients: [] }, mistyped: ['accessTokenEndsSession', 'yes'] },
  introspection: { required: { clients: [] }, mistyped: ['assertionAudiences', issuer] },
  revocations: { required: { clients: [] }, mistyped: ['maxWaitSeconds', '15'] },
  login: { required: { accessTokens: method, authenticate: method }, mistyped: ['accountName', 'email'] },
  logout: { required: { cookie: true }, mistyped: ['onError', 'log'] },
  sessions: { required: { accessTokens: method }, mistyped: ['sessionsScope', ['sessions']] },
} as const satisfies Readonly<Record<string, Entry>>

const guard: Entry = { required: { accessTokens: method }, mistyped: ['realm', 1] }

/** One entry for each kind of endpoint. */
function endpoints(toName: (kind: string) => string): Readonly<Record<string, Entry>> {
  return Object.fromEntries(
    Object.entries(ENDPOINTS).map(([kind, entry]) => [toName(kind), { ...entry, toArguments: after(tokens) }]),
  )
}

/** The entries of an adapter. */
const adapter = (packageName: string, suffix: 'Handler' | 'Plugin') => ({
  ...endpoints((kind) => `${packageName} ${kind}${suffix}`),
  [`${packageName} requireAccessToken`]: guard,
})

/** The functions that take options, as `package function` or `package/subpath function.method`. */
export const WITH_OPTIONS: Readonly<Record<string, Entry>> = {
  'core createSecondHolderDetector': { mistyped: ['generations', '3'] },
  'core describeToken': { toArguments: after('token'), mistyped: ['tokenPrefix', 1] },
  'core createRefreshTokens': { required: { store, secrets }, mistyped: ['now', 1] },
  'core createRefreshTokens.issue': { required: { subject: 'alice' }, mistyped: ['offline', 'yes'] },
  'core createRefreshTokens.reserve': {
    required: { subject: 'alice', expiresInSeconds: 60 },
    mistyped: ['metadata', 'phone'],
  },
  'core createRefreshTokens.redeem': {
    required: { reservation, matches: true },
    mistyped: ['maxLifetimeSeconds', '60'],
  },
  // A missing refresh token is rejected and not a fault of the app.
  'core createRefreshTokens.rotate': { mistyped: ['confidential', 'yes'] },
  'core createRefreshTokens.revoke': { toArguments: ofSession, mistyped: ['reason', 'because'] },
  'core createRefreshTokens.revokeSubject': { toArguments: after('alice'), mistyped: ['keepOffline', 'yes'] },
  'core createRefreshTokens.list': { required: { subject: 'alice' }, mistyped: ['limit', '50'] },
  'core createRefreshTokens.listRevoked': { mistyped: ['maxAgeSeconds', '900'] },
  'core createRefreshTokens.inspect': { toArguments: after('token'), mistyped: ['legacyOnly', 'yes'] },
  'core createRefreshTokens.consumeOnce': {
    required: { purpose: 'dpop', key: 'jti', expiresAt: 1 },
    mistyped: ['expiresAt', new Date(1)],
  },

  'core/store batchCalls': {
    required: { max: 1, runOne: method },
    toArguments: after(method),
    mistyped: ['isRetryable', true],
  },
  'core/store conditionalWrites': {
    required: { ...withMethods('insert', 'rotate', 'revoke', 'find'), caller: 'myStore', advice: 'check the triggers' },
    mistyped: ['caller', 1],
  },
  'core/store purgeInSteps': {
    required: { maxRows: 1, deleteByIndex: [], ranges: method, deleteInRange: method },
    mistyped: ['maxRows', '100'],
  },

  ...endpoints((kind) => (kind === 'auth' ? 'http authServer' : `http ${kind}Endpoint`)),
  'http accessTokenGuard': guard,
  'http authorizationCodes': {
    required: { issuer, secrets },
    toArguments: after(tokens),
    mistyped: ['lifetimeSeconds', '60'],
  },
  'http authorizationCodes.issue': { required: code, mistyped: ['metadata', 'phone'] },
  'http csrfGuard': { mistyped: ['trustProxy', true] },
  'http defineAdapter': { required: { mount: method, serve: method }, mistyped: ['serve', {}] },
  ...endpoints((kind) => `http defineAdapter.${kind}Handler`),
  'http introspectedAccessTokens': {
    required: { clientId: 'api', clientSecret: 'secret' },
    toArguments: (options) => [{ issuer, ...(options as Options) }],
    mistyped: ['cacheSeconds', '10'],
  },
  'http jwtAccessTokens': {
    required: { issuer, audience: issuer, keys: [generateSigningKey()] },
    mistyped: ['lifetimeSeconds', '60'],
  },
  'http rateLimits': { mistyped: ['points', '60'] },
  'http readJson': { toArguments: after({ headers: {} }), mistyped: ['acceptsEmpty', 'yes'] },
  'http localRevocations': {
    required: { ...revokedSessions },
    mistyped: ['pollSeconds', '1'],
    toArguments: after(tokens),
  },
  'http remoteAccessTokens': { required: { issuer, audience: issuer }, mistyped: ['timeoutSeconds', '5'] },
  'http remoteRevocations': {
    required: {
      ...revokedSessions,
      url: 'http://127.0.0.1:9/revocations',
      clientId: 'api',
      clientSecret: 'secret',
    },
    mistyped: ['waitSeconds', '5'],
  },
  'http requestCounter': { toArguments: after(tokens), mistyped: ['publicUrl', 'login.example'] },
  'http sealedAccessTokens': {
    required: { issuer, audience: issuer, secrets },
    mistyped: ['lifetimeSeconds', '60'],
  },
  'http toWebHandler': { toArguments: after(method), mistyped: ['remoteAddress', '192.0.2.1'] },
  'http webGuard': { toArguments: after(method), mistyped: ['remoteAddress', '192.0.2.1'] },
  'http withCors': {
    required: { origins: [] },
    toArguments: after(method),
    mistyped: ['origins', 'https://app.example'],
  },

  ...adapter('express', 'Handler'),
  ...adapter('koa', 'Handler'),
  ...adapter('hono', 'Handler'),
  ...adapter('fastify', 'Plugin'),
  'fastify baton': {
    required: { tokens, accessTokens: method },
    toArguments: after({ register: method }),
    mistyped: ['guard', 'yes'],
  },

  'client createSession': {
    required: { endpoints: { connect: () => ({}), origin: issuer } },
    mistyped: ['lockTimeoutSeconds', '15'],
  },
  'client createSession.fetch': { toArguments: after('https://api.example', {}), mistyped: ['replay', 'yes'] },
  'client createSession.getAccessToken': { mistyped: ['signal', 'abort'] },
  'client/authorization beginAuthorization': {
    required: { authorizationEndpoint: issuer, clientId: 'web', redirectUri: callback },
    mistyped: ['parameters', 'prompt=login'],
  },
  'client/authorization loginWithCode': {
    required: { url: callback, pending },
    toArguments: after(session),
    mistyped: ['save', true],
  },
  'client/cookie cookieEndpoints': {
    required: { refreshEndpoint: `${issuer}/refresh`, logoutEndpoint: `${issuer}/logout` },
    mistyped: ['shareAccessToken', 'yes'],
  },
  'client/discovery discover': { toArguments: after(issuer), mistyped: ['environment', method] },
  'client/dpop dpop': { mistyped: ['name', 1] },
  'client/dpop dpop.prove': {
    required: { method: 'GET', url: issuer, accessToken: null },
    mistyped: ['isBound', 'yes'],
  },
  'client/file sessionFile': { toArguments: after('session.json'), mistyped: ['staleSeconds', '10'] },
  'client/indexed-db indexedDbStorage': { mistyped: ['key', 1] },
  'client/oauth oauthEndpoints': {
    required: { tokenEndpoint: `${issuer}/token`, clientId: 'web' },
    mistyped: ['errorCode', 'invalid_grant'],
  },
  'client/web-storage webStorage': { mistyped: ['area', 'tab'] },

  'console consoleEndpoint': {
    required: { authorize: method, log: withMethods('record', 'eventsOf', 'familiesOf', 'counts') },
    mistyped: ['trustProxy', true],
    toArguments: after({}),
  },
  'console memoryEventLog': { mistyped: ['maxFamilies', '1000'] },
  'import sqlTokens': { required: { query: method, find: 'SELECT' }, mistyped: ['matches', '^a$'] },
  'import redisTokens': {
    required: { client: withMethods('get', 'del', 'pttl'), matches: /^[0-9a-f]{80}$/ },
    mistyped: ['moved', true],
  },
  'import jwtTokens': {
    required: { key: secrets[0], algorithms: ['HS256'], isRevoked: null },
    mistyped: ['algorithms', 'HS256'],
  },
  'import oidcProviderTokens': { required: { adapter: method }, mistyped: ['subject', 'sub'] },
  'opentelemetry accessTokenCacheMetrics': { toArguments: after(method), mistyped: ['meterProvider', {}] },
  'opentelemetry eventMetrics': { mistyped: ['clientIds', 'web'] },
  'opentelemetry observedStore': { toArguments: after(store), mistyped: ['meterProvider', {}] },
  'opentelemetry observedEndpoint': { toArguments: after('token', method), mistyped: ['tracerProvider', {}] },
  'store-memory memoryStore': { mistyped: ['maxFamilies', 'many'] },
  'store-postgres postgresStore': { toArguments: after({ query: method }), mistyped: ['namedStatements', 'yes'] },
  'store-redis redisStore': {
    toArguments: after(withMethods('evalsha', 'eval', 'pipeline')),
    mistyped: ['prefix', 1],
  },
  'store-testkit tokenStoreCases': { toArguments: after(method), mistyped: ['deletion', 'never'] },
  'store-testkit linearizabilityCases': { toArguments: after(method), mistyped: ['callers', '2'] },
  'store-testkit modelCases': { toArguments: after(method), mistyped: ['runs', '30'] },
}

/** Functions whose arguments are values and not named options, by module. */
const ARGUMENTS_ONLY: Readonly<Record<string, string>> = {
  cli: 'run',
  client: `memoryStorage createEnvironment createSession.login createSession.loginWithGrant createSession.logout createSession.on
    createSession.snapshot createSession.start createSession.dispose`,
  'client/axios': 'attachSession',
  'client/cross-tab': 'crossTabSync localLock',
  'client/dpop': 'dpop.fetch dpop.send dpop.thumbprint',
  'client/ky': 'withSession',
  'client/logout-everywhere': 'logoutEverywhere',
  'client/react': 'useSession',
  console: 'historyOf',
  core: `auditLog callObserver serializeConfirmation describeFailure includesResource isSameResource isWithin normalizeResource parseScope
    isSameConfirmation createRefreshTokens.find createRefreshTokens.isAuthentic createRefreshTokens.onRevoked
    createRefreshTokens.purge`,
  'core/options': `boolean checkedObject describeValue func instant listOf literalOr matching nearestName nested nullable objectWith
    oneOf optional plainObject required rule scopeText secret secretRing untrusted withDefault`,
  'core/store': `appendRevocation applyRevocation applyRotation compareNewestFirst conditionalWrites.create conditionalWrites.revoke
    conditionalWrites.rotate decodeCursor decodeLogCursor deletableAt encodeCursor encodeLogCursor errorCode errorMessage expiryAt
    fromRow invalidLogCursor isAlive nextBatch pageOf pageOfLog positionOf rotationApplies toCurrentColumns toLogPage toPage toRow toValues`,
  express: 'handler jwksHandler',
  fastify: 'endpointPlugin jwksPlugin',
  hono: 'handler jwksHandler',
  http: `accessTokenCacheStats authServer.endpoint authServer.find authorizationCodes.open certificateToJwk defineAdapter.jwksHandler deriveSigningKey
    generateSigningKey hashClientSecret jwksEndpoint jwtAccessTokens.jwks mergeHeaders toNodeHandler writeNodeResponse`,
  koa: 'handler jwksHandler',
  'store-postgres': 'migrationSql postgresStore.migrate postgresStore.within',
  'store-redis': 'redisStore.check',
  'store-sqlite': 'sqliteStore',
  'store-testkit': `crashCases describeHistory isLinearizable recorder withChanges familyOf rotationOf successorOf`,
}

export const WITHOUT_OPTIONS = Object.entries(ARGUMENTS_ONLY).flatMap(([module, names]) =>
  names.split(/\s+/).map((name) => `${module} ${name}`),
)

/** Functions that take named options and do not check them, with the reason. */
export const UNCHECKED: Readonly<Record<string, string>> = {
  'client checkOptions': 'the check itself: its declarations are checked by the compiler',
  'core/options declareOptions': 'the declaration itself: its names are those of the options that it declares',
  'core/options integer': 'part of a declaration',
  'core/options seconds': 'part of a declaration',
  'core/options text': 'part of a declaration',
  'core/store assertClient': 'a check itself, called with constants',
  'core/store retryOnConflict': 'called for every command of a store, with constants',
  'http handleNodeRequest': 'called by adapters for every request, with options that they have built',
  'http readNodeRequest': 'called by adapters for every request, with options that they have built',
}

/** Interfaces whose methods Baton calls, each by a method that no other interface has. Functions that return them need no entries. */
export const CONTRACTS: Readonly<Record<string, readonly string[]>> = {
  claimOnce: STORE_METHODS,
  statusOf: ['statusOf', 'ageSeconds', 'size', 'ready', 'close'],
  lookup: ['normalize', 'lookup', 'onMigrated'],
  swap: ['read', 'swap', 'lock', 'announce', 'listen'],
  connect: ['connect', 'redact', 'refresh', 'revoke', 'exchange'],
  eventsOf: ['record', 'eventsOf', 'familiesOf', 'counts'],
  mint: ['mint', 'verify', 'read', 'cacheVersion', 'verifyForCache'],
  countRequest: [
    'authenticateClient',
    'authenticateUser',
    'countAccountRequest',
    'countRefresh',
    'countRequest',
    'countSignIn',
  ],
  verify: ['verify', 'cacheVersion', 'verifyForCache'],
}
