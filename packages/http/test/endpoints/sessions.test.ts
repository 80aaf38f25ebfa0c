import { describe, expect, it } from 'vitest'
import { sessionsEndpoint } from '../../src/index.js'
import { createApp, headerOf, headersOf, jsonOf, request, type RequestParts } from '../app.js'
import { parseChallenge } from '../challenge.js'

async function sessionsApp() {
  const app = createApp()
  const sessions = sessionsEndpoint(app.tokens, { ...app.shared, accessTokens: app.accessTokens })
  const laptop = await app.signIn('alice', { userAgent: 'Laptop' })
  app.clock.now += 1000
  const phone = await app.signIn('alice', { scope: 'read offline_access', offline: true })
  app.clock.now += 1000
  const bobs = await app.signIn('bob')
  const call = (method: string, url: string, by: { bearer: string } = laptop, parts: RequestParts = {}) =>
    sessions(request({ method, url, headers: { authorization: by.bearer }, ...parts }))
  const active = async () => {
    const found = await Promise.all([laptop, phone, bobs].map(({ family }) => app.tokens.find(family.id)))
    return { laptop: found[0] !== null, phone: found[1] !== null, bobs: found[2] !== null }
  }
  return { ...app, sessions, laptop, phone, bobs, call, active }
}

describe('GET …/sessions', () => {
  it('lists the active sessions of the caller, newest first, with times in ISO 8601', async () => {
    const { call, laptop, phone, clock, tokens } = await sessionsApp()
    await tokens.rotate({ refreshToken: laptop.refreshToken })
    const response = await call('GET', '/auth/sessions')
    expect(response.status).toBe(200)
    expect(headerOf(response, 'cache-control')).toBe('no-store')
    const iso = (instant: number) => new Date(instant).toISOString()
    expect(jsonOf(response)).toEqual({
      sessions: [
        {
          id: phone.family.id,
          current: false,
          clientId: 'first-party',
          createdAt: iso(clock.now - 1000),
          lastUsedAt: iso(clock.now - 1000),
          expiresAt: iso(phone.family.expiresAt),
          offline: true,
          userAgent: null,
        },
        {
          id: laptop.family.id,
          current: true,
          clientId: 'first-party',
          createdAt: iso(clock.now - 2000),
          lastUsedAt: iso(clock.now),
          expiresAt: iso(laptop.family.expiresAt + 2000),
          offline: false,
          userAgent: 'Laptop',
        },
      ],
    })
  })

  it('does not list ended sessions', async () => {
    const { call, phone, tokens } = await sessionsApp()
    await tokens.revoke({ familyId: phone.family.id })
    expect(jsonOf(await call('GET', '/auth/sessions')).sessions).toHaveLength(1)
  })

  it('lists more sessions than fit on one page of the store', async () => {
    const { call, signIn } = await sessionsApp()
    for (let index = 0; index < 230; index++) await signIn('alice')
    const body = jsonOf(await call('GET', '/auth/sessions'))
    expect(new Set(body.sessions.map(({ id }: { id: string }) => id)).size).toBe(232)
    expect(body).not.toHaveProperty('next')
  })

  it('continues a list at the cursor', async () => {
    const { call, signIn } = await sessionsApp()
    for (let index = 0; index < 5; index++) await signIn('alice')
    const ids: string[] = []
    let next: string | undefined = ''
    const sizes = []
    while (next !== undefined) {
      const query = next === '' ? '' : `&cursor=${encodeURIComponent(next)}`
      const page = jsonOf(await call('GET', `/auth/sessions?limit=3${query}`))
      sizes.push(page.sessions.length)
      ids.push(...page.sessions.map(({ id }: { id: string }) => id))
      next = page.next
    }
    expect(sizes).toEqual([3, 3, 1])
    expect(new Set(ids).size).toBe(7)
  })

  it('lists at most 500 sessions, with a cursor for the next', async () => {
    const { call, signIn } = await sessionsApp()
    for (let index = 0; index < 499; index++) await signIn('alice')
    const body = jsonOf(await call('GET', '/auth/sessions'))
    expect(body.sessions).toHaveLength(500)
    const rest = jsonOf(await call('GET', `/auth/sessions?cursor=${encodeURIComponent(body.next)}`))
    expect(rest.sessions).toHaveLength(1)
  })

  it.each([
    'limit=0',
    'limit=501',
    'limit=1.5',
    'limit=x',
    'limit=',
    'cursor=rubbish',
    'cursor=',
    `cursor=${'x'.repeat(3000)}`,
  ])('rejects %s as invalid_request without a fault event', async (query) => {
    const { call, events, errors } = await sessionsApp()
    const response = await call('GET', `/auth/sessions?${query}`)
    expect([response.status, jsonOf(response).error]).toEqual([400, 'invalid_request'])
    expect(errors).toEqual([])
    expect(events.filter(({ type }) => type === 'fault')).toEqual([])
  })
})

