import { createHash } from 'node:crypto'
import { createRefreshTokens, type RefreshTokens, type TokenStore } from '@baton/core'
import {
  type AccessTokenClaims,
  type AccessTokenFunction,
  type AccessTokens,
  type AuthorizationCodes,
  authorizationCodes,
  LoginRequestError,
  type Endpoint,
  type EndpointOptions,
  type LoginOptions,
  rateLimits,
  type StaticClient,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import type { Adapter } from './adapter.js'
import { SERVICE_KEY } from './assertions.js'

export const NOW = Date.parse('2031-05-01T12:00:00Z')
export const ISSUER = 'https://issuer.example/whole'
export const BACKEND_SECRET = 'backend-secret-backend-secret'

/** Not a real secret. */
const NONCE = { secrets: ['a fixed secret for the nonces of these tests'], required: true }
const CODE_SECRET = 'a fixed secret for the codes of these tests'
/** RFC 7636 appendix B. */
const CODE_CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const PUBLISHED_KEY = { kty: 'OKP', kid: 'one', alg: 'EdDSA', use: 'sig', crv: 'Ed25519', x: 'AA' } as const
const DAY_MS = 86_400_000
const CLIENTS: readonly StaticClient[] = [
  { clientId: 'web', firstParty: true },
  { clientId: 'other' },
  { clientId: 'codes-only', grantTypes: ['authorization_code'] },
  { clientId: 'backend', secret: BACKEND_SECRET },
  { clientId: 'api', secret: BACKEND_SECRET, introspectionAudiences: ['https://api.example'] },
]

/** The handlers and tokens of one server. Clock and randomness are fixed, so that all servers send identical bytes. */
export interface World {
  /** Refresh tokens and codes by name. */
  readonly issued: Readonly<Record<string, string>>
  /** Creates all handlers with an adapter. */
  mounts<Handler, Guard>(adapter: Adapter<Handler, Guard>): Mounts<Handler, Guard>
}

export interface Mounts<Handler, Guard> {
  /** Handles all other paths: those below `/whole` and the metadata. */
  readonly whole: Handler
  /** Mount each at exactly this path. */
  readonly exact: readonly (readonly [path: string, handler: Handler])[]
  /** Mount each for all paths that start with this one. */
  readonly below: readonly (readonly [path: string, handler: Handler])[]
  /** Mount each before a handler that responds with `auth.sub` as plain text. */
  readonly guards: readonly (readonly [path: string, guard: Guard])[]
}

/** The headers of a request, as the middleware of a framework can change them. */
export interface EditableHeaders {
  get(name: string): string | null | undefined
  set(name: string, value: string): void
  delete(name: string): void
}

/**
 * The middleware that every server runs before its handlers: `X-Edit: authorization` removes that header, and
 * `X-Edit: authorization=Bearer x` sets it.
 */
export function editHeaders(headers: EditableHeaders): void {
  const [, name, value] = /^([a-z-]+)(?:=(.*))?$/.exec(headers.get('x-edit') ?? '') ?? []
  if (name === undefined) return
  if (value === undefined) headers.delete(name)
  else headers.set(name, value)
}

/** Like `editHeaders`, for headers in a plain object, as in Node.js. */
export function editHeaderRecord(headers: Record<string, string | string[] | undefined>): void {
  editHeaders({
    get: (name) => [headers[name] ?? []].flat()[0],
    set: (name, value) => (headers[name] = value),
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- as middleware does it
    delete: (name) => delete headers[name],
  })
}

export async function createWorld(): Promise<World> {
  let now = NOW - 30 * DAY_MS
  const working = refreshTokens(memoryStore(), () => now)
  const broken = refreshTokens(brokenStore(), () => now)

  const issued: Record<string, string> = {}
  const issue = async (name: string, clientId: string, scope = 'read write') => {
    issued[name] = (await working.issue({ subject: 'alice', clientId, scope })).refreshToken
  }
  const codes = authorizationCodes(working, { issuer: 'https://issuer.example', secrets: [CODE_SECRET] })
  const issueCode = (name: string, clientId: string) => {
    const request = { subject: 'alice', clientId, redirectUri: null, codeChallenge: CODE_CHALLENGE, scope: 'read' }
    issued[name] = codes.issue(request)
  }
  await issue('expired', 'web')
  issueCode('an expired code', 'web')
  now = NOW
  for (const name of [
    'web',
    'retried',
    'reused',
    'revoked',
    'scoped',
    'oversized',
    'to be revoked',
    'limited',
    'proven',
    'of a page',
    'whole',
  ])
    await issue(name, 'web')
  for (const name of ['of backend', 'backend by post', 'backend to be revoked']) await issue(name, 'backend')
  await issue('of other', 'other')
  await issue('planted', 'first-party')
  for (const [name, clientId] of [
    ['a code', 'web'],
    ['a code of backend', 'backend'],
    ['a code without refresh tokens', 'codes-only'],
  ] as const)
    issueCode(name, clientId)
  await working.revoke({ refreshToken: issued['revoked'] ?? '' })

  return { issued, mounts: (adapter) => createMounts(adapter, { working, broken, codes, now: () => now }) }
}

interface Parts {
  readonly working: RefreshTokens
  readonly broken: RefreshTokens
  readonly codes: AuthorizationCodes
  readonly now: () => number
}

function createMounts<Handler, Guard>(adapter: Adapter<Handler, Guard>, parts: Parts): Mounts<Handler, Guard> {
  const { working, broken, codes, now } = parts
  const {
    authHandler,
    refreshHandler,
    tokenHandler,
    revocationHandler,
    introspectionHandler,
    jwksHandler,
    requireAccessToken,
  } = adapter
  const { loginHandler, logoutHandler, sessionsHandler } = adapter
  const common: EndpointOptions = { rateLimit: false, now, onError: () => undefined }
  const limited: EndpointOptions = { ...common, rateLimit: exhausted() }
  const oauth = { accessTokens, clients: CLIENTS }
  const pages = { accessTokens, cookie: { allowedOrigins: ['https://app.example'] } }
  const signIn = { ...pages, authenticate }
  const misbehaving: AccessTokenFunction = async () => ({ accessToken: 'not fit for a header', expiresIn: 900 })
  const whole = authHandler(working, {
    ...common,
    clients: [...CLIENTS, { clientId: 'service', jwks: { keys: [SERVICE_KEY] } }],
    accessTokens: readable,
    cookie: pages.cookie,
    authenticate,
    cors: { origins: ['https://spa.example'] },
    basePath: '/whole',
    publicUrl: 'http://localhost:3000',
    scopes: ['read', 'write'],
  })
  return {
    whole,
    exact: [
      ['/oauth/token', tokenHandler(working, { ...common, ...oauth, codes })],
      ['/oauth/revoke', revocationHandler(working, { ...common, clients: CLIENTS })],
      ['/oauth/introspect', introspectionHandler(working, { ...common, clients: CLIENTS, accessTokens: readable })],
      ['/.well-known/jwks.json', jwksHandler({ jwks: () => ({ keys: [PUBLISHED_KEY] }) })],
      ['/nonce/token', tokenHandler(working, { ...common, ...oauth, dpop: { nonce: NONCE } })],
      ['/login', loginHandler(working, { ...common, ...signIn })],
      ['/auth/refresh', refreshHandler(working, { ...common, ...pages })],
      ['/auth/logout', logoutHandler(working, { ...common, cookie: pages.cookie })],
      ['/limited/token', tokenHandler(working, { ...limited, ...oauth })],
      ['/limited/login', loginHandler(working, { ...limited, ...signIn })],
      ['/broken/token', tokenHandler(broken, { ...common, ...oauth })],
      ['/broken/revoke', revocationHandler(broken, { ...common, clients: CLIENTS })],
      ['/broken/introspect', introspectionHandler(broken, { ...common, clients: CLIENTS, accessTokens: readable })],
      ['/broken/login', loginHandler(broken, { ...common, ...signIn })],
      ['/broken/refresh', refreshHandler(broken, { ...common, ...pages })],
      ['/broken/logout', logoutHandler(broken, { ...common, cookie: pages.cookie })],
      ['/misbehaving/token', tokenHandler(working, { ...common, ...oauth, accessTokens: misbehaving })],
      ['/misbehaving/login', loginHandler(working, { ...common, ...signIn, accessTokens: misbehaving })],
    ],
    below: [
      ['/account', sessionsHandler(working, { ...common, clients: CLIENTS, accessTokens: verify })],
      ['/foreign/account', sessionsHandler(working, { ...common, accessTokens: verify })],
      ['/limited/account', sessionsHandler(working, { ...limited, accessTokens: verify })],
      ['/broken/account', sessionsHandler(broken, { ...common, accessTokens: verify })],
      ['/mirror', adapter.handler(mirror)],
    ],
    guards: [
      ['/api/me', requireAccessToken({ accessTokens: verify, now, scope: 'read' })],
      ['/api/admin', requireAccessToken({ accessTokens: verify, now, scope: 'admin' })],
      ['/api/nonce', requireAccessToken({ accessTokens: verify, now, dpop: { nonce: NONCE } })],
      ['/api/live', requireAccessToken({ accessTokens: verify, now, checkSession: working })],
      ['/broken/me', requireAccessToken({ accessTokens: verify, now, checkSession: broken, onError: () => undefined })],
    ],
  }
}

function refreshTokens(store: TokenStore, now: () => number): RefreshTokens {
  let drawn = 0
  const random = (length: number) => {
    drawn += 1
    return createHash('shake256', { outputLength: length }).update(`parity ${drawn}`).digest()
  }
  return createRefreshTokens({ store, now, random, secrets: ['a fixed secret for the refresh tokens of these tests'] })
}

function brokenStore(): TokenStore {
  const fail = () => Promise.reject(new Error('the database is gone'))
  return {
    create: fail,
    find: fail,
    rotate: fail,
    revoke: fail,
    list: fail,
    listRevoked: fail,
    purge: fail,
    claimOnce: fail,
  }
}

function exhausted(): ReturnType<typeof rateLimits> {
  // The shape of a rejection of rate-limiter-flexible, whose real limiters depend on the clock.
  const state = { consumedPoints: 61, msBeforeNext: 41_500 }
  const consume = async () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- it throws what is no Error
    throw state
  }
  const createLimiter = () => ({ consume, reward: async () => undefined })
  return rateLimits({ createLimiter })
}

