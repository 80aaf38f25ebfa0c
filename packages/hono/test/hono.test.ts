import type { Server } from 'node:http'
import type { AccessTokenClaims, Endpoint } from '@baton/http'
import { listen, send } from '@baton/http-parity'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type AuthVariables, handler, requireAccessToken } from '../src/index.js'

const CLAIMS = { iss: 'i', sub: 'alice', client_id: 'c', scope: '', sid: 's', exp: 2, iat: 1, jti: 'j', aud: 'a' }
const verify = async (token: string) => (token === 'good' ? CLAIMS : null)
const AUTHORIZED = { headers: { authorization: 'Bearer good' } }

/** Returns the address that the endpoint was given. */
const address: Endpoint = async ({ remoteAddress }) => ({ status: 200, headers: [], body: remoteAddress ?? 'unknown' })

describe('the remote address', () => {
  const app = new Hono().get('/', handler(address))
  const addressWith = async (bindings?: object) => (await app.request('http://a.example/', {}, bindings)).text()

  test('is the address of the socket on Node.js', async () => {
    const server = await listen(createAdaptorServer({ fetch: app.fetch }) as Server)
    try {
      expect((await send(server.port, { method: 'GET', target: '/' })).body).toBe('127.0.0.1')
    } finally {
      await server.close()
    }
  })

  test.each([
    ['Bun', { requestIP: () => ({ address: '192.0.2.1' }) }],
    ['Bun, as a member', { server: { requestIP: () => ({ address: '192.0.2.1' }) } }],
    ['Deno', { remoteAddr: { hostname: '192.0.2.1' } }],
  ])('is that of the connection on %s', async (_, bindings) => {
    expect(await addressWith(bindings)).toBe('192.0.2.1')
  })

  test('is unknown if the runtime does not provide it, regardless of the headers', async () => {
    for (const bindings of [undefined, {}, { requestIP: () => null }])
      expect(await addressWith(bindings)).toBe('unknown')
    const headers = { 'x-forwarded-for': '192.0.2.1', 'cf-connecting-ip': '192.0.2.1' }
    expect(await (await app.request('/', { headers })).text()).toBe('unknown')
  })
})

describe('requireAccessToken', () => {
  const app = new Hono()
    .use('/api/*', requireAccessToken({ accessTokens: verify }))
    .get('/api/me', (c) => c.text(c.var.auth.sub))
    .get('/api/response', () => new Response('from the handler'))

  test('sets c.var.auth to the claims of a valid token', async () => {
    const response = await app.request('http://localhost/api/me', AUTHORIZED)
    expect([response.status, await response.text()]).toEqual([200, 'alice'])
  })

  test('rejects an invalid token without running the handler', async () => {
    const response = await app.request('http://localhost/api/me', { headers: { authorization: 'Bearer bad' } })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/)
  })

  test('leaves an error of the handler to the app', async () => {
    const failing = new Hono().get('/', requireAccessToken({ accessTokens: verify }), () => {
      throw new Error('of the app')
    })
    failing.onError((error, c) => c.text(error.message, 500))
    const response = await failing.request('http://localhost/', AUTHORIZED)
    expect([response.status, await response.text()]).toEqual([500, 'of the app'])
  })

  test('types c.var.auth as present, with the claims that the verifier returns', () => {
    interface OwnClaims {
      readonly sub: string
      readonly roles: readonly string[]
    }
    const own = requireAccessToken<OwnClaims>({ accessTokens: async () => null })
    new Hono().get('/', own, (c) => {
      expectTypeOf(c.var.auth).toEqualTypeOf<OwnClaims>()
      return c.body(null)
    })
    new Hono().get('/', requireAccessToken({ accessTokens: async () => null as AccessTokenClaims | null }), (c) => {
      expectTypeOf(c.var.auth).toEqualTypeOf<AccessTokenClaims>()
      return c.body(null)
    })
    new Hono<{ Variables: AuthVariables<OwnClaims> }>().get('/', (c) => {
      expectTypeOf(c.var.auth.roles).toEqualTypeOf<readonly string[]>()
      return c.body(null)
    })
  })
})
