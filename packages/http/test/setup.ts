import { createHash } from 'node:crypto'
import { createRefreshTokens, type RefreshEvent, type RefreshTokensOptions, type TokenStore } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import {
  type AccessTokens,
  authorizationCodes,
  type Clients,
  type CookieOptions,
  type Endpoint,
  type EndpointOptions,
  logoutEndpoint,
  type PlainRequest,
  type PlainResponse,
  refreshEndpoint,
  tokenEndpoint,
  revocationEndpoint,
  type StaticClient,
} from '../src/index.js'

/** The issuer of these tests. */
export const AS = 'https://as.example'
export const START = Date.UTC(2030, 0, 1)
export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
export const IDEMPOTENCY_KEY = 'an-idempotency-key-of-32-letters'

/** Public test secrets. */
const SECRET = 'the secret of the http test suite, 48 bytes long.'
export const CODE_SECRET = 'the secret of codes of the http test suite, 52 bytes.'
export const CB_SECRET = 'secret-of-cb-0123456789-0123456789'
export const CX_SECRET = 'secret-of-cx-0123456789-0123456789'
export const ODD_SECRET = ' %&+£€:x'

export const CLIENTS: readonly StaticClient[] = [
  { clientId: 'cb', secret: CB_SECRET },
  { clientId: 'cx', secret: CX_SECRET },
  { clientId: 'pub' },
  { clientId: 'pub2' },
  { clientId: 'a:b %&+£€', secret: ODD_SECRET },
  { clientId: 'my-id_1', secret: 'my-secret_1' },
  { clientId: 'codes-only', grantTypes: ['authorization_code'] },
  { clientId: 'refresh-only', grantTypes: ['refresh_token'] },
]

