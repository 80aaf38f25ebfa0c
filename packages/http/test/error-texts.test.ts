import { ConfigurationError } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { accessTokenGuard, loginEndpoint, csrfGuard, sessionsEndpoint } from '../src/index.js'
import { createApp } from './app.js'
import {
  basic,
  CB_SECRET,
  FORM_TYPE,
  fromPage,
  post,
  refreshWith,
  request,
  type RequestPatch,
  send,
  createSetup,
} from './setup.js'

const REFRESH = 'grant_type=refresh_token&client_id=pub&refresh_token=x'

/** The description of an error names the fault, and does not suggest something that was already done. */
async function descriptionOf(reply: ReturnType<typeof send>): Promise<string> {
  const { status, body } = await reply
  expect(status).toBeGreaterThanOrEqual(400)
  return String(body.error_description)
}

describe('plain http', () => {
  const proxied = (headers: RequestPatch['headers'], trustProxy?: number) => {
    const { token } = createSetup(trustProxy === undefined ? {} : { trustProxy })
    return descriptionOf(post(token, REFRESH, { encrypted: false, remoteAddress: '10.0.0.1', headers: headers ?? {} }))
  }

  test('names trustProxy in the error for plain http only if the option is not set', async () => {
    expect(await proxied({})).toMatch(/trustProxy/)
    expect(await proxied({ 'x-forwarded-proto': 'https' })).toMatch(/ignored because the option trustProxy is not set/)
    for (const headers of [{}, { 'x-forwarded-for': '1.1.1.1' }, { 'x-forwarded-proto': 'http' }])
      expect(await proxied(headers, 1)).not.toMatch(/set the option trustProxy|trustProxy is not set/)
  })

  test('names the missing or wrong header of a trusted proxy in the error for plain http', async () => {
    expect(await proxied({ 'x-forwarded-for': '1.1.1.1' }, 1)).toMatch(/no X-Forwarded-Proto/)
    expect(await proxied({ 'x-forwarded-proto': 'http' }, 1)).toMatch(/By X-Forwarded-Proto, the client did not/)
    expect(await proxied({ 'x-forwarded-proto': 'https, http' }, 3)).toMatch(/X-Forwarded-Proto has fewer entries/)
  })

  test('has the same error text for plain http in the guard for pages', () => {
    const headers = { 'x-forwarded-proto': 'http' }
    const rejected = csrfGuard({ trustProxy: 1 })(request({ encrypted: false, headers }))
    expect(rejected?.body).toContain('By X-Forwarded-Proto, the client did not')
  })
})

describe('bodies', () => {
  const { token, tokens } = createSetup()
  const login = loginEndpoint(tokens, {
    accessTokens: async () => ({ accessToken: 'x', expiresIn: 1 }),
    authenticate: async () => null,
    rateLimit: false,
  })
  const typed = (type: string | string[] | undefined, body = REFRESH): RequestPatch => ({
    body,
    headers: { 'content-type': type },
  })

  test.each<[string | string[] | undefined, RegExp, RegExp]>([
    [undefined, /Content-Type is missing; send application\/x-www-form-urlencoded/, /missing; send application\/json/],
    ['text/plain', /must be application\/x-www-form-urlencoded/, /must be application\/json/],
    [[FORM_TYPE, FORM_TYPE], /Content-Type is repeated/, /Content-Type is repeated/],
  ])('names the media type of a body of type %s', async (type, ofForm, ofJson) => {
    expect(await descriptionOf(send(token, typed(type)))).toMatch(ofForm)
    expect(await descriptionOf(send(login, typed(type)))).toMatch(ofJson)
  })

  test.each(['charset=ISO-8859-1', 'charset="windows-1252"', 'CHARSET=utf-16'])(
    'names the charset of a body with %s',
    async (parameter) => {
      for (const [endpoint, type] of [
        [token, FORM_TYPE],
        [login, 'application/json'],
      ] as const)
        expect(await descriptionOf(send(endpoint, typed(`${type}; ${parameter}`)))).toMatch(
          /charset of the Content-Type/,
        )
    },
  )

  test('names the limit for a body that is too long or has too many parameters', async () => {
    expect(await descriptionOf(post(token, 'a='.padEnd(70_000, 'x')))).toMatch(/65536 bytes/)
    expect(await descriptionOf(post(token, 'a=1&'.repeat(101)))).toMatch(/more than 100 parameters/)
  })

  test('names the repeated parameter or the invalid encoding of a body', async () => {
    expect(await descriptionOf(post(token, `${REFRESH}&scope=a&scope=b`))).toMatch(/parameter scope is repeated/)
    for (const body of ['a=%zz', 'a=%ff', 'a=%00'])
      expect(await descriptionOf(post(token, body))).toMatch(/UTF-8, with valid percent-encoding and without NUL/)
  })

  test('reports a body that was read before the endpoint as a configuration error and not as a missing parameter', async () => {
    const setup = createSetup()
    const drained: RequestPatch = { headers: { 'content-length': '54' }, body: { kind: 'parsed', value: undefined } }
    const { status, body } = await post(setup.token, '', drained)
    expect([status, body.error]).toEqual([500, 'server_error'])
    expect(setup.errors).toEqual([expect.objectContaining({ option: 'body' })])
    expect(setup.errors[0]).toBeInstanceOf(ConfigurationError)
    const empty: RequestPatch = { headers: { 'content-length': '0' }, body: { kind: 'parsed', value: undefined } }
    expect((await post(setup.token, '', empty)).status).toBe(400)
  })
})

