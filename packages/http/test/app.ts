import {
  type Confirmation,
  createRefreshTokens,
  type RefreshEvent,
  type RefreshTokensOptions,
  type TokenStore,
} from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { generateSigningKey, jwtAccessTokens, type PlainRequest, type PlainResponse } from '../src/index.js'

export const ISSUER = 'https://login.example'
export const SIGNING_KEY = generateSigningKey()
const SECRET = 'a secret of an app in a test, 32 bytes or more'

/** An app with a fixed clock and a store that can fail. */
export function createApp(options: Partial<RefreshTokensOptions> = {}) {
  const clock = { now: Date.UTC(2026, 0, 2, 3, 4, 5) }
  const events: RefreshEvent[] = []
  const errors: unknown[] = []
  const outage = { of: new Set<keyof TokenStore>() }
  const tokens = createRefreshTokens({
    store: failing(memoryStore(), outage),
    secrets: [SECRET],
    now: () => clock.now,
    onEvent: (event) => events.push(event),
    ...options,
  })
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
  /** The options of every endpoint. */
  const shared = { rateLimit: false, now: () => clock.now, onError: (error: unknown) => errors.push(error) } as const

  /** A session as after a login: its family and one of its access tokens. */
  async function signIn(
    subject: string,
    request: { scope?: string; offline?: boolean; userAgent?: string; confirmation?: Confirmation } = {},
  ) {
    const { userAgent, ...grant } = request
    const metadata = userAgent === undefined ? {} : { userAgent }
    const { family, refreshToken } = await tokens.issue({ subject, metadata, ...grant })
    const { scope, audience } = family
    const circumstances = { confirmation: family.confirmation, now: clock.now, maxLifetimeSeconds: 900 }
    const minted = await accessTokens.mint({ family, scope, audience, claims: {}, ...circumstances })
    return { family, refreshToken, accessToken: minted.accessToken, bearer: `Bearer ${minted.accessToken}` }
  }

  return { clock, events, errors, outage, tokens, accessTokens, shared, signIn }
}

function failing(store: TokenStore, outage: { of: ReadonlySet<keyof TokenStore> }): TokenStore {
  return new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown
      return async (...args: unknown[]) => {
        if (outage.of.has(name as keyof TokenStore)) throw new Error('the store is out')
        return method.apply(target, args)
      }
    },
  })
}

export interface RequestParts {
  readonly method?: string
  readonly url?: string
  /** A list stands for a header with several occurrences. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly json?: unknown
  readonly body?: string
  readonly remoteAddress?: string
}

/** A request over TLS to app.example. */
export function request({
  method,
  url = '/',
  headers = {},
  json,
  body = json === undefined ? '' : JSON.stringify(json),
  remoteAddress = '192.0.2.1',
}: RequestParts): PlainRequest {
  const type = json === undefined ? {} : { 'content-type': 'application/json' }
  const given: Record<string, string | readonly string[]> = { host: 'app.example', ...type, ...headers }
  const bytes = Buffer.from(body)
  return {
    method: method ?? (json === undefined ? 'GET' : 'POST'),
    url,
    headers: Object.fromEntries(Object.entries(given).map(([name, value]) => [name, [value].flat()])),
    body: { kind: 'stream', read: async (limit) => (bytes.length > limit ? null : bytes) },
    remoteAddress,
    encrypted: true,
  }
}

export function headersOf({ headers }: PlainResponse, name: string): string[] {
  return headers.filter(([other]) => other === name).map(([, value]) => value)
}

/** The last value, which applies if a cookie is set twice. */
export function headerOf(response: PlainResponse, name: string): string | undefined {
  return headersOf(response, name).at(-1)
}

export function jsonOf({ body }: PlainResponse) {
  return JSON.parse(body ?? 'null')
}
