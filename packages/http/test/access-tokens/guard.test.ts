import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accessTokenGuard, type AccessTokenGuardOptions } from '../../src/index.js'
import { createApp, headerOf, headersOf, jsonOf, request } from '../app.js'
import { parseChallenge } from '../challenge.js'

async function protectedApp(options: Partial<AccessTokenGuardOptions> = {}) {
  const app = createApp()
  const { now, onError } = app.shared
  const guard = accessTokenGuard({ accessTokens: app.accessTokens, now, onError, ...options })
  const session = await app.signIn('alice', { scope: 'read write' })

  async function rejection(parts: Parameters<typeof request>[0]) {
    const outcome = await guard(request(parts))
    if (outcome.ok) throw new Error('the guard let it through')
    const { response } = outcome
    return { response, status: response.status, challenge: parseChallenge(headerOf(response, 'www-authenticate')) }
  }

  return { ...app, ...session, guard, rejection }
}

describe('valid access tokens', () => {
  it('B-01: accepts the scheme in any case', async () => {
    const { guard, accessToken } = await protectedApp()
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
      const outcome = await guard(request({ headers: { authorization: `${scheme} ${accessToken}` } }))
      expect(outcome).toMatchObject({ ok: true, claims: { sub: 'alice', client_id: 'first-party' }, family: null })
    }
  })

  it('accepts a token with the whole required scope in any order', async () => {
    const { guard, bearer } = await protectedApp({ scope: 'write read' })
    expect(await guard(request({ headers: { authorization: bearer } }))).toMatchObject({ ok: true })
  })

  it('gives the current time to a custom verifier', async () => {
    const seen: unknown[] = []
    const verify = async (token: string, now: number) => {
      seen.push(token, now)
      return token === 'opaque' ? { sub: 'bob', tenant: 7 } : null
    }
    const guard = accessTokenGuard({ accessTokens: verify, now: () => 1234 })
    const outcome = await guard(request({ headers: { authorization: 'Bearer opaque' } }))
    expect(outcome).toMatchObject({ ok: true, claims: { sub: 'bob', tenant: 7 } })
    expect(seen).toEqual(['opaque', 1234])
  })
})

describe('missing credentials', () => {
  it('B-02: challenges without an error if credentials are missing', async () => {
    const { rejection } = await protectedApp({ scope: 'read', realm: 'my API' })
    const { status, challenge, response } = await rejection({})
    expect([status, challenge]).toEqual([401, { realm: 'my API', scope: 'read' }])
    expect(jsonOf(response)).toMatchObject({ error: expect.any(String) })
  })

  it('B-02: treats credentials of another scheme as missing', async () => {
    const { rejection, accessToken } = await protectedApp()
    for (const authorization of ['Basic YWxpY2U6eA==', 'DPoP x', 'Bearerx', '', accessToken])
      expect(await rejection({ headers: { authorization } })).toMatchObject({
        status: 401,
        challenge: { realm: 'api' },
      })
    expect((await rejection({ headers: { authorization: 'Basic x' } })).challenge).not.toHaveProperty('error')
  })

  it('B-01: ignores a token in the query or in the body', async () => {
    const { rejection, accessToken } = await protectedApp()
    const inQuery = await rejection({ url: `/api/me?access_token=${accessToken}` })
    expect([inQuery.status, inQuery.challenge]).toEqual([401, { realm: 'api' }])
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const inBody = await rejection({ method: 'POST', headers: form, body: `access_token=${accessToken}` })
    expect([inBody.status, inBody.challenge]).toEqual([401, { realm: 'api' }])
  })
})