/** A store that fails if requested and counts its calls. */
function brittleStore() {
  const store = memoryStore()
  const state = { isDown: false, calls: [] as string[] }
  const wrapped = Object.fromEntries(
    (['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce'] as const).map((name) => [
      name,
      async (...args: unknown[]) => {
        state.calls.push(name)
        if (state.isDown) throw new Error('connection refused: password=hunter2')
        return (store[name] as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  )
  return { store: wrapped as unknown as TokenStore, state }
}

function seededRandom(seed: string): (size: number) => Uint8Array {
  let count = 0
  return (size) => {
    const bytes = createHash('sha512')
      .update(`${seed}:${String(count++)}`)
      .digest()
    return new Uint8Array(bytes.subarray(0, size))
  }
}

/** Access tokens that encode the values from which they were created. */
export function readableAccessTokens(lifetimeSeconds = 900): AccessTokens {
  let count = 0
  const prefix = 'at.'
  const verify = async (accessToken: string) =>
    accessToken.startsWith(prefix) ? (claimsOf(accessToken) as never) : null
  return {
    issuer: AS,
    lifetimeSeconds,
    async mint({ family, scope, audience, now, maxLifetimeSeconds }) {
      const expiresIn = Math.min(lifetimeSeconds, maxLifetimeSeconds)
      const claims = {
        sid: family.id,
        sub: family.subject,
        client_id: family.clientId,
        scope,
        aud: audience,
        exp: now / 1000 + expiresIn,
        n: count++,
      }
      return { accessToken: prefix + Buffer.from(JSON.stringify(claims)).toString('base64url'), expiresIn }
    },
    verify,
    read: verify,
  }
}

export function claimsOf(accessToken: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(accessToken.slice(3), 'base64url').toString()) as Record<string, unknown>
}

export interface WorldOptions extends EndpointOptions {
  readonly core?: Partial<RefreshTokensOptions>
  readonly clients?: Clients
  readonly cookie?: CookieOptions
  readonly accessTokens?: Parameters<typeof refreshEndpoint>[1]['accessTokens']
}

/** Creates tokens, a clock, and all endpoints. There are no rate limits by default. */
export function createSetup({
  core,
  clients = CLIENTS,
  cookie = {},
  accessTokens = readableAccessTokens(),
  ...rest
}: WorldOptions = {}) {
  const { store, state } = brittleStore()
  const clock = { now: START }
  const events: RefreshEvent[] = []
  const errors: unknown[] = []
  const now = () => clock.now
  const tokens = createRefreshTokens({
    store,
    secrets: [SECRET],
    now,
    random: seededRandom('http'),
    onEvent: (event) => events.push(event),
    ...core,
  })
  const options = { rateLimit: false, now, onError: (error: unknown) => errors.push(error), ...rest } as const
  const codes = authorizationCodes(tokens, {
    issuer: typeof accessTokens === 'function' ? AS : accessTokens.issuer,
    secrets: [CODE_SECRET],
  })
  const issue = async (request: Partial<Parameters<typeof tokens.issue>[0]> = {}) =>
    (await tokens.issue({ subject: 'alice', clientId: 'pub', scope: 'a b', ...request })).refreshToken
  return {
    tokens,
    clock,
    events,
    errors,
    state,
    issue,
    advance: (ms: number) => (clock.now += ms),
    codes,
    token: tokenEndpoint(tokens, { accessTokens, clients, codes, ...options }),
    revoke: revocationEndpoint(tokens, { clients, ...options }),
    refreshCookie: refreshEndpoint(tokens, { accessTokens, cookie, ...options }),
    logout: logoutEndpoint(tokens, { cookie, ...options }),
    families: async (subject = 'alice') => (await tokens.list({ subject })).items,
  }
}

export interface TestResponse {
  readonly status: number
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- parsed JSON; a wrong shape fails the assertion
  readonly body: any
  readonly raw: PlainResponse
  /** The last value, which applies if a cookie is set twice. */
  header(name: string): string | null
  all(name: string): string[]
}

export type RequestPatch = Partial<Omit<PlainRequest, 'headers' | 'body'>> & {
  readonly headers?: Record<string, string | readonly string[] | undefined>
  readonly body?: string | Uint8Array | PlainRequest['body']
}

export function request({ headers = {}, body = '', ...patch }: RequestPatch = {}): PlainRequest {
  const all: Record<string, readonly string[] | undefined> = { host: ['as.example'] }
  for (const [name, value] of Object.entries(headers)) all[name] = typeof value === 'string' ? [value] : value
  return {
    method: 'POST',
    url: '/oauth/token',
    headers: all,
    body: typeof body === 'string' || body instanceof Uint8Array ? stream(body) : body,
    remoteAddress: '203.0.113.7',
    encrypted: true,
    ...patch,
  }
}

function stream(body: string | Uint8Array): PlainRequest['body'] {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return { kind: 'stream', read: async (limit) => (bytes.byteLength > limit ? null : bytes) }
}

export async function send(endpoint: Endpoint, patch: RequestPatch = {}): Promise<TestResponse> {
  return toTestResponse(await endpoint(request(patch)))
}

export const FORM_TYPE = 'application/x-www-form-urlencoded'

type FormParameters = Record<string, string> | readonly (readonly [string, string])[] | string

/** Sends a form. */
export function post(endpoint: Endpoint, parameters: FormParameters, { headers, ...patch }: RequestPatch = {}) {
  const body =
    typeof parameters === 'string' ? parameters : new URLSearchParams(parameters as Record<string, string>).toString()
  return send(endpoint, { body, ...patch, headers: { 'content-type': FORM_TYPE, ...headers } })
}

/** Refreshes as a public client. */
export function refreshWith(
  endpoint: Endpoint,
  refreshToken: string,
  more: Record<string, string> = {},
  patch: RequestPatch = {},
) {
  return post(endpoint, { grant_type: 'refresh_token', client_id: 'pub', refresh_token: refreshToken, ...more }, patch)
}

export function basic(clientId: string, secret: string): string {
  const encode = (text: string) => new URLSearchParams([['', text]]).toString().slice(1)
  return `Basic ${Buffer.from(`${encode(clientId)}:${encode(secret)}`).toString('base64')}`
}

/** A request from a page of the same origin. */
export function fromPage(cookie: string | null, { headers, ...patch }: RequestPatch = {}): RequestPatch {
  return {
    url: '/auth/refresh',
    ...patch,
    headers: {
      'x-baton': '1',
      'sec-fetch-site': 'same-origin',
      ...(cookie === null ? {} : { cookie: `__Host-baton=${cookie}` }),
      ...headers,
    },
  }
}

function toTestResponse(raw: PlainResponse): TestResponse {
  const all = (name: string) => raw.headers.filter(([key]) => key === name).map(([, value]) => value)
  return {
    status: raw.status,
    body: raw.body === null ? null : JSON.parse(raw.body),
    raw,
    all,
    header: (name) => all(name).at(-1) ?? null,
  }
}

/** Checks the status, the error and the requirements on each error response. */
export function expectError(response: TestResponse, status: number, code: string): void {
  const problems = [
    response.status === status || `status ${String(response.status)}, not ${String(status)}`,
    response.body?.error === code || `error ${String(response.body?.error)}, not ${code}`,
    response.header('content-type') === 'application/json' || 'content-type',
    response.header('cache-control') === 'no-store' || 'cache-control',
    response.header('pragma') === 'no-cache' || 'pragma',
    response.header('x-content-type-options') === 'nosniff' || 'nosniff',
    response.all('set-cookie').length === 0 || 'a cookie',
    /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(response.body?.error_description ?? '') || 'description',
    response.status !== 401 || response.header('www-authenticate') !== null || '401 without challenge',
  ].filter((problem) => problem !== true)
  if (problems.length > 0) throw new Error(`${problems.join('; ')}: ${JSON.stringify(response.raw)}`)
}
