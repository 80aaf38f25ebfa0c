import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import {
  accessTokenGuard,
  type Endpoint,
  loginEndpoint,
  type PlainRequest,
  sessionsEndpoint,
  toWebHandler,
  webGuard,
} from '../../src/index.js'
import { createApp } from '../app.js'

/** Responds with the request as it was received. */
function echo(seen: PlainRequest[] = [], limit = 1000): Endpoint {
  return async (request) => {
    seen.push(request)
    const body = request.body.kind === 'stream' ? await request.body.read(limit) : null
    return {
      status: body === null ? 413 : 200,
      headers: [],
      body: body === null ? 'too much' : Buffer.from(body).toString(),
    }
  }
}

describe('toWebHandler', () => {
  it('passes on the request unchanged', async () => {
    const seen: PlainRequest[] = []
    const handle = toWebHandler(echo(seen), { remoteAddress: (request) => request.headers.get('x-socket') })
    const response = await handle(
      new Request('https://app.example:8443/a/b?c=d%20e', {
        method: 'post',
        body: 'grüße',
        headers: { 'X-Socket': '192.0.2.1' },
      }),
    )
    expect([response.status, await response.text()]).toEqual([200, 'grüße'])
    expect(seen).toMatchObject([
      {
        method: 'POST',
        url: '/a/b?c=d%20e',
        encrypted: true,
        remoteAddress: '192.0.2.1',
        headers: {
          host: ['app.example:8443'],
          'x-socket': ['192.0.2.1'],
          'content-type': ['text/plain;charset=UTF-8'],
        },
      },
    ])
  })

  it('has no remote address by default and no TLS on plain http', async () => {
    const seen: PlainRequest[] = []
    await toWebHandler(echo(seen))(new Request('http://127.0.0.1/', { headers: { 'x-forwarded-for': '192.0.2.1' } }))
    expect(seen).toMatchObject([{ remoteAddress: null, encrypted: false, headers: { host: ['127.0.0.1'] } }])
  })

  it('prefers the Host header to the URL', async () => {
    const seen: PlainRequest[] = []
    await toWebHandler(echo(seen))(new Request('http://internal/', { headers: { host: 'app.example' } }))
    expect(seen[0]?.headers['host']).toEqual(['app.example'])
  })

  it.each(['', '-1', '1e1', 'many', '1000'])(
    'stops reading a body over the limit whose length is announced as "%s"',
    async (announced) => {
      let pulled = 0
      const body = new ReadableStream({
        pull(controller) {
          pulled += 1
          if (pulled < 1000) controller.enqueue(new Uint8Array(100))
          else controller.close()
        },
      })
      const headers = { 'content-length': announced }
      const call = new Request('https://app.example/', { method: 'POST', body, duplex: 'half', headers })
      expect((await toWebHandler(echo([], 250))(call)).status).toBe(413)
      expect(pulled).toBeLessThan(10)
    },
  )

  it('reads a body of exactly the limit in chunks of any size', async () => {
    const pieces = ['ab', '', 'cd', 'e'].map((text) => new TextEncoder().encode(text))
    const body = new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece)
        controller.close()
      },
    })
    const call = new Request('https://app.example/', { method: 'POST', body, duplex: 'half' })
    expect(await (await toWebHandler(echo([], 5))(call)).text()).toBe('abcde')
  })

  it('reads a body of announced length at once, unless it is longer than announced or allowed', async () => {
    const handle = toWebHandler(echo([], 10))
    const send = (body: string, announced: string) =>
      handle(new Request('https://app.example/', { method: 'POST', body, headers: { 'content-length': announced } }))
    expect(await (await send('x'.repeat(10), '10')).text()).toBe('x'.repeat(10))
    expect((await send('x'.repeat(11), '11')).status).toBe(413)
    expect((await send('x'.repeat(11), '5')).status).toBe(413)
    expect((await send('x'.repeat(10), 'many')).status).toBe(200)
  })

  it('rejects a body that was already read', async () => {
    const seen: PlainRequest[] = []
    const call = new Request('https://app.example/', { method: 'POST', body: 'x' })
    await call.text()
    await toWebHandler(echo(seen))(call)
    expect(seen[0]?.body).toEqual({ kind: 'parsed', value: undefined })
  })

  it('keeps several cookies, and sends a 204 without a body', async () => {
    const headers = [
      ['set-cookie', 'a=1; Path=/'],
      ['set-cookie', 'b=2'],
      ['x-one', '1'],
    ] as const
    const response = await toWebHandler(async () => ({ status: 204, headers, body: null }))(
      new Request('https://app.example/'),
    )
    expect(response.headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2'])
    expect([response.status, response.body, response.headers.get('x-one')]).toEqual([204, null, '1'])
  })

  it('adds no Content-Type by default', async () => {
    const handle = toWebHandler(async () => ({
      status: 200,
      headers: [['content-type', 'application/json']],
      body: '{}',
    }))
    expect((await handle(new Request('https://app.example/'))).headers.get('content-type')).toBe('application/json')
  })
})

