import type { AccessTokenClaims, Endpoint } from '@baton/http'
import { type WireResponse, send, serve, type WireRequest } from '@baton/http-parity'
import { bodyParser as newBodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa, { type DefaultState, type Middleware } from 'koa'
import { koaBody } from 'koa-body'
import bodyParser from 'koa-bodyparser'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { handler, requireAccessToken } from '../src/index.js'

const form = (body: string): WireRequest => ({
  method: 'POST',
  target: '/',
  headers: [['Content-Type', 'application/x-www-form-urlencoded']],
  body,
})

/** Responds with the received request. */
const echo: Endpoint = async ({ method, url, body }) => {
  const received = body.kind === 'parsed' ? body.value : Buffer.from((await body.read(100)) ?? []).toString()
  return {
    status: 200,
    headers: [['content-type', 'application/json']],
    body: JSON.stringify({ method, url, kind: body.kind, received }),
  }
}

const respondWith =
  (status: number, headers: [string, string][], body: string | null): Endpoint =>
  async () => ({ status, headers, body })

const twoCookies = respondWith(
  200,
  [
    ['content-type', 'application/json'],
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
  ],
  '{}',
)

async function ask<State extends DefaultState>(
  request: WireRequest,
  ...middleware: Middleware<State>[]
): Promise<WireResponse> {
  const app = new Koa<State>()
  for (const each of middleware) app.use(each)
  const server = await serve(app.callback())
  try {
    return await send(server.port, request)
  } finally {
    await server.close()
  }
}

const get = { method: 'GET', target: '/' }

test('sends each cookie in a separate header', async () => {
  expect((await ask(get, handler(twoCookies))).headers['set-cookie']).toEqual(['a=1', 'b=2'])
})

test('keeps a cookie that the app has set', async () => {
  const theirs: Middleware = (ctx, next) => {
    ctx.cookies.set('theirs', '0', { httpOnly: false })
    return next()
  }
  expect((await ask(get, theirs, handler(twoCookies))).headers['set-cookie']).toEqual([
    'theirs=0; path=/',
    'a=1',
    'b=2',
  ])
})

test('sends the content type of the endpoint unchanged', async () => {
  expect((await ask(get, handler(twoCookies))).headers['content-type']).toEqual(['application/json'])
})

test.each([204, 200, 405])(
  'sends an empty response with %d unchanged, even if a type was set before',
  async (status) => {
    const typed: Middleware = (ctx, next) => {
      ctx.type = 'json'
      return next()
    }
    const empty = handler(respondWith(status, [['allow', 'POST']], null))
    expect(await ask(get, typed, empty)).toEqual({ status, headers: { allow: ['POST'] }, body: '' })
  },
)

test('lets earlier middleware change the response', async () => {
  const stamp: Middleware = async (ctx, next) => {
    await next()
    ctx.set('Vary', 'Origin')
  }
  expect((await ask(get, stamp, handler(twoCookies))).headers['vary']).toEqual(['Origin'])
})

test('passes the original path to the endpoint below a mount point', async () => {
  const mount: Middleware = (ctx, next) => {
    ctx.path = ctx.path.replace('/auth', '')
    return next()
  }
  const response = await ask({ method: 'DELETE', target: '/auth/echo/%2e%2E/x?y=1' }, mount, handler(echo))
  expect(JSON.parse(response.body)).toMatchObject({ method: 'DELETE', url: '/auth/echo/%2e%2E/x?y=1' })
})

describe('bodies', () => {
  const received = async (request: WireRequest, ...middleware: Middleware[]): Promise<unknown> =>
    JSON.parse((await ask(request, ...middleware, handler(echo))).body)

  test('reads a stream that no parser has read', async () => {
    expect(await received(form('a=1&a=2'))).toMatchObject({ kind: 'stream', received: 'a=1&a=2' })
  })

  test('uses the raw text of koa-bodyparser and not its result', async () => {
    expect(await received(form('a=%zz&a=2'), bodyParser())).toMatchObject({ kind: 'parsed', received: 'a=%zz&a=2' })
  })

  test('uses the raw text of @koa/bodyparser and not its result', async () => {
    expect(await received(form('a=%zz&a=2'), newBodyParser())).toMatchObject({ kind: 'parsed', received: 'a=%zz&a=2' })
  })

  test('uses the result of koa-body, which keeps no raw text', async () => {
    expect(await received(form('a=1&b=2'), koaBody())).toMatchObject({ kind: 'parsed', received: { a: '1', b: '2' } })
  })

  test('reads the stream if the parser does not know the type', async () => {
    const request = { ...form('a=1'), headers: [['Content-Type', 'text/csv']] as const }
    expect(await received(request, bodyParser())).toMatchObject({ kind: 'stream', received: 'a=1' })
  })
})

describe('requireAccessToken', () => {
  const claims: AccessTokenClaims = {
    iss: 'i',
    sub: 'alice',
    client_id: 'c',
    scope: '',
    sid: 's',
    exp: 2,
    iat: 1,
    jti: 'j',
    aud: 'a',
  }
  const guard = requireAccessToken({ accessTokens: async (token) => (token === 'good' ? claims : null) })
  const me: Middleware = (ctx) => {
    ctx.body = ctx.state.auth?.sub
  }

  test('accepts a valid token and sets its claims', async () => {
    const response = await ask({ ...get, headers: [['Authorization', 'Bearer good']] }, guard, me)
    expect(response).toMatchObject({ status: 200, body: 'alice' })
  })

  test('responds to an invalid token itself', async () => {
    const response = await ask({ ...get, headers: [['Authorization', 'Bearer bad']] }, guard, me)
    expect(response.status).toBe(401)
    expect(response.headers['www-authenticate']?.[0]).toMatch(/^Bearer .*error="invalid_token"/)
  })
})

test('types ctx.state.auth as present behind the guard, with the claims that the verifier returns', () => {
  interface OwnClaims {
    readonly sub: string
    readonly roles: readonly string[]
  }
  const own = requireAccessToken({ accessTokens: async (): Promise<OwnClaims | null> => null })
  new Router().get('/items/:id', own, (ctx) => {
    expectTypeOf(ctx.state.auth.roles).toEqualTypeOf<readonly string[]>()
  })
  new Koa().use(own).use((ctx) => {
    expectTypeOf(ctx.state.auth.roles).toEqualTypeOf<readonly string[]>()
  })
  new Router().get(
    '/me',
    requireAccessToken({ accessTokens: async (): Promise<AccessTokenClaims | null> => null }),
    (ctx) => {
      expectTypeOf(ctx.state.auth.client_id).toEqualTypeOf<string>()
    },
  )
})
