import type { AccessTokenClaims, Endpoint } from '@baton/http'
import { type Answer, send, serve, type WireRequest } from '@baton/http-parity'
import express5 from 'express'
import express4 from 'express-4'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { handler, requireAccessToken } from '../src/index.js'

type App = ReturnType<typeof express5>

const FORM = ['Content-Type', 'application/x-www-form-urlencoded'] as const
const form = (body: string): WireRequest => ({ method: 'POST', target: '/echo', headers: [FORM], body })

/** Answers with what it was given. */
const echo: Endpoint = async ({ method, url, body }) => {
  const said = body.kind === 'parsed' ? body.value : Buffer.from((await body.read(100)) ?? []).toString()
  return {
    status: 200,
    headers: [['content-type', 'application/json']],
    body: JSON.stringify({ method, url, kind: body.kind, said }),
  }
}

const answering =
  (headers: [string, string][], body: string | null = null): Endpoint =>
  async () => ({ status: body === null ? 204 : 200, headers, body })

async function ask(app: App, request: WireRequest): Promise<Answer> {
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

  test('a stream that no parser has touched is read by the endpoint', async () => {
    const { body } = await ask(express().all('/echo', handler(echo)), form('a=1'))
    expect(JSON.parse(body)).toEqual({ method: 'POST', url: '/echo', kind: 'stream', said: 'a=1' })
  })

  test('a stream that a parser has drained is taken over as what the parser made of it', async () => {
    const app = express()
      .use(express.urlencoded({ extended: false }))
      .all('/echo', handler(echo))
    expect(JSON.parse((await ask(app, form('a=1&b=2'))).body)).toMatchObject({
      kind: 'parsed',
      said: { a: '1', b: '2' },
    })
  })

  test('a parser for another type leaves the stream to the endpoint', async () => {
    const app = express().use(express.json()).all('/echo', handler(echo))
    expect(JSON.parse((await ask(app, form('a=1'))).body)).toMatchObject({ kind: 'stream', said: 'a=1' })
  })

  test('the endpoint sees the whole path below a mount point', async () => {
    const app = express().use('/auth', express.Router().use('/echo', handler(echo)))
    const { body } = await ask(app, { method: 'DELETE', target: '/auth/echo/%2e%2E/x?y=1' })
    expect(JSON.parse(body)).toMatchObject({ method: 'DELETE', url: '/auth/echo/%2e%2E/x?y=1' })
  })

  test('several cookies stay several headers, beside one that the app has set', async () => {
    const app = express()
      .use((_request, response, next) => {
        response.cookie('theirs', '0')
        next()
      })
      .get(
        '/me',
        handler(
          answering([
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ]),
        ),
      )
    expect((await ask(app, get)).headers['set-cookie']).toEqual(['theirs=0; Path=/', 'a=1', 'b=2'])
  })

  test('the content type is the one of the endpoint, with nothing added', async () => {
    const app = express().get('/me', handler(answering([['content-type', 'application/json']], '{}')))
    expect(await ask(app, get)).toEqual({
      status: 200,
      headers: { 'content-type': ['application/json'] },
      body: '{}',
    })
  })

  test('an endpoint that breaks its promise and rejects ends in the error handler of the app', async () => {
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

    test('passes a good token on with its claims', async () => {
      const answer = await ask(app, { ...get, headers: [['Authorization', 'Bearer good']] })
      expect(answer).toMatchObject({ status: 200, body: 'alice' })
    })

    test('answers a bad token itself', async () => {
      const answer = await ask(app, { ...get, headers: [['Authorization', 'Bearer bad']] })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']?.[0]).toMatch(/^Bearer .*error="invalid_token"/)
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

      test('checks the token where the guard does not stand in front', async () => {
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

    test('an error of the next handler is not taken for one of the guard', async () => {
      const throwing = express().get('/me', guard, () => {
        throw new Error('of the app')
      })
      let calls = 0
      throwing.use(((error, _request, response, _next) => {
        calls += 1
        response.status(500).send(error.message)
      }) as express5.ErrorRequestHandler)
      const answer = await ask(throwing, { ...get, headers: [['Authorization', 'Bearer good']] })
      expect(answer).toMatchObject({ status: 500, body: 'of the app' })
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
