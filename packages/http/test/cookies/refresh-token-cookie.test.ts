import { FIRST_PARTY, ConfigurationError } from '@baton/core'
import { CookieJar } from 'tough-cookie'
import { describe, expect, test } from 'vitest'
import { type CookieOptions, logoutEndpoint } from '../../src/index.js'
import {
  type TestResponse,
  DAY,
  expectError,
  fromPage,
  HOUR,
  IDEMPOTENCY_KEY,
  MINUTE,
  type RequestPatch,
  SECOND,
  send,
  createSetup,
  type WorldOptions,
} from '../setup.js'

const APP = 'https://app.example'

function createCookieSetup(options: WorldOptions = {}) {
  const setup = createSetup(options)
  const issue = (more: Parameters<typeof setup.issue>[0] = {}) => setup.issue({ clientId: FIRST_PARTY, ...more })
  return { ...setup, issue }
}

function valueOf(response: TestResponse): string {
  return /^[^=]+=([^;]*)/.exec(response.header('set-cookie') ?? '')?.[1] ?? ''
}

describe('refresh by cookie', () => {
  test('replaces the cookie and returns everything but the refresh token in the body', async () => {
    const { refreshCookie, issue, families } = createCookieSetup()
    const rt0 = await issue()
    const [family] = await families()
    const response = await send(refreshCookie, fromPage(rt0))
    expect(response.status).toBe(200)
    expect(Object.keys(response.body)).toEqual(['access_token', 'token_type', 'expires_in', 'scope', 'sid'])
    expect(response.body.sid).toBe(family?.id)
    expect(response.header('cache-control')).toBe('no-store')
    expect(response.raw.body).not.toContain('brt_')
    expect(valueOf(response)).toMatch(/^brt_/)
    expect(valueOf(response)).not.toBe(rt0)
    expect((await send(refreshCookie, fromPage(valueOf(response)))).status).toBe(200)
  })

  test('F-08: returns the same token to a retry after a lost response', async () => {
    const { refreshCookie, issue, advance } = createCookieSetup()
    const rt0 = await issue()
    const page = fromPage(rt0, { headers: { 'idempotency-key': IDEMPOTENCY_KEY } })
    const first = await send(refreshCookie, page)
    advance(HOUR)
    expect(valueOf(await send(refreshCookie, page))).toBe(valueOf(first))
  })

  test('ignores the body and the query', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const rt0 = await issue()
    const patch = { url: `/auth/refresh?refresh_token=${rt0}`, body: `refresh_token=${rt0}&scope=a` }
    expectError(await send(refreshCookie, fromPage(null, patch)), 401, 'invalid_grant')
    expect((await send(refreshCookie, fromPage(rt0, patch))).body.scope).toBe('a b')
  })

  test('responds identically to all rejected tokens with 401 and a Bearer challenge, and keeps the cookie', async () => {
    const { refreshCookie, issue, tokens, advance } = createCookieSetup()
    const outcomes: TestResponse[] = [
      await send(refreshCookie, fromPage(null)),
      await send(refreshCookie, fromPage('')),
    ]
    const revoked = await issue()
    await tokens.revoke({ refreshToken: revoked })
    const reused = await issue()
    await send(refreshCookie, fromPage(reused))
    const expired = await issue()
    advance(31 * DAY)
    const foreign = await issue({ clientId: 'pub' })
    for (const token of [revoked, reused, expired, foreign, 'nonsense', 'x'.repeat(5000), '%00'])
      outcomes.push(await send(refreshCookie, fromPage(token)))
    for (const outcome of outcomes) {
      expectError(outcome, 401, 'invalid_grant')
      expect(outcome.header('www-authenticate')).toBe('Bearer')
    }
    expect(new Set(outcomes.map(({ raw }) => JSON.stringify(raw))).size).toBe(1)
  })

  test('expires the cookie of an inactive subject and consumes no token', async () => {
    const account = { active: false }
    const { refreshCookie, issue } = createCookieSetup({ core: { beforeRotate: async () => account } })
    const rt0 = await issue()
    expectError(await send(refreshCookie, fromPage(rt0)), 401, 'invalid_grant')
    account.active = true
    expect((await send(refreshCookie, fromPage(rt0))).status).toBe(200)
  })

  test('rejects the refresh of a page that names another session, and changes nothing', async () => {
    const { refreshCookie, logout, issue, families } = createCookieSetup()
    const rt0 = await issue()
    const [family] = await families()
    await issue({ subject: 'bob' })
    const [other] = await families('bob')
    const headers = { 'x-baton-session': other!.id }
    expectError(await send(refreshCookie, fromPage(rt0, { headers })), 409, 'other_session')
    expectError(await send(logout, fromPage(rt0, { headers })), 409, 'other_session')
    expect((await send(logout, fromPage(rt0, { headers }))).body).toMatchObject({ session_active: true })
    expect(await families()).toEqual([expect.objectContaining({ id: family!.id, generation: 0 })])
    const right = fromPage(rt0, { headers: { 'x-baton-session': family!.id } })
    expect((await send(refreshCookie, right)).status).toBe(200)
    const twice = fromPage(rt0, { headers: { 'x-baton-session': [family!.id, family!.id] } })
    expectError(await send(refreshCookie, twice), 400, 'invalid_request')
  })

  test('does not call an ended session active at a logout whose cookie belongs to another session', async () => {
    const { tokens, logout, issue, families } = createCookieSetup()
    const rt0 = await issue()
    await issue({ subject: 'bob' })
    const [other] = await families('bob')
    await tokens.revoke({ familyId: other!.id, reason: 'replaced' })
    for (const id of [other!.id, 'no such session']) {
      const { status, body } = await send(logout, fromPage(rt0, { headers: { 'x-baton-session': id } }))
      expect([status, body.error, body['session_active']]).toEqual([409, 'other_session', undefined])
    }
  })

  test('responds with 503 during an outage of the store and keeps the cookie', async () => {
    const { refreshCookie, issue, state } = createCookieSetup()
    const rt0 = await issue()
    state.isDown = true
    expectError(await send(refreshCookie, fromPage(rt0)), 503, 'temporarily_unavailable')
    state.isDown = false
    expect((await send(refreshCookie, fromPage(rt0))).status).toBe(200)
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE'])('rejects %s without a refresh and without a logout', async (method) => {
    const { refreshCookie, logout, issue, families } = createCookieSetup()
    const rt0 = await issue()
    expectError(await send(refreshCookie, fromPage(rt0, { method })), 405, 'invalid_request')
    expectError(await send(logout, fromPage(rt0, { method })), 405, 'invalid_request')
    expect((await families())[0]?.generation).toBe(0)
  })
})

