import { type LegacyTokenSource, ConfigurationError } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { type CookieOptions, loginEndpoint, logoutEndpoint } from '../../src/index.js'
import {
  type TestResponse,
  DAY,
  expectError,
  fromPage,
  readableAccessTokens,
  type RequestPatch,
  send,
  START,
  createSetup,
} from '../setup.js'

const LEGACY = 'refresh_token'

/** An app that migrates from a system with tokens of the form `old:<user>` in a separate cookie. */
function createMigrationSetup(cookie: CookieOptions = {}) {
  const alive = new Set(['old:alice', 'old:mallory', 'old:a b'])
  const moved: string[] = []
  const accept: LegacyTokenSource = {
    normalize: (token) => (token.startsWith('old:') ? token : null),
    lookup: async (token) =>
      alive.has(token) ? { subject: token.slice('old:'.length), scope: 'a b', expiresAt: START + 90 * DAY } : null,
    onMigrated: async (token) => {
      alive.delete(token)
      moved.push(token)
    },
  }
  const options = { legacyCookie: LEGACY, ...cookie }
  const setup = createSetup({ core: { legacyTokens: accept }, cookie: options })
  const login = loginEndpoint(setup.tokens, {
    accessTokens: readableAccessTokens(),
    authenticate: async ({ username }) => ({ subject: String(username) }),
    cookie: options,
    rateLimit: false,
    now: () => START,
  })
  const signIn = (username: string, cookies: string | null) =>
    send(login, page(cookies, { body: JSON.stringify({ username }), headers: { 'content-type': 'application/json' } }))
  const subjectOf = async (response: TestResponse) => {
    const inspection = await setup.tokens.inspect(cookiesOf(response).get('__Host-baton') ?? '')
    return inspection.active ? inspection.family.subject : null
  }
  return { ...setup, alive, moved, login, signIn, subjectOf }
}

/** A request from a page of the app with these cookies. */
function page(cookies: string | null, patch: RequestPatch = {}): RequestPatch {
  const { headers = {}, ...rest } = patch
  return fromPage(null, { ...rest, headers: { ...headers, ...(cookies === null ? {} : { cookie: cookies }) } })
}

/** Returns the cookies of these names in the browser after the response. An expired cookie is ''. */
function cookiesOf(response: TestResponse): Map<string, string> {
  return new Map(
    response.all('set-cookie').map((header) => {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(header) ?? []
      return [name, value]
    }),
  )
}

describe('legacy cookie', () => {
  test('exchanges the token in the legacy cookie for a session in the new cookie and expires the legacy cookie', async () => {
    const { refreshCookie, subjectOf, moved } = createMigrationSetup()
    const response = await send(refreshCookie, page(`${LEGACY}=old:alice`))
    expect(response.status).toBe(200)
    expect(await subjectOf(response)).toBe('alice')
    expect(cookiesOf(response).get(LEGACY)).toBe('')
    expect(response.all('set-cookie').find((header) => header.startsWith(LEGACY))).toMatch(
      /^refresh_token=; Max-Age=0; Path=\/; HttpOnly; Secure$/,
    )
    expect(moved).toEqual(['old:alice'])
    const next = await send(refreshCookie, page(`__Host-baton=${cookiesOf(response).get('__Host-baton') ?? ''}`))
    expect([next.status, await subjectOf(next)]).toEqual([200, 'alice'])
  })

  test('decodes the legacy cookie as frameworks encode it, and expires it with its own path and domain', async () => {
    const { refreshCookie, subjectOf } = createMigrationSetup({
      legacyCookie: { name: 'sid', path: '/auth', domain: 'app.example' },
    })
    const response = await send(refreshCookie, page('sid=old%3Aa%20b'))
    expect(await subjectOf(response)).toBe('a b')
    expect(response.all('set-cookie')).toContain('sid=; Max-Age=0; Domain=app.example; Path=/auth; HttpOnly; Secure')
    expectError(await send(refreshCookie, page('sid=%zz')), 401, 'invalid_grant')
  })

  test('does not change any cookie for a legacy token that was revoked', async () => {
    const { refreshCookie, alive } = createMigrationSetup()
    alive.clear()
    const response = await send(refreshCookie, page(`${LEGACY}=old:alice`))
    expectError(response, 401, 'invalid_grant')
    expect(response.all('set-cookie')).toEqual([])
  })

  test('ignores the legacy cookie without the option', async () => {
    const { refreshCookie } = createSetup({
      core: { legacyTokens: { lookup: async () => ({ subject: 'x', expiresAt: START + DAY }) } },
    })
    expectError(await send(refreshCookie, page(`${LEGACY}=old:alice`)), 401, 'invalid_grant')
  })
})

