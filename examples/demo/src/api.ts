import { familyOf, textOf } from './fingerprint.js'
import { LOSE_HEADER } from './observer.js'

/** An answer, read to its end. */
export interface Answer {
  readonly status: number
  readonly body: unknown
  /** All values of a header, joined; empty if it is absent. */
  header(name: string): string
  text(name: string): string | null
}

export interface Signed {
  readonly accessToken: string
  readonly refreshToken: string
  readonly expiresIn: number
  readonly family: string
  /** `performance.now()` before the request was sent. */
  readonly sentAt: number
}

export interface SignedByCookie {
  readonly cookie: string
  readonly family: string
}

export interface Attempt {
  readonly idempotencyKey?: string
  /** Has the observer lose the answer. */
  readonly lose?: boolean
}

const PASSWORDS = { alice: 'wonderland', bob: 'builder' }
type Person = keyof typeof PASSWORDS

export type Api = ReturnType<typeof api>

/** What an app would ask of the server, over HTTP. What is not named `try…` throws unless the server grants it. */
export function api(origin: string) {
  async function ask(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(new URL(path, origin), { ...init, signal: AbortSignal.timeout(10_000) })
    const raw = await response.text()
    const body: unknown = raw.startsWith('{') ? JSON.parse(raw) : null
    return {
      status: response.status,
      body,
      header: (name) => response.headers.get(name) ?? '',
      text: (name) => textOf(body, name),
    }
  }

  function post(path: string, body: unknown, accessToken: string | null = null): Promise<Answer> {
    return ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(accessToken) },
      body: body === null ? null : JSON.stringify(body),
    })
  }

  function tryRefresh(refreshToken: string, { idempotencyKey, lose = false }: Attempt = {}): Promise<Answer> {
    return ask('/oauth/token', {
      method: 'POST',
      headers: {
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        ...(lose ? { [LOSE_HEADER]: '1' } : {}),
      },
      body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: 'web' }),
    })
  }

  const byCookie = (path: string, { cookie }: SignedByCookie) =>
    ask(path, { method: 'POST', headers: { cookie, origin, 'x-baton': '1' } })

  return {
    post,
    tryRefresh,
    me: (accessToken: string | null) => ask('/api/me', { headers: bearer(accessToken) }),
    async login(username: Person): Promise<Signed> {
      const sentAt = performance.now()
      return signed(await post('/login', { username, password: PASSWORDS[username], client_id: 'web' }), sentAt)
    },
    async refresh(refreshToken: string, attempt: Attempt = {}): Promise<Signed> {
      const sentAt = performance.now()
      return signed(await tryRefresh(refreshToken, attempt), sentAt)
    },
    /** Ids of the living sessions of the caller. */
    async sessions(accessToken: string): Promise<string[]> {
      const answer = await ask('/auth/sessions', { headers: bearer(accessToken) })
      const list: unknown = answer.status === 200 ? Reflect.get(Object(answer.body), 'sessions') : undefined
      if (!Array.isArray(list)) throw new Error(`GET /auth/sessions answered ${answer.status}`)
      return list.map((session) => textOf(session, 'id') ?? '')
    },
    async cookieLogin(username: Person): Promise<SignedByCookie> {
      return signedByCookie(await post('/login?cookie=1', { username, password: PASSWORDS[username] }))
    },
    async cookieRefresh(by: SignedByCookie): Promise<SignedByCookie> {
      return signedByCookie(await byCookie('/auth/refresh', by))
    },
    tryCookieRefresh: (by: SignedByCookie) => byCookie('/auth/refresh', by),
    cookieLogout: (by: SignedByCookie) => byCookie('/auth/logout', by),
  }
}

function bearer(accessToken: string | null): Record<string, string> {
  return accessToken === null ? {} : { authorization: `Bearer ${accessToken}` }
}

function signed(answer: Answer, sentAt: number): Signed {
  const accessToken = answer.text('access_token')
  const refreshToken = answer.text('refresh_token')
  const expiresIn: unknown = answer.body === null ? null : Reflect.get(Object(answer.body), 'expires_in')
  const family = familyOf(accessToken ?? '')
  if (
    answer.status !== 200 ||
    accessToken === null ||
    refreshToken === null ||
    family === null ||
    typeof expiresIn !== 'number'
  )
    throw new Error(`expected tokens, got ${answer.status} ${answer.text('error') ?? ''}`)
  return { accessToken, refreshToken, expiresIn, family, sentAt }
}

function signedByCookie(answer: Answer): SignedByCookie {
  const cookie = answer.header('set-cookie').replace(/;.*/s, '')
  const family = familyOf(answer.text('access_token') ?? '')
  if (answer.status !== 200 || cookie === '' || family === null)
    throw new Error(`expected a cookie and an access token, got ${answer.status} ${answer.text('error') ?? ''}`)
  if (answer.text('refresh_token') !== null) throw new Error('the refresh token stands in the body as well')
  return { cookie, family }
}
