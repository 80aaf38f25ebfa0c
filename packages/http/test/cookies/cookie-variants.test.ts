import { FIRST_PARTY } from '@baton/core'
import { CookieJar } from 'tough-cookie'
import { describe, expect, test } from 'vitest'
import { loginEndpoint, logoutEndpoint, refreshEndpoint } from '../../src/index.js'
import {
  type TestResponse,
  DAY,
  expectError,
  fromPage,
  readableAccessTokens,
  MINUTE,
  type RequestPatch,
  send,
  createSetup,
} from '../setup.js'

const ORIGIN = 'https://as.example'
const NAME = '__Host-baton'

/**
 * The cookies of one browser for the server, as seen from the server's own pages and from pages of other sites that embed them. A
 * browser without partitions ignores the attribute (RFC 6265 section 5.2), so that both variants are the same cookie.
 */
function browser({ hasPartitions = true } = {}) {
  const shared = new CookieJar(undefined, { prefixSecurity: 'strict' })
  const partitions = new Map<string, CookieJar>()
  const partition = (topLevel: string) => {
    const jar = partitions.get(topLevel) ?? new CookieJar(undefined, { prefixSecurity: 'strict' })
    partitions.set(topLevel, jar)
    return jar
  }
  const contextOf = (topLevel: string) => ({ sameSiteContext: topLevel === ORIGIN ? 'strict' : 'none' }) as const
  return {
    /** Stores a Set-Cookie header that was received while the address bar showed a page of `topLevel`. */
    async store(header: string, topLevel = ORIGIN): Promise<void> {
      const jar = hasPartitions && /; Partitioned(;|$)/.test(header) ? partition(topLevel) : shared
      // A browser ignores an invalid cookie without a message.
      await jar.setCookie(header, ORIGIN, contextOf(topLevel)).catch(() => undefined)
    },
    async cookieHeader(topLevel = ORIGIN): Promise<string> {
      const jars = [shared, partition(topLevel)]
      const texts = await Promise.all(jars.map((jar) => jar.getCookieString(ORIGIN, contextOf(topLevel))))
      return texts.filter((text) => text !== '').join('; ')
    },
  }
}

type Browser = ReturnType<typeof browser>
type Mode = 'embedded' | 'not embedded'
const MODES: readonly Mode[] = ['embedded', 'not embedded']

/** Creates servers over one store with different values of `crossSite`, and a browser page that visits them in turn. */
function visitor(client: Browser = browser(), { topLevel = ORIGIN, allowed = [ORIGIN] } = {}) {
  const setup = createSetup()
  const { tokens, clock, families } = setup
  const shared = { accessTokens: readableAccessTokens(), rateLimit: false, now: () => clock.now } as const
  const serverOf = (mode: Mode) => {
    const cookie = { crossSite: mode === 'embedded', allowedOrigins: allowed }
    const { accessTokens: _none, ...plain } = shared
    return {
      login: loginEndpoint(tokens, { ...shared, cookie, authenticate: async () => ({ subject: 'alice' }) }),
      refresh: refreshEndpoint(tokens, { ...shared, cookie }),
      logout: logoutEndpoint(tokens, { ...plain, cookie }),
    }
  }
  const servers = { embedded: serverOf('embedded'), 'not embedded': serverOf('not embedded') }
  return {
    ...setup,
    client,
    /** Starts a session of the client that owns the cookie. */
    issue: (more: Parameters<typeof setup.issue>[0] = {}) => setup.issue({ clientId: FIRST_PARTY, ...more }),
    /** Stores a cookie as an earlier version of the server did: without expiring the other variant. */
    async seed(refreshToken: string, mode: Mode): Promise<void> {
      const variant = mode === 'embedded' ? 'SameSite=None; Partitioned' : 'SameSite=Strict'
      await client.store(`${NAME}=${refreshToken}; Path=/; HttpOnly; Secure; ${variant}`, topLevel)
    },
    async visit(
      action: keyof typeof servers.embedded,
      mode: Mode,
      headers: Record<string, string> = {},
    ): Promise<TestResponse> {
      const cookie = await client.cookieHeader(topLevel)
      const body = action === 'login' ? '{}' : ''
      const page = fromPage(null, {
        body,
        headers: {
          origin: ORIGIN,
          'content-type': 'application/json',
          ...(cookie === '' ? {} : { cookie }),
          ...headers,
        },
      })
      const response = await send(servers[mode][action], page)
      for (const header of response.all('set-cookie')) await client.store(header, topLevel)
      return response
    },
    cookies: async () => (await client.cookieHeader(topLevel)).split('; ').filter((pair) => pair !== ''),
    live: async () => (await families()).map(({ id }) => id),
    liveOf: async (client: string) =>
      (await families()).filter(({ clientId }) => clientId === client).map(({ id }) => id),
  }
}

