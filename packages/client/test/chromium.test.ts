import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTab, openWorker, pages, type Tab } from './browser.js'
import type { Opening } from './page.js'
import { gate, startServer, type TestServer } from './server.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const LIFE = 15 * MINUTE
const ME = '/api/me'

const READ_DATABASE = `new Promise((resolve) => {
  const opening = indexedDB.open('baton', 1)
  opening.onsuccess = () => {
    const reading = opening.result.transaction('sessions').objectStore('sessions').get('baton')
    reading.onsuccess = () => resolve(reading.result)
  }
})`

let browser: Browser
let site: Awaited<ReturnType<typeof pages>>
let context: BrowserContext
let server: TestServer
/** How far the server's clock, and that of tabs opened from now on, is ahead of the machine's. */
let ahead: number

beforeAll(async () => {
  ;[browser, site] = await Promise.all([launchChromium(), pages()])
})
afterAll(async () => {
  await browser.close()
  site.remove()
})
beforeEach(async () => {
  ahead = 0
  server = await startServer({ now: () => Date.now() + ahead, pages: site.served })
  context = await browser.newContext()
})
afterEach(async () => {
  await context.close()
  await server.stop()
})

const open = (opening: Opening | null = {}, path?: string) =>
  openTab(context, server.origin, opening === null ? null : { offset: ahead, ...opening }, path)
const refreshes = () => server.asked('/oauth/token').length
const outcomes = () => server.events.map(({ type }) => type)

/** Time goes by, for the server and these tabs. */
async function pass(ms: number, tabs: readonly Tab[]): Promise<void> {
  ahead += ms
  await Promise.all(tabs.map((tab) => tab.ask('pass', ms, 'both')))
}

async function signedIn(opening: Opening = {}): Promise<Tab> {
  const tab = await open(opening)
  await tab.ask('login', 'alice', '/login')
  return tab
}

/** Freezes a page, as a system does with hidden pages. Returns a function that resumes it. */
async function freeze({ page }: Tab): Promise<() => Promise<void>> {
  const devtools = await context.newCDPSession(page)
  await devtools.send('Debugger.enable')
  await devtools.send('Debugger.pause')
  return async () => {
    await devtools.send('Debugger.disable')
    await devtools.detach()
  }
}

const allSame = (values: readonly string[]) => expect(new Set(values).size).toBe(1)