describe('DELETE …/sessions/:id', () => {
  it('revokes a session of the caller and no other', async () => {
    const { call, phone, active, events } = await sessionsApp()
    const response = await call('DELETE', `/auth/sessions/${phone.family.id}`)
    expect([response.status, response.body]).toEqual([204, null])
    expect(await active()).toEqual({ laptop: true, phone: false, bobs: true })
    expect(events.at(-1)).toMatchObject({ type: 'revoked', reason: 'subject_request', familyId: phone.family.id })
  })

  it('responds to a long path at once', async () => {
    const { call } = await sessionsApp()
    const startedAt = performance.now()
    const response = await call('DELETE', `/${'x'.repeat(100_000)}//sessions/nobody`)
    expect(response.status).toBe(404)
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })

  it('revokes the session of the request too, and the next request gets 401', async () => {
    const { call, laptop, active, events } = await sessionsApp()
    expect((await call('DELETE', `/auth/sessions/${laptop.family.id}`)).status).toBe(204)
    expect(events.at(-1)).toMatchObject({ type: 'revoked', reason: 'logout' })
    expect(await active()).toMatchObject({ laptop: false, phone: true })
    expect((await call('DELETE', `/auth/sessions/${laptop.family.id}`)).status).toBe(401)
  })

  it('responds with 204 if the session was revoked by an earlier call', async () => {
    const { call, phone } = await sessionsApp()
    await call('DELETE', `/auth/sessions/${phone.family.id}`)
    expect((await call('DELETE', `/auth/sessions/${phone.family.id}`)).status).toBe(204)
  })

  it('responds with the same 404 to the session of another subject and to an unknown one', async () => {
    const { call, bobs, active } = await sessionsApp()
    const foreign = await call('DELETE', `/auth/sessions/${bobs.family.id}`)
    expect(foreign.status).toBe(404)
    expect(jsonOf(foreign).error).toBe('not_found')
    for (const id of ['AAAAAAAAAAAAAAAAAAAAAA', 'x', '%00', '..%2f', "'; drop table families"])
      expect(await call('DELETE', `/auth/sessions/${id}`)).toEqual(foreign)
    expect(await active()).toEqual({ laptop: true, phone: true, bobs: true })
  })
})

describe('logout of other sessions', () => {
  it('revokes all other sessions of the subject, including offline ones, at POST …/logout-others', async () => {
    const { call, active } = await sessionsApp()
    expect((await call('POST', '/auth/logout-others')).status).toBe(204)
    expect(await active()).toEqual({ laptop: true, phone: false, bobs: true })
  })

  it('X-07: revokes all sessions including that of the caller at POST …/logout-everywhere', async () => {
    const { call, active, laptop, phone } = await sessionsApp()
    expect((await call('POST', '/auth/logout-everywhere')).status).toBe(204)
    expect(await active()).toEqual({ laptop: false, phone: false, bobs: true })
    for (const session of [laptop, phone]) expect((await call('GET', '/auth/sessions', session)).status).toBe(401)
  })
})