/** Readable access tokens. Signatures such as those of ES256 would differ each time. */
const accessTokens: AccessTokenFunction = async ({ family, scope, now, confirmation: cnf }) => {
  const claims: AccessTokenClaims = {
    iss: 'https://issuer.example',
    aud: 'https://api.example',
    sub: family.subject,
    client_id: family.clientId,
    scope,
    sid: family.id,
    iat: now / 1000,
    exp: now / 1000 + 900,
    jti: `of generation ${family.generation}`,
    ...(cnf === null ? {} : { cnf }),
  }
  return { accessToken: Buffer.from(JSON.stringify(claims)).toString('base64url'), expiresIn: 900 }
}

const verify = async (token: string): Promise<AccessTokenClaims | null> => {
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString()) as AccessTokenClaims
  } catch {
    return null
  }
}

const readable: AccessTokens = {
  issuer: ISSUER,
  lifetimeSeconds: 900,
  mint: accessTokens,
  verify,
  read: verify,
}

const authenticate: LoginOptions['authenticate'] = async ({ username, password, scope, deliver }) => {
  if (typeof username !== 'string') throw new LoginRequestError('username is missing.')
  if (username !== 'bob' || password !== 'builder') return null
  return {
    subject: 'bob',
    scope: typeof scope === 'string' ? scope : 'read',
    deliver: deliver === 'body' ? 'body' : 'cookie',
    clientId: 'web',
  }
}

/** Responds with the received request, and with headers that a framework could merge, drop or change. */
const mirror: Endpoint = async ({ method, url, headers, body }) => {
  const text = body.kind === 'stream' ? Buffer.from((await body.read(1000)) ?? []).toString() : ''
  return {
    status: 207,
    headers: [
      ['content-type', 'text/x-mirror'],
      ['set-cookie', 'a=1; Path=/; Expires=Thu, 01 May 2031 12:00:00 GMT'],
      ['set-cookie', 'b=2; Path=/'],
      ['www-authenticate', 'Bearer realm="api"'],
      ['www-authenticate', 'DPoP algs="ES256 EdDSA"'],
      ['vary', 'Origin'],
      ['vary', 'Cookie'],
    ],
    body: method === 'GET' ? JSON.stringify({ method, url, text, tags: headers['x-tag'] }) : null,
  }
}
