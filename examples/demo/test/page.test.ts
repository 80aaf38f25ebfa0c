import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext, ConsoleMessage, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addressOf, startDemo } from './programs.js'

/** Directory for screenshots; none are taken without it. */
const SHOTS = process.env['DEMO_SCREENSHOTS']

let demo: ChildProcess
let browser: Browser
let address: string

beforeAll(async () => {
  demo = startDemo([], { PORT: '0', ACCESS_SECONDS: '12', GRACE_SECONDS: '8' })
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
  test('the page runs all steps', async () => {
    const context = await browser.newContext({ viewport: { width: 1360, height: 1000 }, colorScheme: 'light' })
    const noise = listen(context)
    const page = await open(context)
    await shoot(page, 'start')

    await signIn(page)
    expect(await generations(page, 'laptop')).toEqual([0])
    expect(await generations(page, 'phone')).toEqual([0])
    await page.waitForFunction(SHOWS_SECONDS)

    await press(page, 'Call the API')
    expect(await readOutput(page, 'call')).toEqual(['200: hello, alice.'])

    await press(page, 'Wait for the expiry, then call')
    expect(await readOutput(page, 'expire')).toEqual([
      expect.stringMatching(/^Waiting ([1-9]|1[0-2]) s/),
      '401 invalid_token',
      'The app refreshed and repeats the call.',
      '200: hello, alice.',
    ])
    await expectGenerations(page, 'laptop', [0, 1])

    await press(page, 'Refresh and lose the response')
    const lost = (await readOutput(page, 'lose')).at(-1)
    await expectGenerations(page, 'laptop', [0, 1, 2])
    const print = await page.locator('[data-family=laptop] [data-generation="2"]').getAttribute('data-fingerprint')
    expect(print).toMatch(/^[0-9a-f]{8}$/)
    expect(lost).toBe(`Received ${print}: the same token as in the lost response, generation 2.`)
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
    expect(await readOutput(page, 'race')).toEqual([
      '2 tabs, one request each.',
      `Every response had the same token, ${third}.`,
    ])
    expect(await page.locator('[data-family=laptop] [data-again="3"]').count()).toBe(1)

    await press(page, 'Steal a copy')
    await page.locator('[data-family=laptop] [data-copy=held]').waitFor()
    await press(page, 'Laptop refreshes twice')
    await expectGenerations(page, 'laptop', [0, 1, 2, 3, 4, 5])
    await press(page, 'Attacker uses the copy')
    await page.locator('[data-family=laptop][data-status="ended: reuse detected"] [data-copy=used]').waitFor()
    expect((await readOutput(page, 'steal')).slice(-2)).toEqual([
      'The attacker got 400 invalid_grant.',
      expect.stringContaining('The laptop’s next refresh was rejected too'),
    ])
    await page.getByText('The laptop was signed out: an old token was reused.').waitFor()
    await second.getByText('The laptop was signed out: an old token was reused.').waitFor()
    await page.getByText('reuse: generation 3 presented in generation 5; the family is revoked').waitFor()

    await press(page, 'Phone refreshes and calls')
    await expectGenerations(page, 'phone', [0, 1])
    expect((await readOutput(page, 'phone')).at(-1)).toBe('200: hello, alice.')
    expect(await page.locator('[data-family=phone]').getAttribute('data-status')).toBe('active')
    await page.getByText('Text version of the picture').click()
    await page.getByText('Reuse: a copy of generation 3 was presented.').waitFor()
    await page.getByText('Text version of the picture').click()
    await shootAll(page, 'story')

    await press(page, 'Sign out everywhere')
    await page.locator('[data-family=phone][data-status="ended: signed out everywhere"]').waitFor()
    expect(await page.getByRole('button', { name: 'Phone refreshes and calls' }).isDisabled()).toBe(true)

    await signIn(page)
    await expectGenerations(page, 'laptop', [0])
    await press(page, 'Sign out here')
    await page.locator('[data-family=laptop][data-status="ended: signed out"]').waitFor()
    expect(await page.locator('[data-family=phone]').getAttribute('data-status')).toBe('active')

    expect(noise()).toEqual([
      // Chromium reports every response of 400 and above, and every aborted one.
      '401 /api/me',
      'broken off /oauth/token',
      '400 /oauth/token',
      '400 /oauth/token',
    ])
    await context.close()
  })

  test('the page shows the reuse by an attacker that refreshes before the laptop', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await signIn(page)
    await press(page, 'Steal a copy')
    await press(page, 'Attacker uses the copy')
    await page.locator('[data-family=laptop] .by-attacker[data-generation="1"]').waitFor()
    await press(page, 'Laptop refreshes twice')
    expect(await page.locator('[data-family=laptop]').getAttribute('data-status')).toBe('active')
    // After the grace window, the attacker has an old token.
    await page.waitForTimeout(8500)
    await press(page, 'Attacker uses the copy')
    await page.locator('[data-family=laptop][data-status="ended: reuse detected"]').waitFor()
    await context.close()
  })

  test('the page works with the keyboard only and keeps the focus', async () => {
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
    await page.getByText('the same token as in the lost response').waitFor()
    await focusOn(page, 'lose')
    await context.close()
  })

  test('the page does not submit the password before its script is ready', async () => {
    const context = await browser.newContext()
    const page = await context.newPage()
    let release: () => void = () => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    await page.route('**/demo/facts', async (route) => {
      await released
      await route.continue()
    })
    await page.goto(address)
    await page.getByLabel('Password').focus()
    await page.keyboard.press('Enter')
    release()
    const button = page.getByRole('button', { name: 'Sign in', exact: true, disabled: false })
    await button.click()
    await page.getByText('Signed in as alice').waitFor()
    expect(new URL(page.url()).search).toBe('')
    await context.close()
  })

  test('the page fits a phone in light and dark mode', async () => {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true })
    const page = await open(context)
    await signIn(page)
    for (let times = 0; times < 4; times += 1) await press(page, 'Laptop refreshes twice')
    // Eight generations do not fit: the first and the newest are shown, and the number of omitted ones.
    const visible = await generations(page, 'laptop')
    expect(visible[0]).toBe(0)
    expect(visible.at(-1)).toBe(8)
    expect(await page.locator('[data-family=laptop]').textContent()).toMatch(/\+\d/)
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)
    await shootAll(page, 'phone')
    await context.close()
  })

  test('the page reports a wrong password', async () => {
    const context = await browser.newContext()
    const page = await open(context)
    await page.getByLabel('Password').fill('guessed')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByText('Wrong name or password.').waitFor()
    await context.close()
  })

  test('the page has a content security policy without external sources', async () => {
    const { headers } = await fetch(address)
    const policy = headers.get('content-security-policy')
    expect(policy).toMatch(/^default-src 'none';/)
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
  })

  test('the observations contain no token', async () => {
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
  page.setDefaultTimeout(60_000)
  await page.goto(address)
  // The page enables the button when its script is ready.
  await page.getByRole('button', { name: 'Sign in', exact: true, disabled: false }).waitFor()
  return page
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByText('Signed in as alice').waitFor()
  for (const device of ['laptop', 'phone']) await page.locator(`[data-family=${device}][data-status=active]`).waitFor()
}

/** Presses a button and waits until its step has finished. */
async function press(page: Page, name: string): Promise<void> {
  const button = page.getByRole('button', { name, exact: true })
  await button.click()
  await button.and(page.locator('button:not([aria-busy])')).waitFor()
}

/** The output may appear before the focus is set. */
async function focusOn(page: Page, id: string): Promise<void> {
  await page.locator(`#${id}:focus`).waitFor()
}

async function readOutput(page: Page, step: string): Promise<string[]> {
  return page.locator(`#${step}-said span`).allTextContents()
}

async function generations(page: Page, device: string): Promise<number[]> {
  const visible = await page.locator(`[data-family=${device}] [data-generation] .number`).allTextContents()
  return visible.map(Number)
}

async function expectGenerations(page: Page, device: string, wanted: number[]): Promise<void> {
  await expect.poll(() => generations(page, device)).toEqual(wanted)
}

/** Collects the errors and warnings of the browser, in all tabs. */
function listen(context: BrowserContext): () => string[] {
  const complaints: string[] = []
  context.on('weberror', (error) => complaints.push(String(error.error())))
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(formatComplaint(message))
  })
  return () => complaints
}

function formatComplaint(message: ConsoleMessage): string {
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

const SHOWS_SECONDS = `/^([1-9]|1[0-2]) s$/.test(document.querySelector('#access-clock .time').textContent)`
