import type { AccessTokenClaims, Endpoint } from '@baton/http'
import { type WireResponse, send, serve, type WireRequest } from '@baton/http-parity'
import express5 from 'express'
import express4 from 'express-4'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { handler, requireAccessToken } from '../src/index.js'

type App = ReturnType<typeof express5>

const FORM = ['Content-Type', 'application/x-www-form-urlencoded'] as const
const form = (body: string): WireRequest => ({ method: 'POST', target: '/echo', headers: [FORM], body })

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
  (headers: [string, string][], body: string | null = null): Endpoint =>
  async () => ({ status: body === null ? 204 : 200, headers, body })

async function ask(app: App, request: WireRequest): Promise<WireResponse> {
  const server = await serve(app)
  try {
    return await send(server.port, request)
  } finally {
    await server.close()
  }
}

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (_name, express) => {
  const get = { method: 'GET', target: '/me' }

  test('reads a stream that no parser has read', async () => {
    const { body } = await ask(express().all('/echo', handler(echo)), form('a=1'))
    expect(JSON.parse(body)).toEqual({ method: 'POST', url: '/echo', kind: 'stream', received: 'a=1' })
  })

  test('uses the result of a parser that has read the stream', async () => {
    const app = express()
      .use(express.urlencoded({ extended: false }))
      .all('/echo', handler(echo))
    expect(JSON.parse((await ask(app, form('a=1&b=2'))).body)).toMatchObject({
      kind: 'parsed',
      received: { a: '1', b: '2' },
    })
  })

  test('reads the stream if the parser is for another type', async () => {
    const app = express().use(express.json()).all('/echo', handler(echo))
    expect(JSON.parse((await ask(app, form('a=1'))).body)).toMatchObject({ kind: 'stream', received: 'a=1' })
  })

  test('passes the whole path to the endpoint below a mount point', async () => {
    const app = express().use('/auth', express.Router().use('/echo', handler(echo)))
    const { body } = await ask(app, { method: 'DELETE', target: '/auth/echo/%2e%2E/x?y=1' })
    expect(JSON.parse(body)).toMatchObject({ method: 'DELETE', url: '/auth/echo/%2e%2E/x?y=1' })
  })

  test('sends each cookie in a separate header and keeps a cookie of the app', async () => {
    const app = express()
      .use((_request, response, next) => {
        response.cookie('theirs', '0')
        next()
      })
      .get(
        '/me',
        handler(
          respondWith([
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ]),
        ),
      )
    expect((await ask(app, get)).headers['set-cookie']).toEqual(['theirs=0; Path=/', 'a=1', 'b=2'])
  })

  test('sends the content type of the endpoint unchanged', async () => {
    const app = express().get('/me', handler(respondWith([['content-type', 'application/json']], '{}')))
    expect(await ask(app, get)).toEqual({
      status: 200,
      headers: { 'content-type': ['application/json'] },
      body: '{}',
    })
  })

  test('passes the error of an endpoint that rejects to the error handler of the app', async () => {
    const app = express().get(
      '/me',
      handler(() => Promise.reject(new Error('broken'))),
    )
    app.use(((error, _request, response, _next) => {
      response.status(500).send(error.message)
    }) as express5.ErrorRequestHandler)
    expect(await ask(app, get)).toMatchObject({ status: 500, body: 'broken' })
  })

  describe('requireAccessToken', () => {
    const claims = { iss: 'i', sub: 'alice', client_id: 'c', scope: '', sid: 's', exp: 2, iat: 1, jti: 'j', aud: 'a' }
    const guard = requireAccessToken({ accessTokens: async (token) => (token === 'good' ? claims : null) })
    const app = express().get('/me', guard, (request, response) => {
      response.send(request.auth?.sub)
    })

    test('accepts a valid token and sets its claims', async () => {
      const response = await ask(app, { ...get, headers: [['Authorization', 'Bearer good']] })
      expect(response).toMatchObject({ status: 200, body: 'alice' })
    })

    test('responds to an invalid token itself', async () => {
      const response = await ask(app, { ...get, headers: [['Authorization', 'Bearer bad']] })
      expect(response.status).toBe(401)
      expect(response.headers['www-authenticate']?.[0]).toMatch(/^Bearer .*error="invalid_token"/)
    })

    describe('handler', () => {
      const authorized = { ...get, headers: [['Authorization', 'Bearer good']] } as const
      const counted = () => {
        let calls = 0
        const once = requireAccessToken({
          accessTokens: async (token) => {
            calls += 1
            return token === 'good' ? claims : null
          },
        })
        return { once, calls: () => calls }
      }

      test('checks the token without the guard as middleware', async () => {
        const { once } = counted()
        const only = express().get(
          '/me',
          once.handler((request, response) => response.end(request.auth.sub)),
        )
        expect(await ask(only, authorized)).toMatchObject({ status: 200, body: 'alice' })
        expect((await ask(only, get)).status).toBe(401)
      })

      test('does not check the token again behind the guard', async () => {
        const { once, calls } = counted()
        const behind = express()
          .use(once)
          .get(
            '/me',
            once.handler((request, response) => response.end(request.auth.sub)),
          )
        expect(await ask(behind, authorized)).toMatchObject({ status: 200, body: 'alice' })
        expect(calls()).toBe(1)
      })

      test('checks the token again behind another guard', async () => {
        const { once } = counted()
        const strict = requireAccessToken({ accessTokens: async () => null })
        const behind = express()
          .use(once)
          .get(
            '/me',
            strict.handler(() => undefined),
          )
        expect((await ask(behind, authorized)).status).toBe(401)
      })

      test('passes a rejection to the error handler of the app', async () => {
        const failing = express().get(
          '/me',
          guard.handler(async () => Promise.reject(new Error('of the app'))),
        )
        failing.use(((error, _request, response, _next) => {
          response.status(500).send(error.message)
        }) as express5.ErrorRequestHandler)
        expect(await ask(failing, authorized)).toMatchObject({ status: 500, body: 'of the app' })
      })
    })

    test('passes an error of the next handler to the app', async () => {
      const throwing = express().get('/me', guard, () => {
        throw new Error('of the app')
      })
      let calls = 0
      throwing.use(((error, _request, response, _next) => {
        calls += 1
        response.status(500).send(error.message)
      }) as express5.ErrorRequestHandler)
      const response = await ask(throwing, { ...get, headers: [['Authorization', 'Bearer good']] })
      expect(response).toMatchObject({ status: 500, body: 'of the app' })
      expect(calls).toBe(1)
    })
  })
})

test('types req.auth as present in a handler of the guard, with the claims that the verifier returns', () => {
  const own = requireAccessToken({ accessTokens: async (): Promise<OwnClaims | null> => null })
  const usual = requireAccessToken({ accessTokens: async (): Promise<AccessTokenClaims | null> => null })
  express5().get(
    '/items/:id',
    own.handler((request, response) => {
      expectTypeOf(request.auth.roles).toEqualTypeOf<readonly string[]>()
      expectTypeOf(request.path).toEqualTypeOf<string>()
      expectTypeOf(response.locals).toBeObject()
    }),
  )
  express5().get(
    '/me',
    usual.handler((request) => {
      expectTypeOf(request.auth.client_id).toEqualTypeOf<string>()
    }),
  )
  express5().get('/me', (request) => {
    expectTypeOf(request.auth?.sub).toEqualTypeOf<string | undefined>()
  })
})

interface OwnClaims {
  readonly sub: string
  readonly roles: readonly string[]
}