describe('tabs and workers', () => {
  test('eight tabs and two workers whose token has expired send one refresh and reuse no token', async () => {
    const opening = { started: false } as const
    const first = await signedIn(opening)
    const others = await Promise.all(Array.from({ length: 7 }, () => open(opening)))
    const workers = await Promise.all(
      (['dedicated', 'shared', 'service'] as const).map((kind) => openWorker(first, kind, opening)),
    )
    const all = [first, ...others, ...workers]
    allSame(await Promise.all(all.map((tab) => tab.ask('token'))))
    await pass(LIFE, all)
    allSame(await Promise.all(all.map((tab) => tab.ask('token'))))
    expect(refreshes()).toBe(1)
    expect(outcomes()).toEqual(['issued', 'rotated'])
    const heard = await Promise.all(all.map(async (tab) => (await tab.ask('heard')).at(-1)))
    expect(heard.filter((type) => type === 'refreshed')).toHaveLength(1)
  })

  test.each<[string, (tab: Tab) => Promise<unknown>]>([
    ['closed', ({ page }) => page.close()],
    ['crashed', ({ page }) => page.goto('chrome://crash').catch(() => null)],
    ['sent elsewhere', ({ page }) => page.goto('about:blank')],
  ])('a tab that holds the lock is %s in mid-POST: the next one receives the same answer', async (_name, end) => {
    const holder = await signedIn()
    const other = await open()
    await pass(LIFE, [holder, other])
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    void holder.tell('token').catch(() => null)
    await heard.opened
    const waiting = other.ask('get', ME)
    await end(holder)
    expect(await waiting).toMatchObject({ status: 200 })
    held.open()
    expect(outcomes()).toEqual(['issued', 'rotated', 'retried'])
    expect(await other.ask('heard')).not.toContain('signedOut')
  })

  test('tabs stay signed in after a time-out if the tab that holds the lock is frozen during its request', async () => {
    const holder = await signedIn({ started: false })
    const other = await open({ lockTimeoutSeconds: 0.5, started: false })
    await pass(LIFE, [holder, other])
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    const token = holder.tell('token')
    await heard.opened
    const thaw = await freeze(holder)
    held.open()
    expect(await other.tell('token')).toMatchObject({ ok: false, error: expect.stringMatching(/^timeout: /) })
    expect(await other.ask('status')).toBe('signedIn')
    await thaw()
    expect(await token).toMatchObject({ ok: true })
    expect((await other.ask('get', ME)).status).toBe(200)
    expect(outcomes()).toEqual(['issued', 'rotated'])
  })

  test('a rejection that arrives after another tab has refreshed signs no tab out', async () => {
    // Without locks between tabs, and a server that does not forgive a race.
    const opening = { lock: 'page', started: false } as const
    const loser = await signedIn(opening)
    const winner = await open(opening)
    await pass(LIFE, [loser, winner])
    const held = gate()
    const body = '{"error":"invalid_grant"}'
    server.fault('/oauth/token', { kind: 'answer', status: 400, body, until: held.opened })
    const lost = loser.ask('token')
    await expect.poll(refreshes).toBe(1)
    const won = await winner.ask('token')
    held.open()
    expect(await lost).toBe(won)
    expect(await loser.ask('status')).toBe('signedIn')
  })

  test('a sign-out during the refresh of another tab is final, and the server ends the successor', async () => {
    const refreshing = await signedIn()
    const leaving = await open()
    await pass(LIFE, [refreshing, leaving])
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    const token = refreshing.tell('token')
    await heard.opened
    expect(await leaving.ask('logout')).toEqual({ revoked: true })
    held.open()
    expect(await token).toMatchObject({ ok: false, error: expect.stringMatching(/^signed_out/) })
    for (const tab of [refreshing, leaving]) expect(await tab.ask('status')).toBe('signedOut')
    expect(await (await open()).tell('get', ME)).toMatchObject({ ok: false })
    expect(server.happened('revoked')).toHaveLength(1)
    expect(await server.tokens.list({ subject: 'alice' })).toMatchObject({ items: [] })
  })

  test('a request that started before another user signed in is not sent with the token of that user', async () => {
    const sleeper = await signedIn()
    const other = await open()
    await pass(LIFE, [sleeper, other])
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    const begun = sleeper.tell('get', ME)
    await heard.opened
    const thaw = await freeze(sleeper)
    await other.ask('login', 'bob', '/login')
    held.open()
    await thaw()
    expect(await begun).toMatchObject({ ok: false, error: expect.stringMatching(/^signed_out: .*replaced/) })
    expect(await sleeper.ask('heard')).toContain('replaced')
    expect(JSON.parse((await sleeper.ask('get', ME)).body)).toMatchObject({ sub: 'bob' })
    expect(JSON.parse((await other.ask('get', ME)).body)).toMatchObject({ sub: 'bob' })
    await expect.poll(() => server.tokens.list({ subject: 'alice' })).toMatchObject({ items: [] })
  })

  test('no tab sends a refresh before Retry-After has passed', async () => {
    const one = await signedIn()
    const other = await open()
    await pass(LIFE, [one, other])
    const headers = { 'retry-after': '5', 'content-type': 'application/json' }
    server.fault('/oauth/token', { kind: 'answer', status: 429, headers, body: '{"error":"too_many_requests"}' })
    const first = one.ask('token')
    await expect.poll(refreshes).toBe(1)
    await expect.poll(() => one.ask('heard')).toContain('retrying')
    const second = other.ask('token')
    await expect.poll(() => other.ask('heard')).toContain('retrying')
    expect(refreshes()).toBe(1)
    allSame([await first, await second])
    expect(refreshes()).toBe(2)
  })
})

