import { createRefreshTokens } from '@baton/core'
import { type AccessTokenClaims, authServer, type Endpoint, generateSigningKey, jwtAccessTokens } from '@baton/http'
import { type WireResponse, send, type WireRequest } from '@baton/http-parity'
import { memoryStore } from '@baton/store-memory'
import formbody from '@fastify/formbody'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { authPlugin, baton, type BatonOptions, endpointPlugin, requireAccessToken } from '../src/index.js'

const ISSUER = 'https://login.example'

const FORM = 'application/x-www-form-urlencoded'
const post = (body: string, type: string | null = FORM): WireRequest => ({
  method: 'POST',
  target: '/echo',
  headers: type === null ? [] : [['Content-Type', type]],
  body,
})

/** Responds with the received request. */
const echo: Endpoint = async ({ method, url, headers, body }) => {
  const bytes = body.kind === 'stream' ? await body.read(100) : 'parsed'
  return {
    status: 200,
    headers: [['content-type', 'application/json']],
    body: JSON.stringify({
      method,
      url,
      type: headers['content-type'],
      received: bytes instanceof Uint8Array ? Buffer.from(bytes).toString() : bytes,
    }),
  }
}

const respondWith =
  (headers: [string, string][], body: string | null = null): Endpoint =>
  async () => ({ status: body === null ? 204 : 200, headers, body })

async function ask(request: WireRequest, prepare: (app: FastifyInstance) => unknown): Promise<WireResponse> {
  const app = Fastify({ bodyLimit: 20 })
  await prepare(app)
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  try {
    return await send(Number(new URL(address).port), request)
  } finally {
    await app.close()
  }
}

const mounted =
  (endpoint: Endpoint) =>
  (app: FastifyInstance): unknown =>
    app.register(endpointPlugin(endpoint), { prefix: '/echo' })

describe('bodies', () => {
  const received = async (request: WireRequest, prepare = mounted(echo)) => {
    const { status, body } = await ask(request, prepare)
    return { status, ...JSON.parse(body) }
  }

  test('passes a form to the endpoint if Fastify has no parser for it', async () => {
    expect(await received(post('a=%zz&a=2'))).toMatchObject({ status: 200, received: 'a=%zz&a=2' })
  })

  test('passes a form to the endpoint unparsed if the app has @fastify/formbody', async () => {
    const prepare = async (app: FastifyInstance) => {
      await app.register(formbody)
      await mounted(echo)(app)
    }
    expect(await received(post('a=%zz&a=2'), prepare)).toMatchObject({ status: 200, received: 'a=%zz&a=2' })
  })

  test('does not use a parser of the app for all types', async () => {
    const prepare = (app: FastifyInstance) => {
      for (const type of ['*', 'application/octet-stream', FORM])
        app.addContentTypeParser(type, { parseAs: 'string' }, async () => 'theirs')
      return mounted(echo)(app)
    }
    expect(await received(post('a=%zz&a=2'), prepare)).toMatchObject({ status: 200, received: 'a=%zz&a=2' })
  })

  test.each([null, '', 'nonsense', 'text/csv', 'application/json', '/', 'a b/c', 'multipart/form-data'])(
    'passes content type %j to the endpoint, which rejects it',
    async (type) => {
      const seen = type === null ? {} : { type: [type] }
      expect(await received(post('{', type))).toMatchObject({ status: 200, received: '{', ...seen })
    },
  )

  test('limits the size in the endpoint and not by the bodyLimit of the app', async () => {
    expect(await received(post('x'.repeat(100)))).toMatchObject({ status: 200, received: 'x'.repeat(100) })
    expect(await received(post('x'.repeat(101)))).toMatchObject({ status: 200, received: null })
  })

  test('does not change the parsers of other routes', async () => {
    const prepare = async (app: FastifyInstance) => {
      await mounted(echo)(app)
      app.post('/theirs', (request) => ({ body: request.body, type: request.headers['content-type'] }))
    }
    const json = { ...post('{"a":1}', 'application/json'), target: '/theirs' }
    expect(await received(json, prepare)).toEqual({ status: 200, body: { a: 1 }, type: 'application/json' })
    expect(await received({ ...post('a=1'), target: '/theirs' }, prepare)).toMatchObject({ status: 415 })
  })
})

describe('routes', () => {
  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'QUERY'])(
    'passes %s to the endpoint, which rejects it',
    async (method) => {
      const { status, body } = await ask({ method, target: '/echo' }, mounted(echo))
      expect({ status, ...JSON.parse(body) }).toMatchObject({ status: 200, method })
    },
  )

  test('passes HEAD to the endpoint as HEAD', async () => {
    let seen = ''
    await ask({ method: 'HEAD', target: '/echo' }, (app) =>
      mounted(async (request) => {
        seen = request.method
        return { status: 204, headers: [], body: null }
      })(app),
    )
    expect(seen).toBe('HEAD')
  })

  test('passes the whole path to the endpoint below a prefix', async () => {
    const { body } = await ask({ method: 'DELETE', target: '/echo/%2e%2E/x?y=1' }, mounted(echo))
    expect(JSON.parse(body)).toMatchObject({ method: 'DELETE', url: '/echo/%2e%2E/x?y=1' })
  })
})