describe('H-03: cookie attributes', () => {
  const attributes = (response: TestResponse) => (response.header('set-cookie') ?? '').split('; ').slice(1).sort()

  test('H-03: sets a cookie that scripts, other sites and other hosts cannot read', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const response = await send(refreshCookie, fromPage(await issue()))
    expect(response.header('set-cookie')).toMatch(/^__Host-baton=brt_[\w-]{112};/)
    expect(attributes(response)).toEqual(['HttpOnly', 'Max-Age=2592000', 'Path=/', 'SameSite=Strict', 'Secure'])
  })

  test('H-03: sets a partitioned cookie for apps in frames of other sites', async () => {
    const { refreshCookie, issue } = createCookieSetup({ cookie: { crossSite: true, name: 'sess' } })
    const rt0 = await issue()
    const response = await send(refreshCookie, fromPage(null, { headers: { cookie: `__Host-sess=${rt0}` } }))
    expect(response.header('set-cookie')).toMatch(/^__Host-sess=brt_/)
    expect(attributes(response)).toEqual([
      'HttpOnly',
      'Max-Age=2592000',
      'Partitioned',
      'Path=/',
      'SameSite=None',
      'Secure',
    ])
  })

  test('H-03: sets a cookie without prefix and Secure on loopback without TLS', async () => {
    const { refreshCookie, issue } = createCookieSetup({ cookie: { crossSite: true } })
    const local: RequestPatch = { encrypted: false, remoteAddress: '127.0.0.1' }
    const headers = { cookie: `baton=${await issue()}`, host: 'localhost:3000' }
    const response = await send(refreshCookie, fromPage(null, { ...local, headers }))
    expect(response.header('set-cookie')).toMatch(/^baton=brt_/)
    expect(attributes(response)).toEqual(['HttpOnly', 'Max-Age=2592000', 'Path=/', 'SameSite=Strict'])
  })

  test('H-03: ignores a cookie without the prefix, because another host may have set it', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const headers = { cookie: `baton=${await issue()}` }
    expectError(await send(refreshCookie, fromPage(null, { headers })), 401, 'invalid_grant')
  })

  test('H-03: sets a cookie that expires at the idle or the absolute expiry, whichever is earlier', async () => {
    const core = { policy: { idleSeconds: 3600, absoluteSeconds: 7200 } }
    const { refreshCookie, issue, advance } = createCookieSetup({ core })
    let token = await issue()
    const maxAges = []
    for (let turn = 0; turn < 3; turn++) {
      advance(30 * MINUTE + SECOND / 2)
      const response = await send(refreshCookie, fromPage(token))
      maxAges.push(attributes(response)[1])
      token = valueOf(response)
    }
    expect(maxAges).toEqual(['Max-Age=3600', 'Max-Age=3599', 'Max-Age=1798'])
  })

  test('H-03: sets a cookie that a strict cookie jar stores, sends and deletes', async () => {
    const { refreshCookie, logout, issue } = createCookieSetup()
    const jar = new CookieJar(undefined, { prefixSecurity: 'strict' })
    const url = 'https://as.example/auth/refresh'
    const set = await send(refreshCookie, fromPage(await issue()))
    await jar.setCookie(set.header('set-cookie')!, url)
    const cookie = await jar.getCookieString('https://as.example/anywhere')
    expect(cookie).toBe(`__Host-baton=${valueOf(set)}`)
    expect(await jar.getCookieString('https://evil.as.example/')).toBe('')
    const cleared = await send(logout, fromPage(null, { headers: { cookie } }))
    await jar.setCookie(cleared.header('set-cookie')!, url)
    expect(await jar.getCookieString(url)).toBe('')
  })

  test.each([
    ['one header', (a: string, b: string) => `__Host-baton=${a}; __Host-baton=${b}`],
    ['two headers', (a: string, b: string) => [`__Host-baton=${a}`, `x=y; __Host-baton=${b}`]],
  ])('H-03: uses the active one of two cookies of one name in %s', async (_name, cookieOf) => {
    const { refreshCookie, logout, issue, families } = createCookieSetup()
    const rt0 = await issue()
    const page = fromPage(null, { headers: { cookie: cookieOf('nonsense', rt0) } })
    expect((await send(refreshCookie, page)).status).toBe(200)
    expect((await send(logout, page)).status).toBe(204)
    expect(await families()).toEqual([])
  })

  test('H-03: ignores an empty cookie beside another of the same name', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const cookie = `__Host-baton=${await issue()}; __Host-baton=`
    expect((await send(refreshCookie, fromPage(null, { headers: { cookie } }))).status).toBe(200)
  })

  test('H-03: accepts only one spelling of the token in the cookie', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const rt0 = await issue()
    const escaped = `%${rt0.charCodeAt(0).toString(16)}${rt0.slice(1)}`
    expectError(await send(refreshCookie, fromPage(escaped)), 401, 'invalid_grant')
    expectError(await send(refreshCookie, fromPage(`"${rt0}"`)), 401, 'invalid_grant')
  })

  test('H-03: ignores other cookies of any form', async () => {
    const { refreshCookie, issue } = createCookieSetup()
    const cookie = `a=b; =x; novalue; __Host-batonx=1; q="a;b"; __proto__=1;; __Host-baton=${await issue()} ; z=%`
    expect((await send(refreshCookie, fromPage(null, { headers: { cookie } }))).status).toBe(200)
  })

  test.each<[string, CookieOptions, string]>([
    ['a prefixed name', { name: '__Host-baton' }, 'cookie.name'],
    ['a name with a space', { name: 'a b' }, 'cookie.name'],
    ['no name', { name: '' }, 'cookie.name'],
    ['an origin with a path', { allowedOrigins: ['https://app.example/'] }, 'cookie.allowedOrigins[0]'],
    ['an origin in capitals', { allowedOrigins: ['https://App.example'] }, 'cookie.allowedOrigins[0]'],
    ['an origin with the usual port', { allowedOrigins: ['https://app.example:443'] }, 'cookie.allowedOrigins[0]'],
    ['an origin without TLS', { allowedOrigins: ['http://app.example'] }, 'cookie.allowedOrigins[0]'],
    ['a wildcard', { allowedOrigins: ['*'] }, 'cookie.allowedOrigins[0]'],
    ['null', { allowedOrigins: ['null'] }, 'cookie.allowedOrigins[0]'],
    ['a misspelt option', { allowOrigins: [] } as never, 'cookie.allowOrigins'],
  ])('rejects an invalid option: %s', (_name, cookie, option) => {
    const make = () => logoutEndpoint(createSetup().tokens, { cookie })
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(expect.objectContaining({ option }))
  })
})