describe('invalid responses', () => {
  test('the session continues if the response is lost and the page is reloaded', async () => {
    const tab = await signedIn()
    await pass(LIFE, [tab])
    server.fault('/oauth/token', { kind: 'drop' }, { kind: 'drop' }, { kind: 'drop' })
    void tab.tell('token').catch(() => null)
    await expect.poll(outcomes).toContain('rotated')
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    server.heal('/oauth/token')
    await tab.ask('open', { offset: ahead })
    expect(JSON.parse((await tab.ask('get', ME)).body)).toMatchObject({ sub: 'alice' })
    // Whether the page had asked again before it went is up to its back-off.
    expect(outcomes().slice(0, 3)).toEqual(['issued', 'rotated', 'retried'])
    expect(new Set(outcomes().slice(3))).toEqual(new Set(outcomes().length > 3 ? ['retried'] : []))
  })

  test.each([
    ['503 HTML', 503, '<h1>Maintenance</h1>'],
    ['a captive portal: 200 HTML', 200, '<h1>Welcome to Hotel Wi-Fi</h1>'],
    ['a redirect', 307, ''],
  ])('%s is asked again, and nothing follows it', async (_name, status, body) => {
    const tab = await signedIn()
    await pass(LIFE, [tab])
    const headers = { 'content-type': 'text/html', location: '/elsewhere' }
    server.fault('/oauth/token', { kind: 'answer', status, body, headers })
    expect((await tab.ask('get', ME)).status).toBe(200)
    expect(await tab.ask('heard')).toEqual(['signedIn', 'retrying', 'refreshed'])
    expect(server.asked('/elsewhere')).toEqual([])
  })
})

describe('clocks', () => {
  test.each([
    ['an hour forward', HOUR],
    ['an hour back', -HOUR],
  ])('the session continues with one refresh at most if the clock is set %s', async (_name, ms) => {
    const tab = await signedIn()
    await tab.ask('pass', ms, 'wall')
    expect((await tab.ask('get', ME)).status).toBe(200)
    expect(refreshes()).toBe(ms > 0 ? 1 : 0)
    // And the end of the token is noticed all the same.
    await pass(LIFE, [tab])
    expect((await tab.ask('get', ME)).status).toBe(200)
    expect(server.asked(ME).map(({ headers }) => headers.authorization)).toHaveLength(2)
    expect(outcomes().slice(1)).toEqual(ms > 0 ? ['rotated', 'rotated'] : ['rotated'])
  })

  test('a page refreshes after six hours of sleep in which one clock stood still', async () => {
    const tab = await signedIn()
    await context.setOffline(true)
    ahead += 6 * HOUR
    await tab.ask('pass', 6 * HOUR, 'wall')
    await context.setOffline(false)
    await expect.poll(() => tab.ask('heard')).toEqual(['signedIn', 'refreshed'])
    expect((await tab.ask('get', ME)).status).toBe(200)
    expect(refreshes()).toBe(1)
  })

  test.each([
    ['is looked at', 'document', 'visibilitychange'],
    ['is shown again', 'window', 'pageshow'],
    ['is resumed', 'document', 'resume'],
  ])('a page that %s looks at its clocks', async (_name, target, type) => {
    const tab = await signedIn()
    ahead += LIFE
    await tab.ask('pass', LIFE, 'wall')
    await tab.page.evaluate(`${target}.dispatchEvent(new Event('${type}'))`)
    await expect.poll(() => tab.ask('heard')).toEqual(['signedIn', 'refreshed'])
  })
})

