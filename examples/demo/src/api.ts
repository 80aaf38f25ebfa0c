import { readFamilyId, readString } from './fingerprint.js'
import { LOSE_HEADER } from './observer.js'

/** A complete response. */
export interface ApiResponse {
  readonly status: number
  readonly body: unknown
  /** All values of a header, joined; empty if it is absent. */
  header(name: string): string
  text(name: string): string | null
}

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresIn: number
  readonly family: string
  /** `performance.now()` before the request was sent. */
  readonly sentAt: number
}

export interface CookieSession {
  readonly cookie: string
  readonly family: string
}

export interface RefreshOptions {
  readonly idempotencyKey?: string
  /** The observer drops the response. */
  readonly lose?: boolean
}

const PASSWORDS = { alice: 'wonderland', bob: 'builder' }
type Username = keyof typeof PASSWORDS

export type Api = ReturnType<typeof api>

/** The requests of an app. Functions without `try` in their name throw if the server rejects the request. */
export function api(origin: string) {
  async function send(path: string, init: RequestInit): Promise<ApiResponse> {
    const response = await fetch(new URL(path, origin), { ...init, signal: AbortSignal.timeout(10_000) })
    const raw = await response.text()
    const body: unknown = raw.startsWith('{') ? JSON.parse(raw) : null
    return {
      status: response.status,
      body,
      header: (name) => response.headers.get(name) ?? '',
      text: (name) => readString(body, name),
    }
  }

  function post(path: string, body: unknown, accessToken: string | null = null): Promise<ApiResponse> {
    return send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(accessToken) },
      body: body === null ? null : JSON.stringify(body),
    })
  }

  function tryRefresh(
    refreshToken: string,
    { idempotencyKey, lose = false }: RefreshOptions = {},
  ): Promise<ApiResponse> {
    return send('/oauth/token', {
      method: 'POST',
      headers: {
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        ...(lose ? { [LOSE_HEADER]: '1' } : {}),
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: 'web' }),
    })
  }

  const byCookie = (path: string, { cookie }: CookieSession) =>
    send(path, { method: 'POST', headers: { cookie, origin, 'x-baton': '1' } })

  return {
    post,
    tryRefresh,
    me: (accessToken: string | null) => send('/api/me', { headers: bearer(accessToken) }),
    async login(username: Username): Promise<Tokens> {
      const sentAt = performance.now()
      return parseTokens(await post('/login', { username, password: PASSWORDS[username], client_id: 'web' }), sentAt)
    },
    async refresh(refreshToken: string, attempt: RefreshOptions = {}): Promise<Tokens> {
      const sentAt = performance.now()
      return parseTokens(await tryRefresh(refreshToken, attempt), sentAt)
    },
    /** Returns the ids of the caller's active sessions. */
    async sessions(accessToken: string): Promise<string[]> {
      const response = await send('/auth/sessions', { headers: bearer(accessToken) })
      const list: unknown = response.status === 200 ? Reflect.get(Object(response.body), 'sessions') : undefined
      if (!Array.isArray(list)) throw new Error(`GET /auth/sessions returned ${response.status}`)
      return list.map((session) => readString(session, 'id') ?? '')
    },
    async cookieLogin(username: Username): Promise<CookieSession> {
      return parseCookieSession(await post('/login?cookie=1', { username, password: PASSWORDS[username] }))
    },
    async cookieRefresh(by: CookieSession): Promise<CookieSession> {
      return parseCookieSession(await byCookie('/auth/refresh', by))
    },
    tryCookieRefresh: (by: CookieSession) => byCookie('/auth/refresh', by),
    cookieLogout: (by: CookieSession) => byCookie('/auth/logout', by),
  }
}

function bearer(accessToken: string | null): Record<string, string> {
  return accessToken === null ? {} : { authorization: `Bearer ${accessToken}` }
}

function parseTokens(response: ApiResponse, sentAt: number): Tokens {
  const accessToken = response.text('access_token')
  const refreshToken = response.text('refresh_token')
  const expiresIn: unknown = response.body === null ? null : Reflect.get(Object(response.body), 'expires_in')
  const family = readFamilyId(accessToken ?? '')
  if (
    response.status !== 200 ||
    accessToken === null ||
    refreshToken === null ||
    family === null ||
    typeof expiresIn !== 'number'
  )
    throw new Error(`expected tokens, got ${response.status} ${response.text('error') ?? ''}`)
  return { accessToken, refreshToken, expiresIn, family, sentAt }
}

function parseCookieSession(response: ApiResponse): CookieSession {
  const cookie = response.header('set-cookie').replace(/;.*/s, '')
  const family = readFamilyId(response.text('access_token') ?? '')
  if (response.status !== 200 || cookie === '' || family === null)
    throw new Error(`expected a cookie and an access token, got ${response.status} ${response.text('error') ?? ''}`)
  if (response.text('refresh_token') !== null) throw new Error('the response body contains the refresh token')
  return { cookie, family }
}