describe('H-04 H-05: cross-site requests', () => {
  const own = 'https://as.example'
  const elsewhere = 'https://evil.example'

  /** Returns the effect on the cookie of a session of a request with these headers. */
  async function outcome(headers: RequestPatch['headers'], patch: RequestPatch = {}, cookie: CookieOptions = {}) {
    const { refreshCookie, logout, issue, families } = createCookieSetup({
      cookie: { allowedOrigins: [APP], ...cookie },
    })
    const rt0 = await issue()
    const page = fromPage(rt0, { ...patch, headers: { 'sec-fetch-site': undefined, ...headers } })
    const refreshed = await send(refreshCookie, page)
    if (refreshed.status === 200) {
      expect((await send(logout, page)).status).toBe(204)
      return 'served'
    }
    expectError(refreshed, 403, 'access_denied')
    expectError(await send(logout, page), 403, 'access_denied')
    expect((await families())[0]?.generation).toBe(0)
    return 'refused'
  }

  test.each<[string, string | undefined, string | undefined]>([
    ['refused', undefined, undefined],
    ['served', undefined, own],
    ['served', undefined, APP],
    ['refused', undefined, elsewhere],
    ['refused', undefined, 'null'],
    ['served', 'same-origin', undefined],
    ['served', 'same-origin', own],
    ['refused', 'same-site', undefined],
    ['refused', 'same-site', 'https://sub.as.example'],
    ['served', 'same-site', APP],
    ['refused', 'cross-site', undefined],
    ['refused', 'cross-site', elsewhere],
    ['refused', 'cross-site', own],
    ['refused', 'cross-site', `${APP}/`],
    ['refused', 'cross-site', `${APP}.evil.example`],
    ['served', 'cross-site', APP],
    ['refused', 'none', undefined],
    ['refused', 'none', own],
    ['refused', 'none', APP],
    ['refused', 'nonsense', undefined],
    ['served', 'nonsense', own],
    ['refused', 'nonsense', elsewhere],
    ['refused', '', undefined],
    ['served', '', own],
  ])('H-05: %s with Sec-Fetch-Site %s and Origin %s', async (expected, site, origin) => {
    expect(await outcome({ 'sec-fetch-site': site, origin })).toBe(expected)
  })

  test.each([
    ['none', undefined],
    ['another value', 'true'],
    ['an empty one', ''],
    ['two', ['1', '1']],
  ])('H-04: requires exactly one header X-Baton: 1 (%s)', async (_name, header) => {
    for (const more of [{ 'sec-fetch-site': 'same-origin' }, { origin: own }, { origin: APP }])
      expect(await outcome({ 'x-baton': header, ...more })).toBe('refused')
  })

  test('H-04: rejects a form of another site', async () => {
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      origin: elsewhere,
      'sec-fetch-site': 'cross-site',
    }
    expect(await outcome({ ...headers, 'x-baton': undefined })).toBe('refused')
  })

  test('H-05: compares scheme, host and port of the origin', async () => {
    expect(await outcome({ origin: 'http://as.example' })).toBe('refused')
    expect(await outcome({ origin: 'https://as.example:8443' })).toBe('refused')
    expect(await outcome({ origin: 'https://as.example:8443', host: 'as.example:8443' })).toBe('served')
    expect(await outcome({ origin: own, host: 'AS.example:443' })).toBe('served')
    expect(await outcome({ origin: own, host: undefined })).toBe('refused')
    expect(await outcome({ origin: own, host: undefined, ':authority': 'as.example' })).toBe('served')
    expect(await outcome({ origin: own, host: ['as.example', 'as.example'] })).toBe('refused')
    expect(await outcome({ origin: 'https://evil.example', host: 'as.example@evil.example' })).toBe('refused')
    expect(await outcome({ origin: [own, own] })).toBe('refused')
  })

  test('H-05: uses the scheme that the client used behind a trusted proxy', async () => {
    const behind: WorldOptions = { trustProxy: 1 }
    const { refreshCookie, issue } = createCookieSetup(behind)
    const headers = {
      origin: own,
      'sec-fetch-site': undefined,
      'x-forwarded-for': '198.51.100.1',
      'x-forwarded-proto': 'https',
    }
    const patch = { encrypted: false, remoteAddress: '10.0.0.1', headers }
    expect((await send(refreshCookie, fromPage(await issue(), patch))).status).toBe(200)
  })

  test('rejects every other origin without an allow-list', async () => {
    for (const site of ['same-site', 'cross-site', undefined])
      expect(await outcome({ 'sec-fetch-site': site, origin: APP }, {}, { allowedOrigins: [] })).toBe('refused')
  })
})