describe('webGuard', () => {
  it('returns the claims, or the response to send', async () => {
    const app = createApp()
    const { bearer } = await app.signIn('alice')
    const guard = webGuard(accessTokenGuard({ accessTokens: app.accessTokens, now: app.shared.now }))
    const call = (authorization: string) => guard(new Request('https://app.example/', { headers: { authorization } }))
    expect(await call(bearer)).toMatchObject({ ok: true, claims: { sub: 'alice' } })
    const refused = await call('Bearer x')
    if (refused.ok) throw new Error('the guard let it through')
    expect(refused.response).toBeInstanceOf(Response)
    expect(refused.response.headers.get('www-authenticate')).toContain('invalid_token')
  })

  it('returns headers that can be added to a response', async () => {
    const headers = [['dpop-nonce', 'n']] as const
    const guard = webGuard(async () => ({ ok: true, claims: { sub: 'alice' }, family: null, headers }))
    const outcome = await guard(new Request('https://app.example/'))
    if (!outcome.ok) throw new Error('the guard did not let it through')
    expect(Response.json({}, { headers: outcome.headers }).headers.get('dpop-nonce')).toBe('n')
  })

  it('B-03: responds with 400 to a repeated Authorization header, which the runtime merges', async () => {
    const app = createApp()
    const { bearer } = await app.signIn('alice')
    const headers = new Headers({ authorization: bearer })
    headers.append('authorization', bearer)
    const refused = await webGuard(accessTokenGuard({ accessTokens: app.accessTokens }))(
      new Request('https://app.example/', { headers }),
    )
    expect(refused).toMatchObject({ ok: false, response: { status: 400 } })
  })

  it('does not read the body', async () => {
    const app = createApp()
    const { bearer } = await app.signIn('alice')
    const call = new Request('https://app.example/', {
      method: 'POST',
      body: 'mine',
      headers: { authorization: bearer },
    })
    await webGuard(accessTokenGuard({ accessTokens: app.accessTokens, now: app.shared.now }))(call)
    expect(await call.text()).toBe('mine')
  })
})

describe('Hono on a real server', () => {
  let close: () => Promise<unknown> = async () => undefined
  afterEach(() => close())

  it('logs in, lists the session and revokes all sessions', async () => {
    const app = createApp()
    const login = loginEndpoint(app.tokens, {
      ...app.shared,
      accessTokens: app.accessTokens,
      authenticate: async () => ({ subject: 'alice' }),
      cookie: true,
    })
    const sessions = toWebHandler(sessionsEndpoint(app.tokens, { ...app.shared, accessTokens: app.accessTokens }))
    const hono = new Hono()
    hono.post('/login', (context) => toWebHandler(login)(context.req.raw))
    hono.all('/auth/*', (context) => sessions(context.req.raw))
    const server = serve({ fetch: hono.fetch, port: 0, hostname: '127.0.0.1' })
    close = async () => {
      server.close()
      await once(server, 'close')
    }
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

    const type = { 'content-type': 'application/json', connection: 'close' }
    const signedIn = await fetch(`${url}/login`, { method: 'POST', headers: type, body: '{}' })
    expect(signedIn.headers.getSetCookie()).toEqual([expect.stringMatching(/^baton=brt_.*HttpOnly; SameSite=Strict$/)])
    const { access_token: jwt, sid } = (await signedIn.json()) as Record<string, string>
    const headers = { authorization: `Bearer ${jwt}`, connection: 'close' }
    const listed = await fetch(`${url}/auth/sessions`, { headers })
    expect(await listed.json()).toMatchObject({ sessions: [{ id: sid, current: true }] })
    expect((await fetch(`${url}/auth/logout-everywhere`, { method: 'POST', headers })).status).toBe(204)
    expect((await fetch(`${url}/auth/sessions`, { headers })).status).toBe(401)
    const tooLong = await fetch(`${url}/login`, { method: 'POST', headers: type, body: `"${'x'.repeat(100_000)}"` })
    expect(tooLong.status).toBe(413)
  })
})