const sequences = MODES.flatMap((first) => MODES.flatMap((second) => MODES.map((third) => [first, second, third])))

describe.each([[true], [false]])('H-03 in a browser with partitioned cookies: %s', (hasPartitions) => {
  test.each(sequences)(
    'H-03: keeps a session active while the option is %s at login, then %s, then %s',
    async (...[first, second, third]: Mode[]) => {
      const page = visitor(browser({ hasPartitions }))
      const { body } = await page.visit('login', first!)
      for (const mode of [second!, third!, third!]) {
        page.advance(MINUTE)
        const refreshed = await page.visit('refresh', mode)
        expect([refreshed.status, refreshed.body.sid]).toEqual([200, body.sid])
        expect(await page.cookies()).toHaveLength(1)
      }
      const other = await page.visit('login', first!)
      expect([other.status, await page.live()]).toEqual([200, [other.body.sid]])
      expect(await page.cookies()).toHaveLength(1)
      expect((await page.visit('logout', second!)).status).toBe(204)
      expect([await page.cookies(), await page.live()]).toEqual([[], []])
    },
  )
})

type Page = ReturnType<typeof visitor>
type Pair = { readonly one: string; readonly other: string; readonly expected: 'one' | 'other' | 'neither' }

/** Two tokens that a browser may store under one name, and the one whose session is active. */
const pairs: Readonly<Record<string, (page: Page) => Promise<Pair>>> = {
  async 'a live session and a string that is no token'(page) {
    return { one: await page.issue(), other: 'nonsense', expected: 'one' }
  },
  async 'a live session and a revoked one'(page) {
    const [one, other] = [await page.issue(), await page.issue()]
    await page.tokens.revoke({ refreshToken: other })
    return { one, other, expected: 'one' }
  },
  async 'a live session and an expired one'(page) {
    const other = await page.issue()
    page.advance(31 * DAY)
    return { one: await page.issue(), other, expected: 'one' }
  },
  async 'a live session and a live one that began later'(page) {
    const one = await page.issue()
    page.advance(DAY)
    return { one, other: await page.issue(), expected: 'other' }
  },
  async 'a live session and one of another client that began later'(page) {
    const one = await page.issue()
    page.advance(DAY)
    return { one, other: await page.issue({ clientId: 'pub' }), expected: 'one' }
  },
  async 'an ancestor and the current token of one session'(page) {
    const one = await page.issue()
    const rotated = await page.tokens.rotate({ refreshToken: one, clientId: FIRST_PARTY })
    page.advance(DAY)
    return { one, other: rotated.ok ? rotated.refreshToken : '', expected: 'other' }
  },
  async 'two dead sessions'(page) {
    const [one, other] = [await page.issue(), await page.issue()]
    page.advance(31 * DAY)
    return { one, other, expected: 'neither' }
  },
  async 'the same token twice'(page) {
    const one = await page.issue()
    return { one, other: one, expected: 'one' }
  },
}

const cases = Object.keys(pairs).flatMap((name) =>
  MODES.flatMap((place) => MODES.map((mode) => [name, place, mode] as const)),
)

describe.each(cases)('with %s in the browser, the first one %s, and the option %s', (name, place, mode) => {
  async function arrange() {
    const page = visitor()
    const { one, other, expected } = await pairs[name]!(page)
    await page.seed(one, place)
    await page.seed(other, place === 'embedded' ? 'not embedded' : 'embedded')
    expect(await page.cookies()).toHaveLength(2)
    const inspection = expected === 'neither' ? null : await page.tokens.inspect(expected === 'one' ? one : other)
    return { page, sid: inspection?.active === true ? inspection.family.id : null }
  }

  test('a refresh continues the active session and leaves one cookie', async () => {
    const { page, sid } = await arrange()
    const before = await page.live()
    const refreshed = await page.visit('refresh', mode)
    if (sid === null) expectError(refreshed, 401, 'invalid_grant')
    else {
      expect([refreshed.status, refreshed.body.sid]).toEqual([200, sid])
      expect(await page.cookies()).toHaveLength(1)
      expect((await page.visit('refresh', mode)).body.sid).toBe(sid)
    }
    expect(await page.live()).toEqual(before)
    expect(page.events.filter(({ type }) => type === 'reuse')).toEqual([])
  })

  test('a login leaves one session and one cookie', async () => {
    const { page } = await arrange()
    const { status, body } = await page.visit('login', mode)
    expect([status, (await page.cookies()).length]).toEqual([200, 1])
    expect((await page.visit('refresh', mode)).body.sid).toBe(body.sid)
    expect((await page.live()).filter((id) => id !== body.sid)).toEqual(await page.liveOf('pub'))
  })

  test('a logout leaves no session and no cookie', async () => {
    const { page } = await arrange()
    expect((await page.visit('logout', mode)).status).toBe(204)
    expect(await page.cookies()).toEqual([])
    expect(await page.live()).toEqual(await page.liveOf('pub'))
  })
})