describe('responses', () => {
  const get = { method: 'GET', target: '/echo' }
  const twoCookies = respondWith([
    ['set-cookie', 'a=1'],
    ['set-cookie', 'b=2'],
    ['vary', 'Origin'],
  ])

  test('sends each cookie in a separate header', async () => {
    expect((await ask(get, mounted(twoCookies))).headers['set-cookie']).toEqual(['a=1', 'b=2'])
  })

  test('keeps values that plugins have set for shared headers, once', async () => {
    const { headers } = await ask(get, (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        reply.header('set-cookie', 'theirs=0').header('vary', 'Accept')
      })
      return mounted(twoCookies)(app)
    })
    expect(headers).toEqual({ 'set-cookie': ['theirs=0', 'a=1', 'b=2'], vary: ['Accept', 'Origin'] })
  })

  test('sends the content type of the endpoint without adding a charset', async () => {
    const response = await ask(get, mounted(respondWith([['content-type', 'application/json']], '{}')))
    expect(response).toEqual({ status: 200, headers: { 'content-type': ['application/json'] }, body: '{}' })
  })

  test('sends no content type with an empty response', async () => {
    expect(await ask(get, mounted(respondWith([])))).toEqual({ status: 204, headers: {}, body: '' })
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
  const me = { method: 'GET', target: '/me' }

  test.each(['onRequest', 'preHandler'] as const)('accepts a valid token as %s and sets its claims', async (hook) => {
    const response = await ask({ ...me, headers: [['Authorization', 'Bearer good']] }, (app) =>
      app.get('/me', { [hook]: guard }, (request) => request.auth?.sub),
    )
    expect(response).toMatchObject({ status: 200, body: 'alice' })
  })

  test('checks the token in a handler of the guard unless the hook has checked it', async () => {
    let calls = 0
    const counting = requireAccessToken({
      accessTokens: async (token) => {
        calls += 1
        return token === 'good' ? claims : null
      },
    })
    const handle = counting.handler((request) => request.auth.sub)
    const authorized: WireRequest = { ...me, headers: [['Authorization', 'Bearer good']] }
    expect(await ask(authorized, (app) => app.get('/me', handle))).toMatchObject({ status: 200, body: 'alice' })
    expect(await ask(authorized, (app) => app.get('/me', { onRequest: counting }, handle))).toMatchObject({
      body: 'alice',
    })
    expect(calls).toBe(2)
    expect((await ask(me, (app) => app.get('/me', handle))).status).toBe(401)
  })

  test('types request.auth as present in a handler of the guard, with the claims that the verifier returns', () => {
    interface OwnClaims {
      readonly sub: string
      readonly roles: readonly string[]
    }
    const own = requireAccessToken({ accessTokens: async (): Promise<OwnClaims | null> => null })
    Fastify().get(
      '/me',
      own.handler((request, reply) => {
        expectTypeOf(request.auth.roles).toEqualTypeOf<readonly string[]>()
        expectTypeOf(reply.statusCode).toEqualTypeOf<number>()
      }),
    )
    Fastify().get(
      '/me',
      guard.handler((request) => {
        expectTypeOf(request.auth.client_id).toEqualTypeOf<string>()
      }),
    )
    Fastify().get('/me', (request) => {
      expectTypeOf(request.auth?.sub).toEqualTypeOf<string | undefined>()
    })
  })

  test.each(['onRequest', 'preHandler'] as const)('responds to an invalid token itself as %s', async (hook) => {
    let reached = false
    const response = await ask({ ...me, headers: [['Authorization', 'Bearer bad']] }, (app) =>
      app.get('/me', { [hook]: guard }, () => {
        reached = true
        return 'reached'
      }),
    )
    expect(response.status).toBe(401)
    expect(response.headers['www-authenticate']?.[0]).toMatch(/^Bearer .*error="invalid_token"/)
    expect(reached).toBe(false)
  })
})

test.each([true, false])(
  'all paths are served with and without a trailing slash (ignoreTrailingSlash: %s)',
  async (ignored) => {
    const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['a secret of a test, and not a real one'] })
    const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [generateSigningKey()] })
    const options = { accessTokens, clients: [], cookie: true, authenticate: async () => null } as const
    const app = Fastify({ routerOptions: { ignoreTrailingSlash: ignored } })
    app.register(authPlugin(tokens, options))
    for (const path of authServer(tokens, options).routes.flatMap(({ paths }) => paths))
      for (const url of [path, `${path}/`])
        expect((await app.inject({ url: url.replace(':id', 'x') })).statusCode, url).not.toBe(404)
    await app.close()
  },
)