describe('attacks with the legacy cookie', () => {
  test('does not accept a token of Baton in the legacy cookie at any endpoint', async () => {
    const { refreshCookie, logout, signIn, tokens, issue, events } = createMigrationSetup()
    const first = await issue({ subject: 'mallory', clientId: 'first-party' })
    const rotated = await tokens.rotate({ refreshToken: first })
    if (!rotated.ok) throw new Error(rotated.reason)
    const before = events.length
    for (const planted of [rotated.refreshToken, first, encodeURIComponent(rotated.refreshToken)]) {
      const response = await send(refreshCookie, page(`${LEGACY}=${planted}`))
      expectError(response, 401, 'invalid_grant')
      expect(response.all('set-cookie')).toEqual([])
      expect((await send(logout, page(`${LEGACY}=${planted}`))).status).toBe(204)
      expect((await signIn('alice', `${LEGACY}=${planted}`)).status).toBe(200)
    }
    // The token of another session in the legacy cookie must not cause a revocation or a reuse event either.
    expect(events.slice(before).filter(({ type }) => ['reuse', 'revoked', 'retried'].includes(type))).toEqual([])
    expect(await tokens.rotate({ refreshToken: rotated.refreshToken })).toMatchObject({ ok: true })
  })

  test('ignores the legacy cookie if the new cookie is present', async () => {
    const { refreshCookie, issue, subjectOf, alive } = createMigrationSetup()
    const refreshToken = await issue({ clientId: 'first-party' })
    const response = await send(refreshCookie, page(`${LEGACY}=old:mallory; __Host-baton=${refreshToken}`))
    expect(await subjectOf(response)).toBe('alice')
    expect(cookiesOf(response).get(LEGACY)).toBe('')
    expect(alive).toContain('old:mallory')
    const ended = `${LEGACY}=old:mallory; __Host-baton=${refreshToken}x`
    expectError(await send(refreshCookie, page(ended)), 401, 'invalid_grant')
  })

  test('rejects two legacy cookies that would both be accepted', async () => {
    const { refreshCookie, subjectOf, alive } = createMigrationSetup()
    for (const cookies of [
      `${LEGACY}=old:mallory; ${LEGACY}=old:alice`,
      `${LEGACY}=old:alice; ${LEGACY}=old:mallory`,
    ]) {
      const response = await send(refreshCookie, page(cookies))
      expectError(response, 401, 'invalid_grant')
      expect(response.all('set-cookie')).toEqual([])
    }
    expect(alive).toEqual(new Set(['old:alice', 'old:mallory', 'old:a b']))
    alive.delete('old:mallory')
    const response = await send(refreshCookie, page(`${LEGACY}=old:mallory; ${LEGACY}=old:alice`))
    expect(await subjectOf(response)).toBe('alice')
  })
})

describe('browsers with a legacy cookie', () => {
  test('revokes the legacy session in both systems at logout, and expires both cookies', async () => {
    const { refreshCookie, logout, moved } = createMigrationSetup()
    const response = await send(logout, page(`${LEGACY}=old:alice`))
    expect(response.status).toBe(204)
    expect([...cookiesOf(response)]).toEqual([
      [LEGACY, ''],
      ['__Host-baton', ''],
    ])
    expect(moved).toEqual(['old:alice'])
    expectError(await send(refreshCookie, page(`${LEGACY}=old:alice`)), 401, 'invalid_grant')
  })

  test('revokes the legacy session at a new login, and leaves only the new cookie', async () => {
    const { refreshCookie, signIn, subjectOf } = createMigrationSetup()
    const response = await signIn('bob', `${LEGACY}=old:alice`)
    expect(await subjectOf(response)).toBe('bob')
    expect(cookiesOf(response).get(LEGACY)).toBe('')
    expectError(await send(refreshCookie, page(`${LEGACY}=old:alice`)), 401, 'invalid_grant')
  })

  test('also expires the legacy cookie in a browser that never had it', async () => {
    const { refreshCookie, logout, issue } = createMigrationSetup()
    const response = await send(refreshCookie, page(`__Host-baton=${await issue({ clientId: 'first-party' })}`))
    expect(cookiesOf(response).get(LEGACY)).toBe('')
    expect(cookiesOf(await send(logout, page(null))).get(LEGACY)).toBe('')
  })
})

test.each<[string, unknown]>([
  ['cookie.legacyCookie', 7],
  ['cookie.legacyCookie', null],
  ['cookie.legacyCookie.name', ''],
  ['cookie.legacyCookie.name', 'a b'],
  ['cookie.legacyCookie.name', 'a;b'],
  ['cookie.legacyCookie.name', 'baton'],
  ['cookie.legacyCookie.name', '__Host-baton'],
  ['cookie.legacyCookie.name', {}],
  ['cookie.legacyCookie.path', { name: 'sid', path: 'auth' }],
  ['cookie.legacyCookie.path', { name: 'sid', path: '/;Domain=x' }],
  ['cookie.legacyCookie.domain', { name: 'sid', domain: 'app.example; x' }],
  ['cookie.legacyCookie.maxAge', { name: 'sid', maxAge: 1 }],
])('rejects option "%s" with the value %j', (option, legacyCookie) => {
  const { tokens } = createSetup()
  const options = { cookie: { legacyCookie } as CookieOptions }
  expect(() => logoutEndpoint(tokens, options)).toThrow(
    expect.objectContaining({ name: ConfigurationError.name, option }),
  )
})
