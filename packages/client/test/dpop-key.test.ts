import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTab, pages, type Tab } from './browser.js'
import { startServer, type TestServer } from './server.js'

const LIFE = 900_000
const ME = '/api/me'
const NONCES = { secrets: ['a secret of nonces in a test, over 32 bytes'], required: true }

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
  server = await startServer({ now: () => Date.now() + ahead, dpop: { nonce: NONCES }, pages: site.served })
  context = await browser.newContext()
})
afterEach(async () => {
  await context.close()
  await server.stop()
})

const open = () => openTab(context, server.origin, { dpop: true, offset: ahead, started: false })
const signIn = (tab: Tab) => tab.ask('login', 'alice', '/login')

async function pass(ms: number, tabs: readonly Tab[]): Promise<void> {
  ahead += ms
  await Promise.all(tabs.map((tab) => tab.ask('pass', ms, 'both')))
}

/** The keys of the proofs that came to this path. */
function keysAt(path: string): string[] {
  return server.asked(path).map(({ headers }) => String(headers['dpop']).split('.')[0] ?? '')
}

/** Deletes a part of the data of the browser, as a user can. */
const loseKey = ({ page }: Tab) =>
  page.evaluate(`new Promise((resolve, reject) => {
    const deletion = indexedDB.deleteDatabase('baton-keys')
    deletion.onsuccess = () => resolve()
    deletion.onerror = () => reject(deletion.error)
  })`)

/** What comes of taking the private key out. */
const takeKey = ({ page }: Tab) =>
  page.evaluate(`new Promise((resolve, reject) => {
    const opening = indexedDB.open('baton-keys')
    opening.onerror = () => reject(opening.error)
    opening.onsuccess = () => {
      const getting = opening.result.transaction('keys').objectStore('keys').get('baton')
      getting.onsuccess = () =>
        crypto.subtle.exportKey('jwk', getting.result.privateKey).then(JSON.stringify, (error) => error.name).then(resolve)
    }
  })`)

describe('a key that the browser stores', () => {
  test('CL-17 is used by all tabs and after a reload, and is not extractable', async () => {
    const first = await open()
    await signIn(first)
    await first.page.close()
    const [second, third] = [await open(), await open()]
    await pass(LIFE, [second, third])
    for (const tab of [second, third]) expect(await tab.ask('get', ME)).toMatchObject({ status: 200 })
    expect(server.happened('rotated')).toHaveLength(1)
    expect(await takeKey(second)).toBe('InvalidAccessError')
    expect(server.asked(ME).every(({ headers }) => headers.authorization?.startsWith('DPoP '))).toBe(true)
  })

  test('CL-17 is created once if several tabs sign in at the same time', async () => {
    const tabs = await Promise.all([open(), open(), open()])
    await Promise.all(tabs.map(signIn))
    expect(new Set(keysAt('/login')).size).toBe(1)
    expect(server.happened('issued')).toHaveLength(3)
  })

  test('CL-17 causes the error key_lost if it is lost, until the user signs in again', async () => {
    await signIn(await open())
    const tab = await open()
    await loseKey(tab)
    const before = server.requests.length
    expect(await tab.tell('get', ME)).toMatchObject({ ok: false, error: expect.stringMatching(/^key_lost: /) })
    await pass(LIFE, [tab])
    expect(await tab.tell('token')).toMatchObject({ ok: false, error: expect.stringMatching(/^key_lost: /) })
    expect(server.requests).toHaveLength(before)
    expect(await tab.ask('status')).toBe('signedIn')

    await signIn(tab)
    expect(await tab.ask('get', ME)).toMatchObject({ status: 200 })
    expect(new Set(keysAt('/login')).size).toBe(2)
    expect(server.happened('reuse')).toEqual([])
  })

  test('CL-17 is not needed for a local sign-out, but the server ends no session without a proof', async () => {
    await signIn(await open())
    const tab = await open()
    await loseKey(tab)
    expect(await tab.ask('logout')).toEqual({ revoked: false })
    expect(await tab.ask('status')).toBe('signedOut')
    expect(server.happened('revoked')).toEqual([])
  })

  test('CL-17 is stored again by a page that still has it', async () => {
    const tab = await open()
    await signIn(tab)
    await loseKey(tab)
    await pass(LIFE, [tab])
    expect(await tab.ask('get', ME)).toMatchObject({ status: 200 })
    const later = await open()
    await pass(LIFE, [later])
    expect(await later.ask('get', ME)).toMatchObject({ status: 200 })
    expect(server.happened('rotated')).toHaveLength(2)
  })
})