describe('client authentication', () => {
  const { token } = createSetup()
  const by = (headers: RequestPatch['headers'], more: Record<string, string> = {}) =>
    descriptionOf(refreshWith(token, 'x', more, { headers: headers ?? {} }))

  test('names an unexpected Authorization header and one with another scheme than Basic', async () => {
    expect(await by({ authorization: 'Bearer x' })).toMatch(/scheme Basic .* need no Authorization header/)
    expect(await by({ authorization: '' })).toMatch(/need no Authorization header/)
    expect(await by({ authorization: 'Basic ?' })).toMatch(/base64 of client_id:client_secret/)
    expect(await by({ authorization: 'Basic' })).toMatch(/base64 of client_id:client_secret/)
    const twice = basic('cb', CB_SECRET)
    expect(await by({ authorization: [twice, twice] })).toMatch(/Authorization header is repeated/)
  })

  test('names the authentication methods if a request has more than one', async () => {
    const description = await by({ authorization: basic('cb', CB_SECRET) }, { client_secret: CB_SECRET })
    expect(description).toMatch(/one of Authorization, client_secret and client_assertion/)
  })

  test('names the fault of an assertion before it is verified', async () => {
    expect(await by({}, { client_assertion: 'x' })).toMatch(/client_assertion_type must be urn:/)
    const typed = { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' }
    expect(await by({}, typed)).toMatch(/client_assertion is missing/)
    expect(await by({}, { ...typed, client_assertion: 'x' })).toMatch(/client_assertion must be a JWT/)
  })

  test('has one error text for an unknown client, a wrong secret and an unneeded secret', async () => {
    const texts = await Promise.all(
      ['cb', 'unknown', 'pub'].map((client_id) => by({}, { client_id, client_secret: 'wrong' })),
    )
    expect(new Set(texts)).toEqual(new Set(['Client authentication failed.']))
  })
})

describe('pages', () => {
  const { refreshCookie } = createSetup({ cookie: { allowedOrigins: ['https://app.example'] } })
  const from = (headers: RequestPatch['headers']) =>
    descriptionOf(send(refreshCookie, fromPage('x', { headers: { 'sec-fetch-site': undefined, ...headers } })))

  test('names the wrong header of a request from a page', async () => {
    expect(await from({ 'x-baton': undefined })).toMatch(/X-Baton: 1/)
    expect(await from({})).toMatch(/neither Origin nor a known Sec-Fetch-Site/)
    expect(await from({ origin: 'https://other.example' })).toMatch(/Origin is not in allowedOrigins/)
    expect(await from({ 'sec-fetch-site': 'cross-site' })).toMatch(/By Sec-Fetch-Site, the page is of another origin/)
    expect(await from({ 'sec-fetch-site': 'none' })).toMatch(/By Sec-Fetch-Site, no page/)
  })
})

describe('access tokens', () => {
  const app = createApp()
  const guard = accessTokenGuard({ accessTokens: app.accessTokens, now: () => app.clock.now })
  const by = async (patch: RequestPatch) => {
    const outcome = await guard(request(patch))
    return outcome.ok ? '' : String(JSON.parse(outcome.response.body ?? '').error_description)
  }

  test('names why an access token is missing: no header, another scheme, a repeated header or a token in the query', async () => {
    expect(await by({})).toMatch(/Send an access token in the Authorization header/)
    expect(await by({ headers: { authorization: 'Basic eDp5' } })).toMatch(/scheme of the Authorization header/)
    expect(await by({ headers: { authorization: ['Bearer a', 'Bearer b'] } })).toMatch(
      /Authorization header is repeated/,
    )
    expect(await by({ url: '/?access_token=x' })).toMatch(/one in the query is not accepted/)
    expect(await by({ url: '/?access_token=x', headers: { authorization: 'Bearer a' } })).toMatch(/from the query/)
  })

  test('does not call a certificate-bound access token expired if the request has no certificate', async () => {
    const { accessToken } = await app.signIn('alice', { confirmation: { 'x5t#S256': 'A'.repeat(43) } })
    expect(await by({ headers: { authorization: `Bearer ${accessToken}` } })).toMatch(/bound to a client certificate/)
  })
})

test('names the methods that each endpoint serves', async () => {
  const { token, tokens } = createSetup()
  const sessions = sessionsEndpoint(tokens, { accessTokens: createApp().accessTokens, rateLimit: false })
  expect(await descriptionOf(send(token, { method: 'GET' }))).toBe('Use POST.')
  expect(await descriptionOf(send(sessions, { method: 'PUT', url: '/auth/sessions' }))).toBe('Use GET.')
})