describe('two active sessions in the browser', () => {
  async function arrange() {
    const page = visitor()
    const [one, other] = [await page.issue(), await page.issue()]
    await page.seed(one, 'embedded')
    await page.seed(other, 'not embedded')
    const ids = await Promise.all(
      [one, other].map(async (refreshToken) => {
        const inspection = await page.tokens.inspect(refreshToken)
        return inspection.active ? inspection.family.id : ''
      }),
    )
    return { page, ids }
  }

  test('a refresh continues the session that the page names', async () => {
    for (const index of [0, 1]) {
      const { page, ids } = await arrange()
      const refreshed = await page.visit('refresh', 'not embedded', { 'x-baton-session': ids[index]! })
      expect([refreshed.status, refreshed.body.sid]).toEqual([200, ids[index]])
    }
  })

  test('a refresh or logout for a third session changes nothing', async () => {
    const { page, ids } = await arrange()
    for (const action of ['refresh', 'logout'] as const)
      expectError(
        await page.visit(action, 'embedded', { 'x-baton-session': 'AAAAAAAAAAAAAAAAAAAAAA' }),
        409,
        'other_session',
      )
    expect(new Set(await page.live())).toEqual(new Set(ids))
    expect(await page.cookies()).toHaveLength(2)
  })

  test('a logout of the session that the page names revokes both sessions', async () => {
    const { page, ids } = await arrange()
    expect((await page.visit('logout', 'embedded', { 'x-baton-session': ids[1]! })).status).toBe(204)
    expect([await page.live(), await page.cookies()]).toEqual([[], []])
  })

  test('a failure of the store leaves both cookies', async () => {
    const { page, ids } = await arrange()
    page.state.isDown = true
    for (const action of ['refresh', 'logout'] as const)
      expectError(await page.visit(action, 'embedded'), 503, 'temporarily_unavailable')
    page.state.isDown = false
    expect(new Set(await page.live())).toEqual(new Set(ids))
    expect(await page.cookies()).toHaveLength(2)
  })
})

test('a session bound to a lost key does not prevent the logout of another session', async () => {
  const page = visitor()
  await page.seed(await page.issue({ confirmation: { jkt: 'A'.repeat(43) } }), 'embedded')
  expectError(await page.visit('logout', 'embedded'), 400, 'invalid_dpop_proof')
  await page.seed(await page.issue(), 'not embedded')
  expect((await page.visit('logout', 'embedded')).status).toBe(204)
  expect(await page.cookies()).toEqual([])
})

test('a login in a frame of another site keeps the session of the top-level page', async () => {
  const client = browser()
  const top = visitor(client)
  const { body } = await top.visit('login', 'not embedded')
  const frame = visitor(client, { topLevel: 'https://portal.example' })
  for (const action of ['login', 'refresh', 'logout'] as const)
    expect((await frame.visit(action, 'embedded', { 'sec-fetch-site': 'cross-site' })).status).toBeLessThan(300)
  expect((await top.visit('refresh', 'not embedded')).body.sid).toBe(body.sid)
})

test('a server on loopback without TLS uses its own cookie among several cookies', async () => {
  const { refreshCookie, logout, issue, families } = createSetup()
  const local: RequestPatch = { encrypted: false, remoteAddress: '127.0.0.1' }
  const cookie = `baton=brt_of_another_app; baton=${await issue({ clientId: FIRST_PARTY })}`
  const page = fromPage(null, { ...local, headers: { cookie, host: 'localhost:3000' } })
  const refreshed = await send(refreshCookie, page)
  expect([refreshed.status, refreshed.all('set-cookie').length]).toEqual([200, 1])
  expect((await send(logout, page)).status).toBe(204)
  expect(await families()).toEqual([])
})
