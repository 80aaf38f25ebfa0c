import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, launchChromium } from '@baton/test-servers'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SECRET, temporaryFolder } from './server.js'
import { ALICE, cookieOf, FROM_OUR_PAGE, type Visitor, visitor } from './visitor.js'

const folder = temporaryFolder()

/** Access tokens that expire during a test. */
const SETTINGS = {
  DATABASE: join(folder.path, 'sessions.db'),
  ACCESS_SECONDS: '2',
  BATON_SECRET: SECRET,
  SIGNING_SECRET: `${SECRET} and for signing`,
}

describe('nextjs', () => {
  let server: Next
  let on: Visitor

  beforeAll(async () => {
    server = await startNext()
    on = visitor(server.origin)
  })
  afterAll(async () => {
    await server.stop()
    folder.remove()
  })

  async function signIn() {
    const { status, body, setCookie } = await on.json('/auth/login', ALICE, FROM_OUR_PAGE)
    expect({ status, refreshToken: body.refresh_token }).toEqual({ status: 200, refreshToken: undefined })
    return { accessToken: body.access_token, cookie: cookieOf(setCookie ?? '') }
  }

  async function refresh(cookie: string) {
    const { setCookie, ...response } = await on.cookieRefresh(cookie)
    return { ...response, cookie: cookieOf(setCookie ?? '') }
  }

  it('accepts the access token until it expires, and the new one after a refresh', async () => {
    expect((await on.me('')).status).toBe(401)
    const signedIn = await signIn()
    let response = await on.me(signedIn.accessToken)
    while (response.status === 200) response = await on.me(signedIn.accessToken)
    expect(response.headers.get('www-authenticate')).toContain('invalid_token')

    // On a slow machine a token may expire before it is used.
    for (let { cookie } = signedIn; response.status !== 200;) {
      const refreshed = await refresh(cookie)
      expect(refreshed.status).toBe(200)
      cookie = refreshed.cookie
      response = await on.me(refreshed.body.access_token)
    }
    expect(response.body).toEqual({ sub: 'alice' })
  })

  it('revokes only the session of a reused refresh token', async () => {
    const [stolen, other] = [await signIn(), await signIn()]
    const first = await refresh(stolen.cookie)
    const second = await refresh(first.cookie)
    expect([first.status, second.status]).toEqual([200, 200])
    expect((await refresh(stolen.cookie)).status).toBe(401)
    expect(await refresh(second.cookie)).toMatchObject({ status: 401, body: { error: 'invalid_grant' } })
    expect((await refresh(other.cookie)).status).toBe(200)
    expect(server.output()).toContain('reuse: a token of alice was copied')
  })

  it('revokes the session at a sign-out from a page of this app only', async () => {
    const { cookie } = await signIn()
    const elsewhere = { ...FROM_OUR_PAGE, 'sec-fetch-site': 'cross-site', cookie }
    expect((await on.send('POST', '/auth/logout', { headers: elsewhere })).status).toBe(403)
    const { status, setCookie } = await on.send('POST', '/auth/logout', { headers: { ...FROM_OUR_PAGE, cookie } })
    expect({ status, cleared: setCookie?.includes('Max-Age=0') }).toEqual({ status: 204, cleared: true })
    expect((await refresh(cookie)).status).toBe(401)
  })

  it('renders the page without a session on the server', async () => {
    const page = await fetch(server.origin)
    expect(await page.text()).toContain('<p>One moment …</p>')
  })

  describe('in a browser', () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await launchChromium()
    })
    afterAll(() => browser.close())

    it('stays signed in after a reload, and shows a sign-out in all tabs', async () => {
      const context = await browser.newContext()
      const complaints: string[] = []
      context.on('console', (message) => {
        // The first refresh is rejected because there is no cookie.
        const isExpected = message.location().url.endsWith('/auth/refresh')
        if (message.type() === 'error' && !isExpected) complaints.push(message.text())
      })
      const page = await context.newPage()
      await page.goto(server.origin)
      await page.getByLabel('Password').fill('guessed')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('Wrong name or password.').waitFor()
      expect(complaints.splice(0)).toEqual([expect.stringContaining('401')])

      await page.getByLabel('Password').fill(ALICE.password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByText('You are alice.').waitFor()
      await page.reload()
      await page.getByText('You are alice.').waitFor()
      expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toMatch(/brt_|eyJ/)

      const other = await context.newPage()
      await other.goto(server.origin)
      await other.getByRole('button', { name: 'Sign out' }).click()
      await page.getByRole('button', { name: 'Sign in' }).waitFor()
      expect(complaints).toEqual([])
      await context.close()
    })
  })
})

interface Next {
  readonly origin: string
  /** Returns the output so far. */
  output(): string
  stop(): Promise<void>
}

/** Serves the built app, as in its README. */
async function startNext(): Promise<Next> {
  const cwd = fileURLToPath(new URL('../../nextjs/', import.meta.url))
  const port = String(await freePort())
  const origin = `http://127.0.0.1:${port}`
  const child: ChildProcess = spawn(
    process.execPath,
    ['node_modules/next/dist/bin/next', 'start', '--hostname', '127.0.0.1', '--port', port],
    {
      cwd,
      env: { PATH: process.env['PATH'], NEXT_TELEMETRY_DISABLED: '1', APP_ORIGIN: origin, ...SETTINGS },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  process.once('exit', () => child.kill('SIGKILL'))
  let printed = ''
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
        if (printed.includes('Ready in')) resolve()
      })
    }
    child.once('exit', (code) => {
      reject(new Error(`next ended with ${String(code)} instead of listening: ${printed}`))
    })
  })
  return {
    origin,
    output: () => printed,
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}
