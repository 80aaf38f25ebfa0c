import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext, ConsoleMessage, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addressOf, startDemo } from './programs.js'

/** Where screenshots go, for people to look at; none are taken without it. */
const SHOTS = process.env['DEMO_SCREENSHOTS']

let demo: ChildProcess
let browser: Browser
let address: string

beforeAll(async () => {
  demo = startDemo([], { PORT: '0', ACCESS_SECONDS: '6', GRACE_SECONDS: '4' })
  ;[address, browser] = await Promise.all([addressOf(demo), launchChromium()])
})

afterAll(async () => {
  await browser.close()
  if (demo.exitCode === null) {
    demo.kill('SIGTERM')
    await once(demo, 'exit')
  }
  expect(demo.exitCode).toBe(0)
})

describe('the page', () => {
  test('tells the whole story', async () => {
    const context = await browser.newContext({ viewport: { width: 1360, height: 1000 }, colorScheme: 'light' })
    const noise = listen(context)
    const page = await open(context)
    await shoot(page, 'start')

    await signIn(page)
    expect(await generations(page, 'laptop')).toEqual([0])
    expect(await generations(page, 'phone')).toEqual([0])
    await page.waitForFunction(SHOWS_SECONDS)

    await press(page, 'Call the API')
    expect(await said(page, 'call')).toEqual(['200: hello, alice.'])

    await press(page, 'Wait for the end, then call')
    expect(await said(page, 'expire')).toEqual([
      expect.stringMatching(/^Waiting [1-6] s/),
      '401 invalid_token',
      'The app refreshed, and asks again.',
      '200: hello, alice.',
    ])
    await expectGenerations(page, 'laptop', [0, 1])

    await press(page, 'Refresh, and lose the answer')
    const lost = (await said(page, 'lose')).at(-1)
    await expectGenerations(page, 'laptop', [0, 1, 2])
    const print = await page.locator('[data-family=laptop] [data-generation="2"]').getAttribute('data-fingerprint')
    expect(print).toMatch(/^[0-9a-f]{8}$/)
    expect(lost).toBe(`Received ${print}: the very token that was lost on the way, generation 2.`)
    expect(await page.locator('[data-family=laptop] [data-lost="2"]').count()).toBe(1)
    expect(await page.locator('[data-family=laptop] [data-again="2"]').count()).toBe(1)

    const [second] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Open a second tab' }).click(),
    ])
    await second.getByText('Signed in as alice').waitFor()
    await press(page, 'Refresh in both tabs at once')
    await expectGenerations(page, 'laptop', [0, 1, 2, 3])
    await expectGenerations(second, 'laptop', [0, 1, 2, 3])
    const third = await page.locator('[data-family=laptop] [data-generation="3"]').getAttribute('data-fingerprint')
    expect(await said(page, 'race')).toEqual([
      '2 tabs, one request each.',
      `Every answer had the same token, ${third}.`,
    ])
    expect(await page.locator('[data-family=laptop] [data-again="3"]').count()).toBe(1)

    await press(page, 'Steal a copy')
    await page.locator('[data-family=laptop] [data-copy=held]').waitFor()
    await press(page, 'Laptop refreshes twice')
    await expectGenerations(page, 'laptop', [0, 1, 2, 3, 4, 5])
    await press(page, 'Thief uses the copy')
    await page.locator('[data-family=laptop][data-status="ended: two holders noticed"] [data-copy=used]').waitFor()
    expect((await said(page, 'steal')).slice(-2)).toEqual([
      'The thief got 400 invalid_grant.',
      expect.stringContaining('The laptop’s next refresh was refused too'),
    ])
    await page.getByText('The laptop was signed out: somebody else held its token too.').waitFor()
    await second.getByText('The laptop was signed out: somebody else held its token too.').waitFor()
    await page.getByText('reuse: generation 3 came back in generation 5; the family ends').waitFor()

    await press(page, 'Phone refreshes and calls')
    await expectGenerations(page, 'phone', [0, 1])
    expect((await said(page, 'phone')).at(-1)).toBe('200: hello, alice.')
    expect(await page.locator('[data-family=phone]').getAttribute('data-status')).toBe('alive')
    await page.getByText('The picture in words').click()
    await page.getByText('Theft: a copy of generation 3 was used.').waitFor()
    await page.getByText('The picture in words').click()
    await shootAll(page, 'story')

    await press(page, 'Sign out everywhere')
    await page.locator('[data-family=phone][data-status="ended: signed out everywhere"]').waitFor()
    expect(await page.getByRole('button', { name: 'Phone refreshes and calls' }).isDisabled()).toBe(true)

    await signIn(page)
    await expectGenerations(page, 'laptop', [0])
    await press(page, 'Sign out here')
    await page.locator('[data-family=laptop][data-status="ended: signed out"]').waitFor()
    expect(await page.locator('[data-family=phone]').getAttribute('data-status')).toBe('alive')

    expect(noise()).toEqual([
      // What the story is about: Chromium lists every answer of 400 and above, and every one that broke off.
      '401 /api/me',
      'broken off /oauth/token',
      '400 /oauth/token',
      '400 /oauth/token',
    ])
    await context.close()
  })

  test('notices a thief who comes before the laptop', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await signIn(page)
    await press(page, 'Steal a copy')
    await press(page, 'Thief uses the copy')
    await page.locator('[data-family=laptop] .by-thief[data-generation="1"]').waitFor()
    await press(page, 'Laptop refreshes twice')
    expect(await page.locator('[data-family=laptop]').getAttribute('data-status')).toBe('alive')
    // Once the grace time is over, the thief's token is an old one.
    await page.waitForTimeout(4500)
    await press(page, 'Thief uses the copy')
    await page.locator('[data-family=laptop][data-status="ended: two holders noticed"]').waitFor()
    await context.close()
  })

  test('works by keyboard alone, and keeps the focus where it was', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await page.getByLabel('Password').focus()
    await page.keyboard.press('Enter')
    await page.getByText('Signed in as alice').waitFor()
    await focusOn(page, 'call')
    await page.keyboard.press('Enter')
    await page.getByText('200: hello, alice.').waitFor()
    await focusOn(page, 'call')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Space')
    await page.getByText('the very token that was lost').waitFor()
    await focusOn(page, 'lose')
    await context.close()
  })

  test('fits a phone, in light and dark', async () => {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true })
    const page = await open(context)
    await signIn(page)
    for (let times = 0; times < 4; times += 1) await press(page, 'Laptop refreshes twice')
    // Eight generations do not fit: the first and the newest are there, and how many are left out.
    const shown = await generations(page, 'laptop')
    expect(shown[0]).toBe(0)
    expect(shown.at(-1)).toBe(8)
    expect(await page.locator('[data-family=laptop]').textContent()).toMatch(/\+\d/)
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)
    await shootAll(page, 'phone')
    await context.close()
  })

  test('says what is wrong with the password', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await page.getByLabel('Password').fill('guessed')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByText('That is not the password.').waitFor()
    await context.close()
  })

  test('is served with a policy that allows nothing from elsewhere', async () => {
    const { headers } = await fetch(address)
    const policy = headers.get('content-security-policy')
    expect(policy).toMatch(/^default-src 'none';/)
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
  })

  test('tells what the observer saw without a token in it', async () => {
    const { refresh_token: token } = await fetch(new URL('/login', address), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"username":"bob","password":"builder","client_id":"web"}',
    }).then((answer) => answer.json() as Promise<{ refresh_token: string }>)
    const stream = await fetch(new URL('/demo/observations', address))
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
    let told = ''
    while (!told.includes('"subject":"bob"')) told += (await reader.read()).value ?? ''
    await reader.cancel()
    expect(token).toMatch(/^brt_/)
    expect(told).not.toMatch(/brt_|eyJ/)
  })
})

