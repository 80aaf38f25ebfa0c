import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { launchChromium } from '@baton/test-servers'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ExampleServer, runToItsEnd, startServer } from './server.js'

const SERVER = { name: 'koa-memory', store: 'memory' } as const

let server: ExampleServer

/** Access tokens that expire during a test. */
beforeAll(async () => {
  server = await startServer(SERVER, { ACCESS_SECONDS: '2' })
})
afterAll(() => server.stop())

describe.each(['client-axios', 'client-ky'])('%s', (name) => {
  it('signs in, sends requests while access tokens expire, and signs out', async () => {
    const { code, stdout, stderr } = await runToItsEnd({ name, store: 'memory' }, { API: server.origin })
    expect(stderr).toBe('')
    const lines = stdout.trim().split('\n')
    expect(lines.filter((line) => line === 'I am alice')).toHaveLength(3)
    expect(lines.filter((line) => line.startsWith('refreshed: generation ')).length).toBeGreaterThan(0)
    expect(lines.slice(-2)).toEqual(['signed out: logout', 'revoked at the server'])
    expect(code).toBe(0)
  })
})

describe('client-react', () => {
  let browser: Browser
  let context: BrowserContext
  let front: { readonly origin: string; readonly child: ChildProcess }
  let refreshes: string[]

  beforeAll(async () => {
    ;[front, browser] = await Promise.all([startFront(server.origin), launchChromium()])
  })
  afterAll(async () => {
    await browser.close()
    front.child.kill('SIGTERM')
    await once(front.child, 'exit')
  })
  beforeEach(async () => {
    refreshes = []
    context = await browser.newContext()
    context.on('response', (response) => {
      if (response.url().endsWith('/auth/refresh')) refreshes.push(String(response.status()))
    })
  })
  afterEach(() => context.close())

  async function open(): Promise<Page> {
    const page = await context.newPage()
    await page.goto(front.origin)
    return page
  }

  async function signIn(page: Page, password = 'wonderland'): Promise<void> {
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }

  it('signs in, and stays signed in after a reload and after the access token has expired', async () => {
    const page = await open()
    await signIn(page)
    await page.getByText('You are alice.').waitFor()
    await page.reload()
    await page.getByText('You are alice.').waitFor()
    const asked = await page.evaluate(() => performance.now())
    await page.waitForFunction((since) => performance.now() - since > 2500, asked)
    await page.getByRole('button', { name: 'Ask again' }).click()
    await page.getByText('Asked 2 times').waitFor()
    expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toMatch(/brt_|eyJ/)
    // Before the sign-in, the page sends one refresh to learn whether there is a cookie.
    const [first, ...later] = refreshes
    expect(first).toBe('401')
    expect(new Set(later)).toEqual(new Set(['200']))
  })

  it('sends one refresh although StrictMode mounts the app twice', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    expect(refreshes).toEqual(['401'])
  })

  it('shows a sign-out and a sign-in in all tabs', async () => {
    const [first, second] = [await open(), await open()]
    await signIn(first)
    await second.getByText('You are alice.').waitFor()
    await second.getByRole('button', { name: 'Sign out' }).click()
    await first.getByRole('button', { name: 'Sign in' }).waitFor()
    // A component was unmounted with the session. The page must still receive changes.
    await signIn(second)
    await first.getByText('You are alice.').waitFor()
  })

  it('shows an error for a wrong password', async () => {
    const page = await open()
    await signIn(page, 'guessed')
    await page.getByText('That is not the password.').waitFor()
  })
})

/** Serves the built page, as in its README. */
async function startFront(api: string) {
  const folder = fileURLToPath(new URL('../../client-react/', import.meta.url))
  const vite = fileURLToPath(new URL('node_modules/vite/bin/vite.js', `file://${folder}`))
  const child = spawn(process.execPath, [vite, 'preview', '--port', '0'], {
    cwd: folder,
    env: { ...process.env, API: api, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  for await (const text of child.stdout.setEncoding('utf8')) {
    printed += String(text)
    const origin = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0]
    if (origin !== undefined) return { origin, child }
  }
  throw new Error(`vite preview ended without an address: ${printed}`)
}
