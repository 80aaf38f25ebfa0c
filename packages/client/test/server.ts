import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { createRefreshTokens, type PolicyOptions, type RefreshEvent } from '@baton/core'
import {
  accessTokenGuard,
  authorizationCodes,
  type DpopOptions,
  type Endpoint,
  generateSigningKey,
  hashClientSecret,
  jwtAccessTokens,
  loginEndpoint,
  logoutEndpoint,
  readNodeRequest,
  refreshEndpoint,
  tokenEndpoint,
  revocationEndpoint,
  sessionsEndpoint,
  writeNodeResponse,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'

interface Request {
  readonly method: string
  readonly path: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** What happens to one request instead of, or around, the right thing. */
export type Fault =
  /** This answer, once `until` allows it, and the server does not hear of the request. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Record<string, string>
      readonly body?: string
      readonly until?: Promise<unknown>
    }
  /** The server does it; its answer is lost. */
  | { readonly kind: 'drop' }
  /** The connection breaks before the server hears of it. */
  | { readonly kind: 'refuse' }
  /** The server does it, and its answer waits for this; `heard` is called once it has done it. */
  | { readonly kind: 'hold'; readonly until: Promise<unknown>; readonly heard?: () => void }

export interface ServerOptions {
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
  readonly accessSeconds?: number
  readonly policy?: PolicyOptions
  /** How proofs of keys are judged. */
  readonly dpop?: DpopOptions
  /** Further answers, by path. */
  readonly pages?: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>>
}

const SECRET = 'a secret of a server in a test, 32 bytes or more'
export const CLIENT = 'web'
/** A confidential client, with all that makes encodings differ. */
export const BACKEND = { clientId: 'back end:1', clientSecret: ' %&+£€ and as long as it has to be' }
const CORS_HEADERS = 'authorization, content-type, idempotency-key'

/** A real Baton server on loopback, whose events and counts are what tests believe. */
export async function startServer(options: ServerOptions = {}) {
  const { now = Date.now, accessSeconds = 900, policy = {}, dpop = {}, pages = {} } = options
  const events: RefreshEvent[] = []
  const requests: Request[] = []
  const faults = new Map<string, Fault[]>()
  const tokens = createRefreshTokens({
    store: memoryStore(),
    secrets: [SECRET],
    policy,
    now,
    onEvent: (event) => events.push(event),
  })
  const accessTokens = jwtAccessTokens({
    issuer: 'https://login.example',
    audience: 'https://api.example',
    keys: [generateSigningKey()],
    lifetimeSeconds: accessSeconds,
  })
  const common = { now, rateLimit: false } as const
  const shared = { ...common, dpop }
  const clients = [
    { clientId: CLIENT, firstParty: true },
    { clientId: BACKEND.clientId, secretHashes: [hashClientSecret(BACKEND.clientSecret)] },
  ]
  const authenticate = async ({ username }: Readonly<Record<string, unknown>>) =>
    typeof username === 'string' && username !== '' ? { subject: username, scope: 'read' } : null
  const seenTokens = new Set<string>()
  const rejectedTokens = new Set<string>()
  const verify = async (token: string, at: number) => {
    const claims = await accessTokens.verify(token, at)
    return claims === null || rejectedTokens.has(token) ? null : claims
  }
  const codes = authorizationCodes(tokens, { issuer: 'https://login.example', secrets: [`${SECRET}, for codes`] })
  const guard = accessTokenGuard({ accessTokens: verify, checkSession: tokens, dpop, now })
  const sessions = sessionsEndpoint(tokens, { accessTokens, clients, ...shared })
  const endpoints: Readonly<Record<string, Endpoint>> = {
    '/login': loginEndpoint(tokens, { accessTokens, authenticate, defaults: { clientId: CLIENT }, ...shared }),
    '/cookie/login': loginEndpoint(tokens, { accessTokens, authenticate, cookie: true, ...shared }),
    '/oauth/token': tokenEndpoint(tokens, { accessTokens, clients, codes, ...shared }),
    '/oauth/revoke': revocationEndpoint(tokens, { clients, ...common }),
    '/auth/refresh': refreshEndpoint(tokens, { accessTokens, cookie: true, ...shared }),
    '/auth/logout': logoutEndpoint(tokens, { cookie: true, ...common }),
    '/auth/logout-everywhere': sessions,
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://here').pathname
    // Documents that are shut off from everything have no origin, and ask from there.
    if (request.headers.origin === 'null')
      response.setHeader('access-control-allow-origin', 'null').setHeader('access-control-allow-headers', CORS_HEADERS)
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end()
      return
    }
    const page = pages[path]
    if (page !== undefined) {
      page(request, response)
      return
    }
    const plain = readNodeRequest(request)
    const body = await buffer(request)
    requests.push({ method: plain.method, path, url: plain.url, headers: request.headers, body: body.toString() })
    const fault = faults.get(path)?.shift()
    if (fault?.kind === 'refuse') {
      request.socket.destroy()
      return
    }
    if (fault?.kind === 'answer') {
      await fault.until
      response.writeHead(fault.status, fault.headers).end(fault.body)
      return
    }
    const read = async (limit: number) => (body.length > limit ? null : body)
    const endpoint = endpoints[path] ?? api
    const answer = await endpoint({ ...plain, body: { kind: 'stream', read } })
    if (fault?.kind === 'drop') {
      request.socket.destroy()
      return
    }
    if (fault?.kind === 'hold') {
      fault.heard?.()
      await fault.until
    }
    writeNodeResponse(response, answer)
  }

  /** Says who asks, and what it got. */
  const api: Endpoint = async (request) => {
    const token = request.headers['authorization']?.[0]?.split(' ')[1] ?? ''
    seenTokens.add(token)
    const verdict = await guard(request)
    if (!verdict.ok) return verdict.response
    const sent = request.body.kind === 'stream' ? await request.body.read(1_000_000) : null
    const body = {
      sub: verdict.claims.sub,
      type: request.headers['content-type']?.[0] ?? null,
      body: Buffer.from(sent ?? []).toString(),
    }
    const headers = [['content-type', 'application/json'] as const, ...verdict.headers]
    return { status: 200, headers, body: JSON.stringify(body) }
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`

  return {
    origin,
    tokens,
    codes,
    events,
    requests,
    /** From now on the API rejects every access token that it has received. */
    accessTokensEnd: () => seenTokens.forEach((token) => rejectedTokens.add(token)),
    /** What shall happen to the next requests for this path, one after the other. */
    fault: (path: string, ...next: Fault[]) => faults.set(path, [...(faults.get(path) ?? []), ...next]),
    /** Nothing more shall happen to requests for this path. */
    heal: (path: string) => faults.delete(path),
    asked: (path: string) => requests.filter((request) => request.path === path),
    happened: (type: RefreshEvent['type']) => events.filter((event) => event.type === type),
    /** A token response, as after a sign-in. */
    async signIn(username = 'alice', path = '/login'): Promise<Record<string, unknown>> {
      const response = await fetch(origin + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username }),
      })
      return (await response.json()) as Record<string, unknown>
    },
    async stop(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export type TestServer = Awaited<ReturnType<typeof startServer>>

/** A promise, and what resolves it. */
export function gate() {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}
