/** The requests that pages and clients send to an example, and the responses. */

/** A parsed JSON value. A wrong shape fails the assertion. */
export type Json = ReturnType<typeof JSON.parse>

interface TestResponse {
  readonly status: number
  readonly headers: Headers
  /** The parsed JSON body; null without a body. */
  readonly body: Json
  /** The Set-Cookie header; null without one. */
  readonly setCookie: string | null
}

type HeaderList = Readonly<Record<string, string>>

export const ALICE = { username: 'alice', password: 'wonderland' }
export const BOB = { username: 'bob', password: 'builder' }

/** The headers of a request from a page to its own server. */
export const FROM_OUR_PAGE = { 'x-baton': '1', 'sec-fetch-site': 'same-origin' }

export interface Visitor {
  readonly origin: string
  send(method: string, path: string, request?: { headers?: HeaderList; body?: string }): Promise<TestResponse>
  json(path: string, value: unknown, headers?: HeaderList): Promise<TestResponse>
  form(path: string, fields: Readonly<Record<string, string>>, headers?: HeaderList): Promise<TestResponse>
  /** Signs in and returns the token response. Throws if the sign-in fails. */
  login(credentials?: object, headers?: HeaderList): Promise<Json>
  /** Sends the refresh grant of a public client. */
  refresh(refreshToken: string, fields?: Readonly<Record<string, string>>): Promise<TestResponse>
  me(accessToken: string): Promise<TestResponse>
  bearer(method: string, path: string, accessToken: string): Promise<TestResponse>
  /** Signs in like a page. Returns the `Cookie` header and the body. */
  cookieLogin(credentials?: object, headers?: HeaderList): Promise<{ cookie: string; body: Json; setCookie: string }>
  cookieRefresh(cookie: string, headers?: HeaderList): Promise<TestResponse>
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
      const response = await json('/login', { ...ALICE, ...credentials }, headers)
      if (response.status !== 200) throw new Error(`login: ${response.status} ${JSON.stringify(response.body)}`)
      return response.body
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
      const response = await json('/login?cookie=1', { ...ALICE, ...credentials }, { ...FROM_OUR_PAGE, ...headers })
      if (response.status !== 200 || response.setCookie === null)
        throw new Error(`login: ${response.status} ${JSON.stringify(response.body)}`)
      return { cookie: cookieOf(response.setCookie), body: response.body, setCookie: response.setCookie }
    },
    cookieRefresh: (cookie, headers = {}) =>
      send('POST', '/auth/refresh', { headers: { ...FROM_OUR_PAGE, cookie, ...headers } }),
  }
}

/** Returns the `Cookie` header that a browser would send. */
export function cookieOf(setCookie: string): string {
  return setCookie.split(';')[0] ?? ''
}