describe('requests', () => {
  test.each([
    ['json', 'application/json', '{"n":1}'],
    ['form', /^multipart\/form-data; boundary=/, /name="n"\s+1\s/],
    ['blob', 'text/x-test', 'n=1'],
    ['request', 'application/json', '{"n":1}'],
  ] as const)('a POST of %s is repeated with its body after its token was rejected', async (kind, type, body) => {
    const tab = await signedIn()
    await tab.ask('get', ME)
    server.accessTokensEnd()
    expect(await tab.ask('post', kind)).toMatchObject({
      status: 200,
      body: { type: expect.stringMatching(type), body: expect.stringMatching(body) },
    })
    expect(server.asked('/api/echo').map(({ body }) => body.length > 2)).toEqual([true, true])
    expect(refreshes()).toBe(1)
  })

  test('a streaming request has its token refreshed first and is sent once only', async () => {
    const tab = await signedIn()
    await pass(LIFE - MINUTE / 10, [tab])
    // Chromium streams over HTTP/2 only; what matters here is what came before.
    await tab.tell('post', 'stream')
    expect(refreshes()).toBe(1)
    expect(server.asked('/api/echo').length).toBeLessThanOrEqual(1)
  })

  test('a redirect to another origin does not contain the token', async () => {
    const elsewhere = await startServer({
      pages: {
        '/landing': (request, response) => {
          response.setHeader('access-control-allow-origin', '*').end(request.headers.authorization ?? 'nothing')
        },
      },
    })
    const tab = await signedIn()
    const location = `${elsewhere.origin}/landing`
    const headers = { location, 'access-control-allow-origin': '*' }
    server.fault('/api/away', { kind: 'answer', status: 302, headers })
    expect(await tab.tell('get', '/api/away')).toMatchObject({ value: { body: 'nothing' } })
    expect(server.asked('/api/away')[0]?.headers.authorization).toMatch(/^Bearer eyJ/)
    await elsewhere.stop()
  })
})

