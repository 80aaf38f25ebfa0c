import { createSession, type Environment, memoryStorage } from '@baton/client'
import { oauthEndpoints } from '@baton/client/oauth'
import { createRefreshTokens, type TokenStore } from '@baton/core'
import {
  type Endpoint,
  type PlainRequest,
  type PlainResponse,
  refreshEndpoint,
  tokenEndpoint,
  revocationEndpoint,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'

/** A parser of untrusted input. */
export interface FuzzTarget {
  readonly name: string
  /** Well-formed or almost well-formed inputs to start from. */
  readonly seeds: readonly string[]
  /** Rejects if the input had a forbidden effect. */
  readonly feed: (input: Uint8Array) => Promise<void>
}

const SECRET = 'the secret of the fuzz targets, long enough.'
const CLIENT_SECRET = 'a secret that no fuzzer finds by chance'
const NOW = Date.UTC(2030, 0, 1)
/** CPU time, so that a busy machine does not matter. */
const MAX_CPU_MS = 1000

/** Creates the targets on one server. No input may change its only family. */
export async function createTargets(): Promise<readonly FuzzTarget[]> {
  const store = memoryStore()
  let writes = 0
  const counted: TokenStore = {
    ...store,
    rotate(command) {
      writes += 1
      return store.rotate(command)
    },
    revoke(id, revocation) {
      writes += 1
      return store.revoke(id, revocation)
    },
  }
  const tokens = createRefreshTokens({ store: counted, secrets: [SECRET], now: () => NOW })
  const clients = [{ clientId: 'pub' }, { clientId: 'web', secret: CLIENT_SECRET }]
  const accessTokens = async () => ({ accessToken: 'at', expiresIn: 60 })
  const shared = { rateLimit: false, now: () => NOW, onError: () => undefined } as const
  const token = tokenEndpoint(tokens, { accessTokens, clients, ...shared })
  const revoke = revocationEndpoint(tokens, { clients, ...shared })
  const page = refreshEndpoint(tokens, { accessTokens, cookie: true, ...shared })
  const { refreshToken } = await tokens.issue({ subject: 'alice', clientId: 'web', scope: 'a b' })
  const { refreshToken: cookie } = await tokens.issue({ subject: 'alice' })

  /** Asserts that the endpoint rejects the request in time, without details and without a write. */
  async function assertRejected(endpoint: Endpoint, request: PlainRequest): Promise<void> {
    const before = writes
    const startedAt = process.cpuUsage()
    const response = await endpoint(request)
    const { user, system } = process.cpuUsage(startedAt)
    const cpuMs = (user + system) / 1000
    assert(
      response.status >= 400 && response.status < 500,
      () => `the response has the status ${String(response.status)}`,
    )
    assert(cpuMs < MAX_CPU_MS, () => `the response took ${String(Math.round(cpuMs))} ms`)
    assert(writes === before, () => 'the input caused a write')
    assertSafeErrorResponse(response)
  }

  const form = (fields: Readonly<Record<string, string>>) => new URLSearchParams(fields).toString()
  const refresh = { grant_type: 'refresh_token', client_id: 'web', refresh_token: refreshToken }
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  const formType = { 'content-type': ['application/x-www-form-urlencoded'] }

  return [
    {
      name: 'refresh token',
      seeds: [refreshToken.slice(0, -1), `${refreshToken}A`, refreshToken.toUpperCase(), 'brt_', ''],
      async feed(input) {
        const text = toText(input)
        if (text === refreshToken || text === cookie) return
        const outcome = await tokens.inspect(text)
        assert(!outcome.active && ['malformed', 'unknown_key'].includes(outcome.reason), () => JSON.stringify(outcome))
      },
    },
    {
      // The client has no credentials here, so that no request may succeed.
      name: 'form of the token endpoint',
      seeds: [form(refresh), form({ ...refresh, scope: 'a', resource: 'https://a' }), 'a=b&a=%zz&&=&+', 'scope[]=a'],
      feed: (input) => assertRejected(token, createRequest({ headers: formType, body: input })),
    },
    {
      name: 'form of the revocation endpoint',
      seeds: [form({ token: refreshToken, client_id: 'web', token_type_hint: 'refresh_token' }), 'token=%00&token='],
      feed: (input) => assertRejected(revoke, createRequest({ headers: formType, body: input })),
    },
    {
      name: 'Basic credentials',
      seeds: [basic('web:wrong'), basic('web:'), basic(':'), 'bAsIc d2Vi', 'Basic', basic('%77eb:a+b%zz')],
      feed: (input) =>
        assertRejected(
          token,
          createRequest({
            headers: { ...formType, authorization: [toHeader(input)] },
            body: Buffer.from(form(refresh)),
          }),
        ),
    },
    {
      name: 'cookie header',
      seeds: [`__Host-baton=${cookie.slice(0, -1)}`, '__Host-baton=a; __Host-baton=b', 'a=b;;=;"', '__Host-baton="x"'],
      async feed(input) {
        const header = toHeader(input)
        if (header.includes(cookie)) return
        const headers = { cookie: [header], 'x-baton': ['1'], 'sec-fetch-site': ['same-origin'] }
        await assertRejected(page, createRequest({ headers, body: new Uint8Array() }))
      },
    },
    {
      name: 'origin of a request with a cookie',
      seeds: ['https://app.example.evil', 'null', 'https://app.example@evil', 'HTTPS://APP.EXAMPLE'],
      async feed(input) {
        const origin = toHeader(input)
        if (origin === 'https://app.example') return
        const headers = { cookie: [`__Host-baton=${cookie}`], 'x-baton': ['1'], origin: [origin] }
        await assertRejected(page, createRequest({ headers, body: new Uint8Array() }))
      },
    },
    {
      name: 'DPoP proof',
      seeds: [
        jws({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }),
        'a.b.c',
        '..',
        '',
      ],
      feed: (input) =>
        assertRejected(
          token,
          createRequest({
            // The proof is checked before the token.
            headers: { ...formType, dpop: [toHeader(input)] },
            body: Buffer.from(form({ ...refresh, client_id: 'pub', refresh_token: 'brt_no' })),
          }),
        ),
    },
    {
      name: 'responses that the client parses',
      seeds: [
        '{"access_token":"a","token_type":"Bearer"',
        '{"error":"invalid_grant"',
        '<html>',
        '[]',
        'null',
        '{"error":{}}',
      ],
      feed: feedClient,
    },
  ]
}

/**
 * A truncated or foreign response must not sign the user out. Only a JSON object with the error `invalid_grant` may.
 */
async function feedClient(input: Uint8Array): Promise<void> {
  const body = toText(input)
  const storage = memoryStorage()
  let isSent = false
  const environment: Environment = {
    fetch: async () => {
      assert(!isSent, () => 'the client sent a second request')
      isSent = true
      // A retry would take real time. The delay is so long that the client does not wait.
      return new Response(body, { status: 400, headers: { 'retry-after': '600' } })
    },
    now: () => NOW,
    elapsed: () => 0,
    random: (size) => new Uint8Array(size).fill(1),
    setTimer: () => () => undefined,
    onWake: () => () => undefined,
    origin: null,
  }
  const endpoints = oauthEndpoints({ tokenEndpoint: 'https://as.example/token', clientId: 'app' })
  const session = createSession({ endpoints, storage, environment })
  await session.login({ access_token: 'a', token_type: 'bearer', expires_in: 0, refresh_token: 'r' })
  await session.getAccessToken().then(
    () => {
      throw new Error('an error was accepted as a success')
    },
    () => undefined,
  )
  const isOut = session.snapshot().status === 'signedOut'
  assert(!isOut || isInvalidGrant(body), () => 'the response signed the user out')
}

function isInvalidGrant(body: string): boolean {
  try {
    const members: unknown = JSON.parse(body)
    return typeof members === 'object' && members !== null && 'error' in members && members.error === 'invalid_grant'
  } catch {
    return false
  }
}

function createRequest({ headers, body }: Pick<PlainRequest, 'headers'> & { readonly body: Uint8Array }): PlainRequest {
  return {
    method: 'POST',
    url: '/',
    headers: { host: ['app.example'], ...headers },
    body: { kind: 'stream', read: async (limit) => (body.length > limit ? null : body) },
    remoteAddress: '192.0.2.1',
    encrypted: true,
  }
}

/** Asserts that an error response has a valid error code, may not be stored and sets no cookie. */
function assertSafeErrorResponse({ headers, body }: PlainResponse): void {
  const names = headers.map(([name]) => name)
  assert(!names.includes('set-cookie'), () => 'a rejection set a cookie')
  assert(
    headers.some(([name, value]) => name === 'cache-control' && value === 'no-store'),
    () => 'the response may be cached',
  )
  const { error, error_description: description = '' } = JSON.parse(body ?? '{}') as Record<string, unknown>
  assert(typeof error === 'string' && /^[a-z_]+$/.test(error), () => `the error is ${String(error)}`)
  assert(
    /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(String(description)),
    () => `the description is ${String(description)}`,
  )
}

function jws(header: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  return `${encode(header)}.${encode({ jti: 'a', htm: 'POST', htu: 'https://app.example/', iat: NOW / 1000 })}.AAAA`
}

function toText(input: Uint8Array): string {
  return Buffer.from(input).toString()
}

/** Header values as Node returns them: bytes without line breaks. */
function toHeader(input: Uint8Array): string {
  return Buffer.from(input)
    .toString('latin1')
    .replace(/[\0\r\n]/g, '')
    .trim()
}

function assert(holds: boolean, complaint: () => string): void {
  if (!holds) throw new Error(complaint())
}
