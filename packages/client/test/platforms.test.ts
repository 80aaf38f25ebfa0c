import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTab, pages, type Tab } from './browser.js'
import { bundle } from './bundle.js'
import type { Opening } from './page.js'
import type { Action } from './react-native.js'
import { gate, startServer, type TestServer } from './server.js'

const LIFE = 15 * 60_000
const ME = '/api/me'

describe('React Native', () => {
  let app: Awaited<ReturnType<typeof bundle>>
  let server: TestServer
  let child: ChildProcess
  let ahead = 0

  beforeAll(async () => (app = await bundle('react-native.ts', 'node')))
  afterAll(() => app.remove())
  beforeEach(async () => {
    ahead = 0
    server = await startServer({ now: () => Date.now() + ahead })
    child = fork(app.path, [server.origin])
    await once(child, 'message')
  })
  afterEach(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
    await server.stop()
  })

  async function ask(name: Action, ...parameters: unknown[]): Promise<{ value?: unknown; error?: string }> {
    child.send([name, parameters])
    const [told] = await once(child, 'message')
    return told
  }

  async function signIn(): Promise<void> {
    await ask('login', await server.signIn())
    ahead += LIFE
    await ask('pass', LIFE)
  }

  test('signs in, refreshes, repeats a request after a 401, and signs out', async () => {
    await signIn()
    expect(await ask('get', ME)).toMatchObject({ value: { sub: 'alice' } })
    server.accessTokensEnd()
    expect(await ask('post', '/api/echo', '{"n":1}')).toMatchObject({ value: { body: '{"n":1}' } })
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'rotated'])
    expect(await ask('logout')).toEqual({ value: { revoked: true } })
    expect(await ask('get', ME)).toMatchObject({ error: expect.stringMatching(/^signed_out/) })
  })

  test('aborts a call and times out a request without a response', async () => {
    await signIn()
    const held = gate()
    const hold = { kind: 'hold', until: held.opened } as const
    server.fault('/oauth/token', hold, hold, hold)
    expect(await ask('abortedToken')).toEqual({ error: 'AbortError: aborted' })
    expect(await ask('tokenWhileTimersRun')).toMatchObject({ error: expect.stringMatching(/^unavailable/) })
    server.heal('/oauth/token')
    held.open()
    expect(await ask('get', ME)).toMatchObject({ value: { sub: 'alice' } })
  })

  test('throws a ConfigurationError from functions that need Web Crypto', async () => {
    for (const name of ['beginAuthorization', 'thumbprint'] as const)
      expect(await ask(name)).toMatchObject({
        error: expect.stringMatching(/^ConfigurationError: option "crypto.subtle"/),
      })
  })
})

/** What the oldest supported browsers do not have. */
const GAPS = `
for (const name of ['structuredClone', 'BroadcastChannel', 'ReadableStreamBYOBReader', 'scheduler', 'reportError'])
  delete globalThis[name]
for (const name of ['any', 'timeout', 'abort']) delete AbortSignal[name]
for (const name of ['throwIfAborted', 'reason']) delete AbortSignal.prototype[name]
for (const name of ['canParse', 'parse']) delete URL[name]
for (const name of ['withResolvers', 'try', 'any']) delete Promise[name]
for (const name of ['at', 'findLast', 'findLastIndex', 'toSorted', 'toReversed', 'toSpliced', 'with']) delete Array.prototype[name]
for (const name of ['at', 'replaceAll', 'isWellFormed', 'toWellFormed']) delete String.prototype[name]
for (const name of ['hasOwn', 'groupBy']) delete Object[name]
delete Crypto.prototype.randomUUID
delete Navigator.prototype.locks
delete Response.json
delete Request.prototype.duplex
const { addEventListener } = EventTarget.prototype
EventTarget.prototype.addEventListener = function (type, listener, options) {
  const { signal, ...known } = typeof options === 'object' && options !== null ? options : { capture: options === true }
  return addEventListener.call(this, type, listener, known)
}
`

describe('the oldest browsers', () => {
  let browser: Browser
  let context: BrowserContext
  let site: Awaited<ReturnType<typeof pages>>
  let server: TestServer

  beforeAll(async () => {
    ;[browser, site] = await Promise.all([launchChromium(), pages()])
  })
  afterAll(async () => {
    await browser.close()
    site.remove()
  })
  beforeEach(async () => {
    server = await startServer({ now: () => Date.now() + ahead, pages: site.served })
    context = await browser.newContext()
    await context.addInitScript(GAPS)
  })
  afterEach(async () => {
    ahead = 0
    await context.close()
    await server.stop()
  })

  let ahead = 0
  const open = (opening: Opening) => openTab(context, server.origin, { offset: ahead, ...opening })
  async function pass(ms: number, tabs: readonly Tab[]): Promise<void> {
    ahead += ms
    await Promise.all(tabs.map((tab) => tab.ask('pass', ms, 'both')))
  }

  test.each<[string, Opening, string]>([
    ['a token in IndexedDB', {}, '/login'],
    ['a token in Web Storage', { storage: 'local' }, '/login'],
    ['a token that is bound to a key', { dpop: true }, '/login'],
    ['a cookie', { mode: 'cookie' }, '/cookie/login'],
  ])('%s: sign in, refresh, repeat a request after a 401, and sign out', async (_name, opening, path) => {
    const tab = await open(opening)
    await tab.ask('login', 'alice', path)
    await pass(LIFE, [tab])
    expect(JSON.parse((await tab.ask('get', ME)).body)).toMatchObject({ sub: 'alice' })
    server.accessTokensEnd()
    expect(await tab.ask('post', 'json')).toMatchObject({ status: 200, body: { body: '{"n":1}' } })
    expect(server.happened('rotated')).toHaveLength(2)
    await tab.ask('remount')
    await tab.page.evaluate("window.dispatchEvent(new Event('pageshow'))")
    expect(await tab.ask('logout')).toEqual({ revoked: true })
    expect(await tab.tell('token')).toMatchObject({ ok: false, error: expect.stringMatching(/^signed_out/) })
  })

  test('two tabs refresh once', async () => {
    const tabs = [await open({ started: false }), await open({ started: false })]
    await tabs[0]?.ask('login', 'alice', '/login')
    await pass(LIFE, tabs)
    const tokens = await Promise.all(tabs.map((tab) => tab.ask('token')))
    expect(new Set(tokens).size).toBe(1)
    expect(server.happened('rotated')).toHaveLength(1)
  })

  test('a disposed session does not listen to wake events', async () => {
    const tab = await open({})
    await tab.ask('login', 'alice', '/login')
    await tab.ask('dispose')
    await pass(LIFE, [tab])
    await tab.page.evaluate("window.dispatchEvent(new Event('pageshow'))")
    expect(await tab.ask('status')).toBe('signedIn')
    expect(server.asked('/oauth/token')).toEqual([])
  })
})