describe('platforms', () => {
  describe('without Web Locks, at a server without a retry window', () => {
    const opening = { started: false, idempotencyKey: false } as const
    let strict: TestServer

    beforeEach(async () => {
      strict = await startServer({ now: () => Date.now() + ahead, policy: { graceSeconds: 0 }, pages: site.served })
      await context.addInitScript('delete Navigator.prototype.locks')
    })
    afterEach(() => strict.stop())

    const openStrict = () => openTab(context, strict.origin, { offset: ahead, ...opening })

    test('eight tabs whose token has expired share one refresh with a lease in IndexedDB', async () => {
      const tabs = await Promise.all(Array.from({ length: 8 }, openStrict))
      await tabs[0]?.ask('login', 'alice', '/login')
      for (let turn = 1; turn <= 2; turn += 1) {
        await pass(LIFE, tabs)
        allSame(await Promise.all(tabs.map((tab) => tab.ask('token'))))
        expect(strict.asked('/oauth/token')).toHaveLength(turn)
      }
      expect(strict.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'rotated'])
    })

    test('the lease of a closed tab is taken over', async () => {
      const [holder, other] = [await openStrict(), await openStrict()]
      await holder.ask('login', 'alice', '/login')
      await pass(LIFE, [holder, other])
      // The server never hears of it, so that nothing is used twice.
      strict.fault('/oauth/token', { kind: 'answer', status: 503, until: new Promise(() => undefined) })
      void holder.tell('token').catch(() => null)
      await expect.poll(() => strict.asked('/oauth/token').length).toBe(1)
      await holder.page.close()
      expect((await other.ask('get', ME)).status).toBe(200)
      expect(strict.events.map(({ type }) => type)).toEqual(['issued', 'rotated'])
    })
  })

  test('the session continues if the storage is full', async () => {
    const storage = 'local'
    const tab = await signedIn({ storage })
    await tab.page.evaluate(`
      for (let size = 4e6; size >= 1; size = Math.floor(size / 2))
        try { for (;;) localStorage.setItem('ballast' + Math.random(), 'x'.repeat(size)) } catch {}
    `)
    await pass(LIFE, [tab])
    await tab.ask('get', ME)
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    await tab.ask('open', { storage, offset: ahead })
    expect((await tab.ask('get', ME)).status).toBe(200)
    // Where the next token did not fit in, the page that came after asked once more for it.
    expect(outcomes().filter((outcome) => outcome !== 'retried')).toEqual(['issued', 'rotated'])
  })

  test('a tab that reads an old value from Web Storage repeats the same attempt and reuses no token', async () => {
    const tabs = [
      await signedIn({ storage: 'local' }),
      await open({ storage: 'local' }),
      await open({ storage: 'local' }),
    ]
    for (let turn = 0; turn < 3; turn += 1) {
      await pass(LIFE, tabs)
      await Promise.all(tabs.map((tab) => tab.ask('token')))
    }
    expect(server.happened('rotated')).toHaveLength(3)
    expect(server.happened('reuse')).toEqual([])
  })

  test('relative URLs are resolved against the base of the document', async () => {
    const tab = await signedIn()
    await tab.page.evaluate(`document.head.append(Object.assign(document.createElement('base'), { href: '/api/' }))`)
    expect(await tab.ask('get', 'me')).toMatchObject({ status: 200 })
    expect(server.asked(ME)).toHaveLength(1)
  })

  test('a srcdoc frame shares the session of its parent page', async () => {
    const tab = await signedIn()
    await tab.page.evaluate(`new Promise((resolve) => {
      const srcdoc = '<script type="module">import "/bundle.mjs"; parent.postMessage("ready")</script>'
      addEventListener('message', resolve)
      document.body.append(Object.assign(document.createElement('iframe'), { srcdoc }))
    })`)
    const inFrame = (call: string) => tab.page.evaluate(`frames[0].act(${call})`)
    expect(await inFrame(`'open', [{}]`)).toMatchObject({ ok: true })
    expect(await inFrame(`'get', ['${ME}']`)).toMatchObject({ ok: true, value: { status: 200 } })
    expect(refreshes()).toBe(0)
  })

  test('the session is kept in the page if the document may use neither storage nor locks', async () => {
    const tab = await open({}, '/shut-off')
    await tab.ask('login', 'alice', '/login')
    expect(await tab.ask('heard')).toContain('storageFailed')
    await pass(LIFE, [tab])
    expect((await tab.ask('token')).length).toBeGreaterThan(10)
    expect(outcomes()).toEqual(['issued', 'rotated'])
  })

  test.each<[string, string]>([
    ['', ''],
    [', without Web Locks', 'delete Navigator.prototype.locks'],
  ])(
    'IndexedDB does not respond while a deletion is blocked%s: the session continues in memory',
    async (_name, script) => {
      await context.addInitScript(script)
      const tab = await open({ started: false })
      await tab.page.clock.install()
      await tab.page.evaluate(`new Promise((resolve) => {
      const names = ['baton', 'baton-locks']
      globalThis.opened = names.map((name) => indexedDB.open(name, 1))
      for (const opening of opened) {
        opening.onupgradeneeded = () => opening.result.createObjectStore(opening === opened[0] ? 'sessions' : 'locks')
        opening.onsuccess = () => opened.every(({ readyState }) => readyState === 'done') && resolve()
      }
    }).then(() => opened.forEach(({ result }) => indexedDB.deleteDatabase(result.name)))`)

      /** Time goes by in the page until the call returns. */
      async function settled<T>(call: Promise<T>): Promise<T> {
        let isPending = true
        void call.finally(() => (isPending = false)).catch(() => undefined)
        await expect.poll(() => tab.page.clock.runFor(1000).then(() => isPending)).toBe(false)
        return call
      }
      await settled(tab.ask('login', 'alice', '/login'))
      expect(await tab.ask('heard')).toEqual(['storageFailed', 'signedIn'])
      expect((await settled(tab.ask('get', ME))).status).toBe(200)
      await pass(LIFE, [tab])
      expect((await settled(tab.ask('get', ME))).status).toBe(200)
      expect(outcomes()).toEqual(['issued', 'rotated'])

      // Once the deletion is done, what was known in memory is stored.
      await tab.page.evaluate('opened.forEach(({ result }) => result.close())')
      await tab.page.clock.runFor(MINUTE)
      await pass(LIFE, [tab])
      expect((await settled(tab.ask('get', ME))).status).toBe(200)
      expect(JSON.parse(String(await tab.page.evaluate(READ_DATABASE)))).toMatchObject({ session: { generation: 2 } })
      expect(await settled(tab.ask('logout'))).toEqual({ revoked: true })
    },
  )

  test('a component that is mounted twice refreshes once and adds one listener', async () => {
    const tab = await signedIn()
    await tab.ask('remount')
    const other = await open()
    await pass(LIFE, [tab, other])
    await other.ask('token')
    await expect.poll(() => tab.ask('heard')).toEqual(['signedIn', 'synced'])
    expect(refreshes()).toBe(1)
  })

  test('two copies of this package share one session in one origin', async () => {
    const one = await signedIn()
    const other = await open({}, '/page-of-another-version')
    await pass(LIFE, [one, other])
    allSame(await Promise.all([one.ask('token'), other.ask('token')]))
    expect(refreshes()).toBe(1)
  })
})

