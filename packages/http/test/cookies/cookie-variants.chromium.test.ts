import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { FIRST_PARTY } from '@baton/core'
import { launchChromium } from '@baton/test-servers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { authServer, toNodeHandler } from '../../src/index.js'
import { SERVER } from '../proof-of-possession/mtls/certificates.js'
import { createApp } from '../app.js'

type Chromium = Awaited<ReturnType<typeof launchChromium>>

let chromium: Chromium
beforeAll(async () => {
  chromium = await launchChromium()
})
afterAll(() => chromium.close())

interface Reply {
  readonly status: number
  readonly sid?: string
}

/** Starts a server over TLS whose option `crossSite` can change, and a page of it in Chromium. */
async function open() {
  const app = createApp({ now: Date.now })
  const { tokens, accessTokens } = app
  let mode = false
  let seed: readonly string[] = []
  const server = createServer(SERVER, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const origin = `https://localhost:${String(port)}`
  const serverOf = (crossSite: boolean) =>
    toNodeHandler(
      authServer(tokens, {
        accessTokens,
        clients: [],
        publicUrl: origin,
        cookie: { crossSite },
        authenticate: async () => ({ subject: 'alice' }),
        rateLimit: false,
      }).endpoint,
    )
  const [strict, partitioned] = [serverOf(false), serverOf(true)]
  function serve(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'GET') {
      for (const cookie of seed) response.appendHeader('set-cookie', cookie)
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>app</title>')
    } else if (mode) partitioned(request, response)
    else strict(request, response)
  }
  const context = await chromium.newContext({ ignoreHTTPSErrors: true })
  const page = await context.newPage()
  await page.goto(origin)
  return {
    tokens,
    async ask(action: 'login' | 'refresh' | 'logout', crossSite: boolean): Promise<Reply> {
      mode = crossSite
      const headers = { 'X-Baton': '1', 'Content-Type': 'application/json' }
      const body = action === 'login' ? '{}' : null
      return page.evaluate(
        async ([path, init]) => {
          const response = await fetch(path, init)
          const text = await response.text()
          const { sid } = text === '' ? {} : JSON.parse(text)
          return sid === undefined ? { status: response.status } : { status: response.status, sid }
        },
        [`/auth/${action}`, { method: 'POST', headers, body }] as const,
      )
    },
    /** Sets both variants of the cookie, as an earlier version of the server did. */
    async seed(unpartitioned: string, partitionedToken: string): Promise<void> {
      seed = [
        `__Host-baton=${unpartitioned}; Path=/; HttpOnly; Secure; SameSite=Strict`,
        `__Host-baton=${partitionedToken}; Path=/; HttpOnly; Secure; SameSite=None; Partitioned`,
      ]
      await page.goto(origin)
    },
    cookies: async () => (await context.cookies()).filter(({ name }) => name === '__Host-baton'),
    async close() {
      await context.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test('Chromium keeps one session cookie while the option crossSite is switched on and off', async () => {
  const site = await open()
  const { sid } = await site.ask('login', false)
  for (const crossSite of [false, true, true, false, true]) {
    expect(await site.ask('refresh', crossSite)).toEqual({ status: 200, sid })
    await expect.poll(() => site.cookies()).toHaveLength(1)
  }
  expect((await site.ask('login', false)).status).toBe(200)
  await expect.poll(() => site.cookies()).toHaveLength(1)
  expect(await site.ask('logout', true)).toEqual({ status: 204 })
  await expect.poll(() => site.cookies()).toEqual([])
  await site.close()
})

test.each(['refresh', 'login', 'logout'] as const)(
  'Chromium with both variants of the session cookie has no second one after %s',
  async (action) => {
    const site = await open()
    const [ended, active] = [
      await site.tokens.issue({ subject: 'alice', clientId: FIRST_PARTY }),
      await site.tokens.issue({ subject: 'alice', clientId: FIRST_PARTY }),
    ]
    await site.tokens.revoke({ familyId: ended.family.id })
    await site.seed(ended.refreshToken, active.refreshToken)
    expect(await site.cookies()).toHaveLength(2)
    const { status, sid } = await site.ask(action, false)
    expect(status).toBe(action === 'logout' ? 204 : 200)
    // Chromium may deliver the response to the page before it has stored the cookies.
    await expect.poll(async () => (await site.cookies()).length).toBe(action === 'logout' ? 0 : 1)
    if (action === 'refresh') expect(sid).toBe(active.family.id)
    if (action !== 'logout') expect(await site.ask('refresh', true)).toEqual({ status: 200, sid })
    await site.close()
  },
)
