/** What a page or a client sends to an example, and what it reads from the answers. */

/** Whatever was answered; a wrong shape fails the assertion. */
export type Json = ReturnType<typeof JSON.parse>

interface Answer {
  readonly status: number
  readonly headers: Headers
  /** Parsed JSON; null where there is no body. */
  readonly body: Json
  /** The one Set-Cookie header, or null. */
  readonly setCookie: string | null
}

type HeaderList = Readonly<Record<string, string>>

export const ALICE = { username: 'alice', password: 'wonderland' }
export const BOB = { username: 'bob', password: 'builder' }

/** What a browser says of a request that a page makes to its own server. */
export const FROM_OUR_PAGE = { 'x-baton': '1', 'sec-fetch-site': 'same-origin' }

export interface Visitor {
  readonly origin: string
  send(method: string, path: string, request?: { headers?: HeaderList; body?: string }): Promise<Answer>
  json(path: string, value: unknown, headers?: HeaderList): Promise<Answer>
  form(path: string, fields: Readonly<Record<string, string>>, headers?: HeaderList): Promise<Answer>
  /** Signs in and returns the token response; fails unless that worked. */
  login(credentials?: object, headers?: HeaderList): Promise<Json>
  /** The refresh grant of a public client. */
  refresh(refreshToken: string, fields?: Readonly<Record<string, string>>): Promise<Answer>
  me(accessToken: string): Promise<Answer>
  bearer(method: string, path: string, accessToken: string): Promise<Answer>
  /** Signs in as a page does; returns `Cookie` header and body. */
  cookieLogin(credentials?: object, headers?: HeaderList): Promise<{ cookie: string; body: Json; setCookie: string }>
  cookieRefresh(cookie: string, headers?: HeaderList): Promise<Answer>
}

export function visitor(origin: string): Visitor {
  const send: Visitor['send'] = async (method, path, { headers = {}, body } = {}) => {
    const response = await fetch(origin + path, { method, headers, ...(body === undefined ? {} : { body }) })
    const text = await response.text()
    const cookies = response.headers.getSetCookie()
    if (cookies.length > 1) throw new Error(`several cookies: ${cookies.join(' | ')}`)
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? null : JSON.parse(text),
      setCookie: cookies[0] ?? null,
    }
  }
  const json: Visitor['json'] = (path, value, headers = {}) =>
    send('POST', path, { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(value) })
  const form: Visitor['form'] = (path, fields, headers = {}) =>
    send('POST', path, {
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: String(new URLSearchParams(fields)),
    })
  const bearer: Visitor['bearer'] = (method, path, accessToken) =>
    send(method, path, { headers: { authorization: `Bearer ${accessToken}` } })
  return {
    origin,
    send,
    json,
    form,
    bearer,
    async login(credentials = {}, headers = {}) {
      const answer = await json('/login', { ...ALICE, ...credentials }, headers)
      if (answer.status !== 200) throw new Error(`login: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    refresh: (refreshToken, fields = {}) =>
      form('/oauth/token', {
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
        client_id: 'web',
        ...fields,
      }),
    me: (accessToken) => bearer('GET', '/api/me', accessToken),
    async cookieLogin(credentials = {}, headers = {}) {
      const answer = await json('/login?cookie=1', { ...ALICE, ...credentials }, { ...FROM_OUR_PAGE, ...headers })
      if (answer.status !== 200 || answer.setCookie === null)
        throw new Error(`login: ${answer.status} ${JSON.stringify(answer.body)}`)
      return { cookie: cookieOf(answer.setCookie), body: answer.body, setCookie: answer.setCookie }
    },
    cookieRefresh: (cookie, headers = {}) =>
      send('POST', '/auth/refresh', { headers: { ...FROM_OUR_PAGE, cookie, ...headers } }),
  }
}

/** What the browser would send back. */
export function cookieOf(setCookie: string): string {
  return setCookie.split(';')[0] ?? ''
}
