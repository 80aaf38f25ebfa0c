import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cookieEndpoints } from '../src/cookie.js'
import { type Environment, memoryStorage } from '../src/index.js'
import { gate } from './server.js'
import { createWorld, listen, type World } from './world.js'

const MINUTE = 60_000
const LIFE = 15 * MINUTE

let world: World
let clock: World['clock']
let server: World['server']
const signedIn: World['signedIn'] = (options) => world.signedIn(options)

beforeEach(async () => {
  world = await createWorld()
  ;({ clock, server } = world)
})
afterEach(() => server.stop())

const me = `/api/me`
const refreshes = () => server.asked('/oauth/token')
const presented = () => refreshes().map(({ body }) => new URLSearchParams(body).get('refresh_token'))
const attempts = () => refreshes().map(({ headers }) => headers['idempotency-key'])

describe('a session', () => {
  test('signs in, refreshes after expiry and after a 401, retries a lost response, stores the tokens and signs out', async () => {
    const storage = memoryStorage()
    const session = await signedIn({ storage })
    const heard = listen(session)
    expect(await (await session.fetch(server.origin + me)).json()).toMatchObject({ sub: 'alice' })
    const before = await storage.read()

    // The token runs out, and the first answer to its refresh gets lost.
    clock.jump(LIFE)
    server.fault('/oauth/token', { kind: 'drop' })
    const answer = await session.fetch(server.origin + me)
    expect(answer.status).toBe(200)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
    expect(await storage.read()).not.toBe(before)

    // The server ends it early: a 401 overrules both clocks.
    server.accessTokensEnd()
    expect((await session.fetch(server.origin + me)).status).toBe(200)
    expect(server.asked(me).map(({ headers }) => headers.authorization)).toHaveLength(4)
    expect(new Set(server.asked(me).map(({ headers }) => headers.authorization)).size).toBe(3)

    expect(await session.logout()).toEqual({ revoked: true })
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried', 'rotated', 'revoked'])
    expect(heard.map(({ type }) => type)).toEqual(['retrying', 'refreshed', 'refreshed', 'signedOut'])
    expect(await storage.read()).not.toMatch(/brt_|eyJ/)
  })

  test('CL-03 sends one refresh for a hundred calls with an expired token', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    const answers = await Promise.all(Array.from({ length: 100 }, () => session.fetch(server.origin + me)))
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200))
    expect(refreshes()).toHaveLength(1)
    expect(server.happened('rotated')).toHaveLength(1)
  })

  test('CL-01 sends with each refresh the token of the previous one', async () => {
    const session = await signedIn()
    for (let turn = 0; turn < 3; turn += 1) {
      await clock.advance(LIFE)
      await session.getAccessToken()
    }
    expect(new Set(presented()).size).toBe(3)
    expect(server.happened('rotated')).toHaveLength(3)
    expect(server.happened('reuse')).toEqual([])
  })

  test('CL-04 repeats a refresh whose response was lost with the same token and Idempotency-Key', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    server.fault('/oauth/token', { kind: 'drop' })
    const token = await session.getAccessToken()
    expect(token).toMatch(/^eyJ/)
    expect(new Set(presented()).size).toBe(1)
    expect(new Set(attempts()).size).toBe(1)
    expect(attempts()[0]).toMatch(/^(\d+-){15}\d+$/)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
  })

  test('uses a new Idempotency-Key for every generation', async () => {
    const session = await signedIn()
    for (let turn = 0; turn < 3; turn += 1) {
      await clock.advance(LIFE)
      await session.getAccessToken()
    }
    expect(new Set(attempts()).size).toBe(3)
  })

  test('stores the Idempotency-Key of a refresh before the request is sent, and no earlier', async () => {
    const storage = memoryStorage()
    const session = await signedIn({ storage })
    for (let turn = 0; turn < 3; turn += 1) {
      const atRest = (await storage.read()) ?? ''
      await clock.advance(LIFE)
      const [held, heard] = [gate(), gate()]
      server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
      const token = session.getAccessToken()
      await heard.opened
      const key = attempts().at(-1) ?? ''
      expect(atRest).not.toContain(key)
      expect(await storage.read()).toContain(key)
      held.open()
      await token
      expect(await storage.read()).not.toContain(key)
    }
  })

  test('a copy of the storage at rest is detected as reuse if the server has no retry window', async () => {
    const strict = await createWorld({ policy: { graceSeconds: 0 } })
    const storage = memoryStorage()
    const owner = await strict.signedIn({ storage })
    const copy = memoryStorage()
    await copy.swap(null, (await storage.read()) ?? '')
    const attacker = strict.open({ storage: copy })
    await strict.clock.advance(LIFE)
    await owner.getAccessToken()
    await expect(attacker.getAccessToken()).rejects.toMatchObject({ code: 'signed_out', reason: 'rejected' })
    expect(strict.server.happened('reuse')).toHaveLength(1)
    await strict.server.stop()
  })

  test('repeats the attempt of a crashed process after a restart', async () => {
    const strict = await createWorld({ policy: { graceSeconds: 0 } })
    const storage = memoryStorage()
    // Its timers are gone with it, and so is its lock.
    const environment = { ...strict.clock.environment, setTimer: () => () => undefined }
    const crashed = await strict.signedIn({ storage: { ...storage, lock: async () => () => undefined }, environment })
    await strict.clock.advance(LIFE)
    const heard = gate()
    strict.server.fault('/oauth/token', { kind: 'hold', until: new Promise(() => undefined), heard: heard.open })
    void crashed.getAccessToken().catch(() => undefined)
    await heard.opened
    await strict.clock.advance(7 * 60 * MINUTE)
    expect(await strict.open({ storage }).getAccessToken()).toMatch(/^eyJ/)
    expect(strict.server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
    await strict.server.stop()
  })

  test('refreshes a token before it expires and uses it in the meantime', async () => {
    const session = await signedIn()
    const first = await session.getAccessToken()
    await clock.advance(LIFE - 61_000)
    expect(await session.getAccessToken()).toBe(first)
    expect(refreshes()).toHaveLength(0)
    await clock.advance(40_000)
    const held = gate()
    server.fault('/oauth/token', { kind: 'hold', until: held.opened })
    expect(await session.getAccessToken()).toBe(first)
    held.open()
    await until(() => server.happened('rotated').length === 1)
    await expect.poll(() => session.getAccessToken()).not.toBe(first)
    expect(refreshes()).toHaveLength(1)
  })

  test('CL-05 signs out once after invalid_grant and rejects all waiting calls', async () => {
    const session = await signedIn()
    const heard = listen(session)
    await server.tokens.revokeSubject('alice')
    await clock.advance(LIFE)
    const results = await Promise.allSettled([session.getAccessToken(), session.fetch(server.origin + me)])
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'signed_out', reason: 'rejected' } })
    expect(heard).toEqual([{ type: 'signedOut', event: { reason: 'rejected' } }])
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'signed_out' })
    expect(refreshes()).toHaveLength(1)
  })

  test.each<[string, number, string]>([
    ['503 HTML', 503, '<html>'],
    ['429', 429, '{"error":"too_many_requests"}'],
    ['408', 408, ''],
    ['a captive portal: 200 HTML', 200, '<html>Welcome to Hotel Wi-Fi</html>'],
    ['half a JSON', 200, '{"access_token":"a'],
    ['JSON without a token', 200, '{}'],
    ['a redirect', 302, ''],
    ['404 HTML', 404, '<html>'],
  ])('CL-06 stays signed in after %s', async (_name, status, body) => {
    const session = await signedIn()
    const heard = listen(session)
    await clock.advance(LIFE)
    const fault = { kind: 'answer', status, body, headers: { location: '/elsewhere' } } as const
    server.fault('/oauth/token', fault, fault, fault)
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'unavailable' })
    expect(heard.map(({ type }) => type)).toEqual(['retrying', 'retrying'])
    expect(server.asked('/elsewhere')).toEqual([])
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('CL-08 uses a token without a lifetime until a 401', async () => {
    const session = world.open()
    const { expires_in: _, ...answer } = await server.signIn()
    await session.login(answer)
    await clock.advance(LIFE - 1)
    expect((await session.fetch(server.origin + me)).status).toBe(200)
    expect(refreshes()).toHaveLength(0)
    await clock.advance(LIFE)
    expect((await session.fetch(server.origin + me)).status).toBe(200)
    expect(refreshes()).toHaveLength(1)
  })

  test('sends one refresh per call if tokens expire immediately', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    const body = '{"access_token":"at","token_type":"Bearer","expires_in":0}'
    server.fault('/oauth/token', { kind: 'answer', status: 200, body }, { kind: 'answer', status: 200, body })
    expect(await session.getAccessToken()).toBe('at')
    expect(await session.getAccessToken()).toBe('at')
    expect(refreshes()).toHaveLength(2)
  })

  test('finds a sign-in of another page without a notification', async () => {
    const storage = memoryStorage()
    const session = world.open({ storage })
    session.start()
    await expect(session.getAccessToken()).rejects.toMatchObject({ reason: 'no_session' })
    await signedIn({ storage })
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    session.dispose()
  })

  test('CL-06 waits for a Retry-After date and returns it to callers if the wait is too long', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    const until = clock.now() + 10 * MINUTE
    // The clock of the server is an hour ahead.
    const sentAt = clock.now() + 60 * MINUTE
    const [date, retryAfter] = [sentAt, sentAt + 10 * MINUTE].map((ms) => new Date(ms).toUTCString())
    const headers = { date: date ?? '', 'retry-after': retryAfter ?? '' }
    server.fault('/oauth/token', { kind: 'answer', status: 503, headers })
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'unavailable', until })
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'unavailable', until })
    expect(refreshes()).toHaveLength(1)
    await clock.advance(10 * MINUTE)
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
  })

  describe('a page that opens during an outage', () => {
    const fault = { kind: 'answer', status: 503 } as const
    let waiting: number
    const opened = async () => {
      waiting = 0
      const environment: Environment = {
        ...clock.environment,
        setTimer(ms, call, place) {
          const cancel = clock.environment.setTimer(ms, call)
          if (place === undefined) return cancel
          waiting += 1
          return () => {
            waiting -= 1
            cancel()
          }
        },
      }
      server.fault('/auth/refresh', fault, fault, fault)
      const [refreshEndpoint, logoutEndpoint] = [`${server.origin}/auth/refresh`, `${server.origin}/auth/logout`]
      const session = world.open({ environment, endpoints: cookieEndpoints({ refreshEndpoint, logoutEndpoint }) })
      session.start()
      await until(() => waiting === 1)
      expect(server.asked('/auth/refresh')).toHaveLength(3)
      expect(session.snapshot().status).toBe('unknown')
      return session
    }

    test.each([
      ['signedIn', 200, '{"access_token":"at","token_type":"Bearer","expires_in":900,"sid":"alices"}'],
      ['signedOut', 401, '{"error":"invalid_grant"}'],
    ])('finds out that it is %s once the outage ends', async (status, code, body) => {
      const session = await opened()
      server.fault('/auth/refresh', fault, fault, fault, { kind: 'answer', status: code, body })
      await clock.advance(30_000)
      await until(() => server.asked('/auth/refresh').length === 6 && waiting === 1)
      await clock.advance(30_000)
      await expect.poll(() => session.snapshot().status).toBe(status)
      expect(waiting).toBe(0)
      expect(server.asked('/auth/refresh')).toHaveLength(7)
    })

    test('sends nothing more once it is closed', async () => {
      const session = await opened()
      session.dispose()
      expect(waiting).toBe(0)
    })
  })

  test('an outage does not affect callers while the token is valid', async () => {
    const session = await signedIn()
    await clock.advance(LIFE - 20_000)
    const fault = { kind: 'answer', status: 503 } as const
    server.fault('/oauth/token', fault, fault, fault)
    for (let call = 0; call < 20; call += 1) expect(await session.getAccessToken()).toMatch(/^eyJ/)
    await until(() => refreshes().length === 3)
  })

  test('an aborted call does not abort the refresh of other calls', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    const held = gate()
    server.fault('/oauth/token', { kind: 'hold', until: held.opened })
    const impatient = new AbortController()
    const given = session.getAccessToken({ signal: impatient.signal })
    const other = session.getAccessToken()
    await until(() => refreshes().length === 1)
    impatient.abort(new Error('no more time'))
    await expect(given).rejects.toThrow('no more time')
    held.open()
    expect(await other).toMatch(/^eyJ/)
    expect(refreshes()).toHaveLength(1)
  })

  test('a token does not live longer if the wall clock is set back', async () => {
    const session = await signedIn()
    clock.jump(-4 * LIFE)
    await session.getAccessToken()
    expect(refreshes()).toHaveLength(0)
    await clock.advance(LIFE)
    await session.getAccessToken()
    expect(refreshes()).toHaveLength(1)
  })

  test('CL-02 stores the refreshed tokens, so that a restarted process continues', async () => {
    const storage = memoryStorage()
    const session = await signedIn({ storage })
    await clock.advance(LIFE)
    await session.getAccessToken()
    const again = world.open({ storage })
    expect(await again.getAccessToken()).toBe(await session.getAccessToken())
    await clock.advance(LIFE)
    await again.getAccessToken()
    expect(server.happened('rotated')).toHaveLength(2)
    expect(server.happened('reuse')).toEqual([])
  })

  test('returns a valid token if the lock is not granted, otherwise rejects with a time-out and keeps the session', async () => {
    const session = await signedIn({ storage: { ...memoryStorage(), lock: () => new Promise(() => undefined) } })
    await clock.advance(LIFE - 20_000)
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    await clock.advance(20_000)
    const waiting = session.getAccessToken()
    const ended: unknown[] = []
    waiting.catch((error: unknown) => ended.push(error))
    // Sleep does not count, however long.
    await clock.sleep(3_600_000)
    await clock.advance(10_000)
    expect(ended).toEqual([])
    await clock.advance(5000)
    await expect(waiting).rejects.toMatchObject({ code: 'timeout' })
    expect(session.snapshot().status).toBe('signedIn')
    expect(refreshes()).toHaveLength(0)
  })

  test('CL-13 sends no scope with a refresh, and CL-11 no token in a URL', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    await session.fetch(`${server.origin}${me}?a=b`)
    expect(new URLSearchParams(refreshes()[0]?.body).has('scope')).toBe(false)
    expect(server.requests.map(({ url }) => url).join()).not.toMatch(/eyJ|brt_/)
    expect(session.snapshot()).toMatchObject({ status: 'signedIn', scope: 'read' })
  })

  test('events and errors contain no token', async () => {
    const session = await signedIn()
    const heard = listen(session)
    const errors: unknown[] = []
    const fail = () => session.getAccessToken().catch((error: unknown) => errors.push(String(error), error))
    for (const body of ['{"error":"brt_eyJ"}', '{"access_token":"eyJ","token_type":"mac"}', 'eyJ brt_']) {
      await clock.advance(LIFE)
      const fault = { kind: 'answer', status: body.includes('mac') ? 200 : 400, body } as const
      server.fault('/oauth/token', fault, fault, fault)
      await fail()
      server.heal('/oauth/token')
    }
    await session.logout()
    await fail()
    expect(errors).toHaveLength(8)
    expect(JSON.stringify([heard, errors])).not.toMatch(/eyJ|brt_/)
  })
})

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { interval: 2 }).toBe(true)
}