describe('logout', () => {
  test('revokes the family and expires the cookie at logout', async () => {
    const { logout, refreshCookie, issue, events } = createCookieSetup()
    const rt0 = await issue()
    const response = await send(logout, fromPage(rt0))
    expect(response.raw).toEqual({
      status: 204,
      headers: [
        ['cache-control', 'no-store'],
        ['pragma', 'no-cache'],
        ['x-content-type-options', 'nosniff'],
        ['set-cookie', '__Host-baton=; Max-Age=0; Path=/; HttpOnly; Secure; Partitioned; SameSite=None'],
        ['set-cookie', '__Host-baton=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict'],
      ],
      body: null,
    })
    expect(events).toContainEqual(expect.objectContaining({ type: 'revoked', reason: 'logout' }))
    expectError(await send(refreshCookie, fromPage(rt0)), 401, 'invalid_grant')
  })

  test('accepts a logout without a cookie, with an ended session and with an invalid cookie', async () => {
    const { logout, issue, tokens } = createCookieSetup()
    const ended = await issue()
    await tokens.revoke({ refreshToken: ended })
    for (const cookie of [null, '', ended, 'nonsense']) {
      const response = await send(logout, fromPage(cookie))
      expect(response.status).toBe(204)
      expect(response.all('set-cookie')).toHaveLength(2)
    }
  })

  test('accepts a logout with a rotated token', async () => {
    const { logout, refreshCookie, issue, families } = createCookieSetup()
    const rt0 = await issue()
    const rt1 = valueOf(await send(refreshCookie, fromPage(rt0)))
    await send(refreshCookie, fromPage(rt1))
    expect((await send(logout, fromPage(rt0))).status).toBe(204)
    expect(await families()).toEqual([])
  })

  test('keeps the cookie at a logout during an outage of the store', async () => {
    const { logout, refreshCookie, issue, state } = createCookieSetup()
    const rt0 = await issue()
    state.isDown = true
    expectError(await send(logout, fromPage(rt0)), 503, 'temporarily_unavailable')
    state.isDown = false
    expect((await send(refreshCookie, fromPage(rt0))).status).toBe(200)
  })
})