describe('with the refresh token in a cookie', () => {
  const cookie = { mode: 'cookie' } as const
  const shared = { mode: 'cookie', shareAccessToken: true } as const
  const signInByCookie = async (opening: Opening = cookie, username = 'alice') => {
    const tab = await open(opening)
    await tab.ask('login', username, '/cookie/login')
    return tab
  }
  const sub = async (tab: Tab) => JSON.parse((await tab.ask('get', ME)).body).sub

  test('scripts cannot read the refresh token, and the storage contains no secret', async () => {
    const tab = await signInByCookie()
    await pass(LIFE, [tab])
    expect(await sub(tab)).toBe('alice')
    expect(outcomes()).toEqual(['issued', 'rotated'])
    const stored = String(await tab.page.evaluate(READ_DATABASE))
    expect(JSON.parse(stored)).toMatchObject({ session: { generation: 1, refreshToken: null, accessToken: null } })
    expect(stored).not.toMatch(/brt_|eyJ/)
    expect(await tab.page.evaluate('document.cookie')).toBe('')
  })

  test('eight tabs refresh once if they share the access token, otherwise one after the other', async () => {
    const sharing = [
      await signInByCookie(shared),
      ...(await Promise.all(Array.from({ length: 7 }, () => open(shared)))),
    ]
    const before = server.happened('rotated').length
    await pass(LIFE, sharing)
    allSame(await Promise.all(sharing.map((tab) => tab.ask('token'))))
    expect(server.happened('rotated')).toHaveLength(before + 1)
    await Promise.all(sharing.map(({ page }) => page.close()))

    const alone = await Promise.all(Array.from({ length: 3 }, () => open(cookie)))
    await pass(LIFE, alone)
    await Promise.all(alone.map((tab) => tab.ask('token')))
    expect(server.happened('reuse')).toEqual([])
    expect(server.happened('rejected')).toEqual([])
    for (const tab of alone) expect(await tab.ask('status')).toBe('signedIn')
  })

  test('a page without a stored session sends one refresh and finds the session', async () => {
    const tab = await signInByCookie()
    await tab.page.evaluate(`indexedDB.deleteDatabase('baton')`)
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    await tab.ask('open', cookie)
    expect(await sub(tab)).toBe('alice')
    expect(server.asked('/auth/refresh')[0]?.headers).not.toHaveProperty('x-baton-session')
  })

  test('a page without a stored session and without a cookie sends one refresh and is signed out', async () => {
    const tab = await open({ ...cookie, started: false })
    expect(await tab.tell('token')).toMatchObject({ ok: false, error: expect.stringContaining('no_session') })
    expect(await tab.tell('token')).toMatchObject({ ok: false })
    expect(server.asked('/auth/refresh')).toHaveLength(1)
  })

  const reopen = async (tab: Tab) => {
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    await tab.ask('open', cookie)
  }
  const logins = `fetch('/cookie/login', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"username":"bob"}' })`

  test('a page finds a session that the server started by a redirect or a form, although the stored one has ended', async () => {
    const tab = await signInByCookie()
    await tab.ask('logout')
    const other = await open(cookie)
    expect(await other.ask('status')).toBe('signedOut')
    await tab.page.evaluate(logins)
    await reopen(tab)
    expect(await sub(tab)).toBe('bob')
    await expect.poll(() => other.ask('status')).toBe('signedIn')
    expect(await sub(other)).toBe('bob')
  })

  test('each page sends one refresh after the stored session has ended, and a sign-out is final', async () => {
    const tab = await signInByCookie()
    await tab.ask('logout')
    const before = server.asked('/auth/refresh').length
    expect(await tab.tell('token')).toMatchObject({ ok: false })
    expect(server.asked('/auth/refresh')).toHaveLength(before)
    await reopen(tab)
    for (let call = 0; call < 2; call += 1)
      expect(await tab.tell('token')).toMatchObject({
        ok: false,
        error: expect.stringMatching(/^signed_out: .*logout/),
      })
    expect(server.asked('/auth/refresh')).toHaveLength(before + 1)
  })

  test('the cookie of a session that was signed out does not restore it', async () => {
    const tab = await signInByCookie()
    // Confirms the sign-out without doing it.
    server.fault('/auth/logout', { kind: 'answer', status: 200, body: '{}' })
    expect(await tab.ask('logout')).toEqual({ revoked: true })
    await reopen(tab)
    expect(await tab.ask('heard')).not.toContain('refreshed')
    expect(await tab.ask('status')).toBe('signedOut')
    await expect.poll(() => server.happened('revoked')).toHaveLength(1)
  })

  test('the cookie of a session whose sign-out is not confirmed does not restore it', async () => {
    const tab = await signInByCookie()
    const unavailable = { kind: 'answer', status: 503 } as const
    server.fault('/auth/logout', unavailable, unavailable)
    expect(await tab.ask('logout')).toEqual({ revoked: false })
    const before = server.asked('/auth/refresh').length
    await reopen(tab)
    expect(await tab.ask('status')).toBe('signedOut')
    expect(server.asked('/auth/refresh')).toHaveLength(before)
  })

  test('a tab that slept while another user signed in sends no request with the token of that user', async () => {
    const sleeper = await signInByCookie()
    const thaw = await freeze(sleeper)
    const other = await signInByCookie(cookie, 'bob')
    ahead += LIFE
    await thaw()
    await sleeper.ask('pass', LIFE, 'both')
    await expect.poll(() => sleeper.ask('heard')).toContain('replaced')
    expect(await sub(sleeper)).toBe('bob')
    await other.ask('pass', LIFE, 'both')
    expect(await sub(other)).toBe('bob')
    expect(server.happened('rejected')).toEqual([])
  })

  test('a page whose cookie belongs to another session than the stored one sends no request for that session', async () => {
    const tab = await signInByCookie()
    // A sign-in that bypasses the client: the cookie is bob's, the marker is still alice's.
    await tab.page.evaluate(`fetch('/cookie/login', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"username":"bob"}' })`)
    await pass(LIFE, [tab])
    const before = server.asked('/auth/refresh').length
    expect(await tab.tell('get', ME)).toMatchObject({ ok: false, error: expect.stringContaining('replaced') })
    expect(server.asked('/auth/refresh')).toHaveLength(before + 1)
    expect(server.happened('rotated')).toEqual([])
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    await tab.ask('open', { ...cookie, offset: ahead })
    expect(await sub(tab)).toBe('bob')
  })

  test('a sign-out ends the session, clears the cookie and signs the other tabs out', async () => {
    const tab = await signInByCookie()
    const other = await open(cookie)
    expect(await sub(other)).toBe('alice')
    expect(await tab.ask('logout')).toEqual({ revoked: true })
    await expect.poll(() => other.ask('status')).toBe('signedOut')
    expect(await context.cookies()).toEqual([])
    expect(server.happened('revoked')).toHaveLength(1)
  })

  test('a sign-out that the server did not confirm returns revoked false and is repeated later', async () => {
    const tab = await signInByCookie()
    server.fault('/auth/logout', { kind: 'answer', status: 503 })
    expect(await tab.ask('logout')).toEqual({ revoked: false })
    expect(await tab.ask('status')).toBe('signedOut')
    expect(server.happened('revoked')).toHaveLength(0)
    await tab.page.reload()
    await tab.page.waitForFunction('globalThis.ready === true')
    await tab.ask('open', cookie)
    await expect.poll(() => server.happened('revoked')).toHaveLength(1)
  })
})