async function open(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  await page.goto(address)
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor()
  return page
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByText('Signed in as alice').waitFor()
  for (const device of ['laptop', 'phone']) await page.locator(`[data-family=${device}][data-status=alive]`).waitFor()
}

/** Presses a button and waits until its part of the story is told. */
async function press(page: Page, name: string): Promise<void> {
  const button = page.getByRole('button', { name, exact: true })
  await button.click()
  await button.and(page.locator('button:not([aria-busy])')).waitFor()
}

/** What has been said may show before the focus is where it belongs. */
async function focusOn(page: Page, id: string): Promise<void> {
  await page.locator(`#${id}:focus`).waitFor()
}

async function said(page: Page, step: string): Promise<string[]> {
  return page.locator(`#${step}-said span`).allTextContents()
}

async function generations(page: Page, device: string): Promise<number[]> {
  const shown = await page.locator(`[data-family=${device}] [data-generation] .number`).allTextContents()
  return shown.map(Number)
}

async function expectGenerations(page: Page, device: string, wanted: number[]): Promise<void> {
  await expect.poll(() => generations(page, device), { timeout: 5000 }).toEqual(wanted)
}

/** Collects what the browser complained about, in all tabs. */
function listen(context: BrowserContext): () => string[] {
  const complaints: string[] = []
  context.on('weberror', (error) => complaints.push(String(error.error())))
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(complaintOf(message))
  })
  return () => complaints
}

function complaintOf(message: ConsoleMessage): string {
  const text = message.text()
  const url = message.location().url
  const path = URL.canParse(url) ? new URL(url).pathname : url
  const status = /^Failed to load resource: the server responded with a status of (\d+)/.exec(text)?.[1]
  if (status !== undefined) return `${status} ${path}`
  if (/^Failed to load resource: net::ERR_(INCOMPLETE|CONTENT_LENGTH)/.test(text)) return `broken off ${path}`
  return text
}

async function shootAll(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await shoot(page, `${name}-${colorScheme}`)
  }
}

async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS !== undefined) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true })
}

const SHOWS_SECONDS = `/^[1-6] s$/.test(document.querySelector('#access-clock .time').textContent)`