describe('invalid credentials', () => {
  it('B-03: responds to an invalid token with invalid_token', async () => {
    const { rejection, bearer, refreshToken } = await protectedApp()
    for (const authorization of [
      `${bearer}x`,
      'Bearer x',
      'Bearer',
      'Bearer ',
      'Bearer a b',
      'Bearer "a"',
      `Bearer ${refreshToken}`,
    ]) {
      const { status, challenge, response } = await rejection({ headers: { authorization } })
      expect([status, challenge['error']], authorization).toEqual([401, 'invalid_token'])
      expect(jsonOf(response).error).toBe('invalid_token')
    }
  })

  it('B-05 X-05: rejects a token at exp', async () => {
    const { rejection, guard, bearer, clock } = await protectedApp()
    clock.now = Math.floor(clock.now / 1000) * 1000 + 899_999
    expect(await guard(request({ headers: { authorization: bearer } }))).toMatchObject({ ok: true })
    clock.now += 1
    expect((await rejection({ headers: { authorization: bearer } })).challenge['error']).toBe('invalid_token')
  })

  it('B-03: responds to missing scope with insufficient_scope and the required scope', async () => {
    const { rejection, bearer } = await protectedApp({ scope: 'read delete' })
    const { status, challenge, response } = await rejection({ headers: { authorization: bearer } })
    expect([status, challenge['error'], challenge['scope']]).toEqual([403, 'insufficient_scope', 'read delete'])
    expect(jsonOf(response).error).toBe('insufficient_scope')
  })

  it('B-03: responds to two Authorization headers or two locations with invalid_request even if both tokens are valid', async () => {
    const { rejection, bearer, accessToken } = await protectedApp()
    for (const parts of [
      { headers: { authorization: [bearer, bearer] } },
      { headers: { authorization: [bearer, 'Basic x'] } },
      // As runtimes do that merge repeated headers.
      { headers: { authorization: `${bearer}, ${bearer}` } },
      { headers: { authorization: bearer }, url: `/?access_token=${accessToken}` },
      { headers: { authorization: bearer }, url: '/?x=1&access%5ftoken=' },
    ]) {
      const { status, challenge } = await rejection(parts)
      expect([status, challenge['error']]).toEqual([400, 'invalid_request'])
    }
  })

  it('B-06: rejects a key-bound token as a bearer token', async () => {
    const { rejection, accessToken } = await protectedApp({
      accessTokens: async () => ({ sub: 'a', cnf: { jkt: 'x' } }) as never,
    })
    const { status, challenge } = await rejection({ headers: { authorization: `Bearer ${accessToken}` } })
    expect([status, challenge['error']]).toEqual([401, 'invalid_token'])
  })

  it('B-04: sends a valid challenge for any request, without text from the request', async () => {
    const { guard } = await protectedApp({ scope: 'read' })
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), async (token, query) => {
        const outcome = await guard(request({ url: `/?${query}`, headers: { authorization: `Bearer ${token}` } }))
        if (outcome.ok) throw new Error('the guard let rubbish through')
        const headers = headersOf(outcome.response, 'www-authenticate')
        expect(headers).toHaveLength(1)
        expect(Object.keys(parseChallenge(headers[0]))).not.toContain(token)
        expect([400, 401]).toContain(outcome.response.status)
      }),
    )
  })

  it('E-03 H-06: prevents caching and sniffing of error responses', async () => {
    const { rejection } = await protectedApp()
    const { response } = await rejection({})
    expect(headerOf(response, 'cache-control')).toBe('no-store')
    expect(headerOf(response, 'x-content-type-options')).toBe('nosniff')
  })
})

describe('guards that check the session', () => {
  async function createSessionGuard() {
    const app = createApp()
    const session = await app.signIn('alice')
    const { now, onError } = app.shared
    const guard = accessTokenGuard({ accessTokens: app.accessTokens, checkSession: app.tokens, now, onError })
    const call = () => guard(request({ headers: { authorization: session.bearer } }))
    return { ...app, ...session, call }
  }

  it('passes on the session of the token', async () => {
    const { call, family } = await createSessionGuard()
    expect(await call()).toMatchObject({ ok: true, family: { id: family.id, subject: 'alice' } })
  })

  it('rejects a token of a revoked session at once', async () => {
    const { call, tokens, family } = await createSessionGuard()
    await tokens.revoke({ familyId: family.id })
    expect(await call()).toMatchObject({ ok: false, response: { status: 401 } })
  })

  it('rejects a token of an unknown session and one without a session', async () => {
    const { tokens, shared } = await createSessionGuard()
    for (const sid of ['unknown', undefined]) {
      const verify = async () => (sid === undefined ? { sub: 'a' } : { sub: 'a', sid })
      const guard = accessTokenGuard({ accessTokens: verify, checkSession: tokens, now: shared.now })
      const outcome = await guard(request({ headers: { authorization: 'Bearer x' } }))
      expect(outcome).toMatchObject({ ok: false, response: { status: 401 } })
    }
  })

  it('E-04: responds with 503 and Retry-After during an outage of the store', async () => {
    const { call, outage, errors } = await createSessionGuard()
    outage.of.add('find')
    const outcome = await call()
    if (outcome.ok) throw new Error('the guard let it through')
    expect(outcome.response.status).toBe(503)
    expect(Number(headerOf(outcome.response, 'retry-after'))).toBeGreaterThan(0)
    expect(headersOf(outcome.response, 'www-authenticate')).toEqual([])
    expect(errors).toMatchObject([{ name: 'StoreError', code: 'store_failed' }])
    outage.of.clear()
    expect(await call()).toMatchObject({ ok: true })
  })
})

it('reads a header of many spaces in linear time', async () => {
  const { rejection, accessToken } = await protectedApp()
  const startedAt = performance.now()
  const { status } = await rejection({ headers: { authorization: `Bearer x${' '.repeat(100_000)}${accessToken}` } })
  expect(status).toBe(401)
  expect(performance.now() - startedAt).toBeLessThan(1000)
})

it('E-04: responds with 503 if a verifier throws, and if onError throws too', async () => {
  const guard = accessTokenGuard({
    accessTokens: async () => Promise.reject(new Error('the introspection endpoint is out')),
    onError: () => {
      throw new Error('so is the logger')
    },
  })
  const outcome = await guard(request({ headers: { authorization: 'Bearer x' } }))
  expect(outcome).toMatchObject({ ok: false, response: { status: 503 } })
})

it.each<[string, object]>([
  ['accessTokens', { accessTokens: undefined }],
  ['accessTokens', { accessTokens: {} }],
  ['checkSession', { checkSession: {} }],
  ['scope', { scope: 'a  b' }],
  ['scope', { scope: 'a"' }],
  ['realm', { realm: 'a"b' }],
  ['realm', { realm: 'a\r\nb' }],
  ['realm', { realm: '' }],
  ['scopes', { scopes: 'read' }],
])('rejects an invalid option %s at construction', (option, bad) => {
  const { accessTokens } = createApp()
  expect(() => accessTokenGuard({ accessTokens, ...bad })).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', option }),
  )
})