describe('headers', () => {
  const AUTHORIZED = [['Authorization', 'Bearer a']] as const
  const authorizationSeenBy = async (request: WireRequest, prepare: (app: FastifyInstance) => unknown) => {
    const echoAuthorization: Endpoint = async ({ headers }) => ({
      status: 200,
      headers: [],
      body: JSON.stringify({ authorization: headers['authorization'] ?? [], type: headers['content-type'] ?? [] }),
    })
    const { body } = await ask(request, async (app) => {
      await prepare(app)
      await mounted(echoAuthorization)(app)
    })
    return JSON.parse(body)
  }

  test.each(['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const)(
    'a header that a hook removes or sets at %s is removed or set for the endpoint',
    async (phase) => {
      const removed = (app: FastifyInstance) =>
        app.addHook(phase, async (request: FastifyRequest) => {
          delete request.headers['authorization']
        })
      const set = (app: FastifyInstance) =>
        app.addHook(phase, async (request: FastifyRequest) => void (request.headers['authorization'] = 'Bearer b'))
      const replaced = (app: FastifyInstance) =>
        app.addHook(phase, async (request: FastifyRequest) => void (request.headers = { authorization: 'Bearer c' }))
      for (const request of [
        { ...post('a=1'), headers: AUTHORIZED },
        { ...post('a=1'), headers: [...AUTHORIZED, ['Content-Type', FORM]] as const },
        { ...post('a=1'), headers: [...AUTHORIZED, ['Content-Type', 'nonsense']] as const },
        { method: 'GET', target: '/echo', headers: [...AUTHORIZED, ['Content-Type', 'nonsense']] as const },
      ]) {
        expect(await authorizationSeenBy(request, removed)).toMatchObject({ authorization: [] })
        expect(await authorizationSeenBy(request, set)).toMatchObject({ authorization: ['Bearer b'] })
        expect(await authorizationSeenBy(request, replaced)).toMatchObject({ authorization: ['Bearer c'] })
      }
    },
  )

  test.each([FORM, 'nonsense', ''])(
    'hooks behind the parser and the endpoint see the content type %j',
    async (type) => {
      const seen: unknown[] = []
      const request = { ...post('a=1'), headers: [['Content-Type', type]] as const }
      const { type: received } = await authorizationSeenBy(request, (app) =>
        app.addHook('preHandler', async ({ headers }) => void seen.push(headers['content-type'])),
      )
      expect([seen, received]).toEqual([[type], [type]])
    },
  )

  test('reads headers that a hook has set on the request', async () => {
    const verify = async (token: string) => (token === 'good' ? ({ sub: 'alice' } as AccessTokenClaims) : null)
    const { status, body } = await ask({ method: 'GET', target: '/me' }, (app) => {
      app.addHook('onRequest', async (request) => void (request.headers = { authorization: 'Bearer good' }))
      app.get('/me', { onRequest: requireAccessToken({ accessTokens: verify }) }, (request) => request.auth?.sub)
    })
    expect([status, body]).toEqual([200, 'alice'])
  })
})

describe('the baton plugin', () => {
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['a secret of a test, and not a real one'] })
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [generateSigningKey()] })
  const authenticate = async () => ({ subject: 'alice' })
  const options = { tokens, accessTokens, authenticate, publicUrl: 'http://localhost' }

  test.each(['', '/x'])(
    'serves the endpoints below the prefix %j and decorates the app with a guard',
    async (prefix) => {
      const app = Fastify()
      await app.register(baton, { ...options, ...(prefix === '' ? {} : { prefix }) })
      app.get(
        '/me',
        app.requireAccessToken.handler((request) => request.auth.sub),
      )
      app.get('/hook', { onRequest: app.requireAccessToken }, (request) => request.auth?.sub)
      const login = await app.inject({ method: 'POST', url: `${prefix}/auth/login`, payload: { username: 'alice' } })
      const authorization = `Bearer ${login.json<{ access_token: string }>().access_token}`
      for (const url of ['/me', '/hook']) {
        expect((await app.inject({ url, headers: { authorization } })).body).toBe('alice')
        expect((await app.inject({ url })).statusCode).toBe(401)
      }
      await app.close()
    },
  )

  test('needs a verifier if access tokens are issued by a function', async () => {
    const byFunction = { ...options, accessTokens: async () => ({ accessToken: 'x', expiresIn: 60 }) }
    await expect(async () => Fastify().register(baton, byFunction)).rejects.toThrow(
      'option "guard.accessTokens" must be set',
    )
    const verify = async (token: string) => (token === 'x' ? ({ sub: 'alice' } as AccessTokenClaims) : null)
    const app = Fastify()
    await app.register(baton, { ...byFunction, guard: { accessTokens: verify } })
    app.get('/me', { onRequest: app.requireAccessToken }, (request) => request.auth?.sub)
    expect((await app.inject({ url: '/me', headers: { authorization: 'Bearer x' } })).body).toBe('alice')
    await app.close()
  })

  test('rejects a misspelt option', async () => {
    const misspelt = { ...options, cookies: true } as object as BatonOptions
    await expect(async () => Fastify().register(baton, misspelt)).rejects.toThrow('did you mean "cookie"?')
  })
})