const ROUTES: readonly (readonly [method: string, url: string])[] = [
  ['GET', '/auth/sessions'],
  ['DELETE', '/auth/sessions/AAAAAAAAAAAAAAAAAAAAAA'],
  ['POST', '/auth/logout-others'],
  ['POST', '/auth/logout-everywhere'],
]

describe.each(ROUTES)('%s %s', (method, url) => {
  it('B-02: responds with 401 and a challenge without an error if credentials are missing', async () => {
    const { sessions, active } = await sessionsApp()
    const response = await sessions(request({ method, url }))
    expect(response.status).toBe(401)
    expect(parseChallenge(headerOf(response, 'www-authenticate'))).toEqual({ realm: 'api' })
    expect(await active()).toEqual({ laptop: true, phone: true, bobs: true })
  })

  it('rejects the valid access token of a revoked session', async () => {
    const { call, laptop, phone, tokens, active, accessTokens, clock } = await sessionsApp()
    await tokens.revoke({ familyId: phone.family.id })
    expect(await accessTokens.verify(phone.accessToken, clock.now)).not.toBeNull()
    const response = await call(method, url.replace('AAAAAAAAAAAAAAAAAAAAAA', laptop.family.id), phone)
    expect(response.status).toBe(401)
    expect(headerOf(response, 'www-authenticate')).toContain('error="invalid_token"')
    expect((await active()).laptop).toBe(true)
  })

  it('does not accept a cookie or a refresh token as credentials', async () => {
    const { sessions, laptop } = await sessionsApp()
    const headers = {
      cookie: `__Host-baton=${laptop.refreshToken}`,
      'x-baton': '1',
      authorization: `Bearer ${laptop.refreshToken}`,
    }
    expect((await sessions(request({ method, url, headers }))).status).toBe(401)
  })

  it('responds with 405 and Allow to other methods', async () => {
    const { call } = await sessionsApp()
    for (const other of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].filter((name) => name !== method)) {
      const response = await call(other, url)
      expect([response.status, headersOf(response, 'allow')]).toEqual([405, [method]])
    }
  })

  it('serves any mount path, with a query and a trailing slash', async () => {
    const { status } = await (await sessionsApp()).call(method, url)
    for (const end of ['?x=/sessions', '/', '/?x=1#y']) {
      const { call } = await sessionsApp()
      expect((await call(method, `/sessions/deep${url.slice('/auth'.length)}${end}`)).status).toBe(status)
    }
  })
})

it.each([
  ['GET', '/auth/sessions', ['find', 'list']],
  ['DELETE', '/auth/sessions/:id', ['find', 'revoke']],
  ['POST', '/auth/logout-others', ['find', 'list', 'revoke']],
  ['POST', '/auth/logout-everywhere', ['find', 'list', 'revoke']],
] as const)(
  'E-04: responds with 503 instead of 401 during an outage of the store at %s %s',
  async (method, url, failingMethods) => {
    for (const broken of failingMethods) {
      const { call, phone, outage, errors } = await sessionsApp()
      outage.of.add(broken)
      const response = await call(method, url.replace(':id', phone.family.id))
      expect([broken, response.status, headerOf(response, 'retry-after')]).toEqual([broken, 503, '1'])
      expect(errors).toMatchObject([{ code: 'store_failed' }])
    }
  },
)

it.each([
  '/',
  '/auth',
  '/auth/sessionsx',
  '/auth/sessions/a/b',
  '/auth/logout',
  '/auth/xlogout-others',
  '/auth?/sessions',
])('responds with 404 as JSON to %s', async (url) => {
  const { call } = await sessionsApp()
  const response = await call('GET', url)
  expect([response.status, jsonOf(response).error]).toEqual([404, 'not_found'])
})

it.each<[string, object]>([
  ['accessTokens', { accessTokens: undefined }],
  ['cookie', { cookie: true }],
  ['trustProxy', { trustProxy: -1 }],
])('rejects an invalid option %s at construction', (option, bad) => {
  const { tokens, accessTokens } = createApp()
  expect(() => sessionsEndpoint(tokens, { accessTokens, ...bad })).toThrow(
    expect.objectContaining({ name: 'ConfigurationError', option }),
  )
})
