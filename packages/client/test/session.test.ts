import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  createSession,
  memoryStorage,
  type Session,
  type SessionEvent,
  type SessionOptions,
  type SessionStorage,
  SignedOutError,
  UnavailableError,
} from '../src/index.js'
import { createClock } from './clock.js'
import { CLIENT, gate, startServer, type TestServer } from './server.js'

const MINUTE = 60_000
const LIFE = 15 * MINUTE

let clock: ReturnType<typeof createClock>
let server: TestServer

beforeEach(async () => {
  clock = createClock()
  server = await startServer({ now: clock.now })
})

afterEach(() => server.stop())

function open(options: Partial<SessionOptions> & { storage?: SessionStorage } = {}): Session {
  const session = createSession({
    tokenEndpoint: `${server.origin}/oauth/token`,
    revocationEndpoint: `${server.origin}/oauth/revoke`,
    logoutEverywhereEndpoint: `${server.origin}/auth/logout-everywhere`,
    clientId: CLIENT,
    environment: clock.environment,
    ...options,
  })
  // Nothing waits longer than it takes to say so.
  session.on('retrying', ({ waitMs }) => void clock.advance(waitMs))
  return session
}

async function signedIn(options: Parameters<typeof open>[0] = {}) {
  const session = open(options)
  await session.login(await server.signIn())
  return session
}

function listen(session: Session): { type: SessionEvent; event: object }[] {
  const heard: { type: SessionEvent; event: object }[] = []
  for (const type of ['signedIn', 'refreshed', 'adopted', 'retrying', 'signedOut', 'revocationQueued'] as const)
    session.on(type, (event) => heard.push({ type, event }))
  return heard
}

const me = `/api/me`
const refreshes = () => server.asked('/oauth/token')
const presented = () => refreshes().map(({ body }) => new URLSearchParams(body).get('refresh_token'))
const attempts = () => refreshes().map(({ headers }) => headers['idempotency-key'])

describe('a session', () => {
  test('the whole story: sign in, expire, 401, refresh, rotate, retry, new tokens stored, sign out', async () => {
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

  test('CL-03 a hundred calls with an expired token make one refresh', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    const answers = await Promise.all(Array.from({ length: 100 }, () => session.fetch(server.origin + me)))
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200))
    expect(refreshes()).toHaveLength(1)
    expect(server.happened('rotated')).toHaveLength(1)
  })

  test('CL-01 each refresh sends what the one before has brought', async () => {
    const session = await signedIn()
    for (let turn = 0; turn < 3; turn += 1) {
      await clock.advance(LIFE)
      await session.getAccessToken()
    }
    expect(new Set(presented()).size).toBe(3)
    expect(server.happened('rotated')).toHaveLength(3)
    expect(server.happened('reuse')).toEqual([])
  })

  test('CL-04 a lost answer is asked for again, with the same token and the same attempt', async () => {
    const session = await signedIn()
    await clock.advance(LIFE)
    server.fault('/oauth/token', { kind: 'drop' })
    const token = await session.getAccessToken()
    expect(token).toMatch(/^eyJ/)
    expect(new Set(presented()).size).toBe(1)
    expect(new Set(attempts()).size).toBe(1)
    expect(attempts()[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
  })

  test('every generation has an attempt of its own', async () => {
    const session = await signedIn()
    for (let turn = 0; turn < 3; turn += 1) {
      await clock.advance(LIFE)
      await session.getAccessToken()
    }
    expect(new Set(attempts()).size).toBe(3)
  })

  test('a token is replaced before it ends, and works meanwhile', async () => {
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

  test('CL-05 invalid_grant signs out, once, and everything that asks hears it', async () => {
    const session = await signedIn()
    const heard = listen(session)
    await server.tokens.revokeSubject('alice')
    await clock.advance(LIFE)
    const results = await Promise.allSettled([session.getAccessToken(), session.fetch(server.origin + me)])
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'signed_out', reason: 'refused' } })
    expect(heard).toEqual([{ type: 'signedOut', event: { reason: 'refused' } }])
    await expect(session.getAccessToken()).rejects.toBeInstanceOf(SignedOutError)
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
  ])('CL-06 %s is "later": nobody is signed out', async (_name, status, body) => {
    const session = await signedIn()
    const heard = listen(session)
    await clock.advance(LIFE)
    const fault = { kind: 'answer', status, body, headers: { location: 'https://elsewhere.example/' } } as const
    server.fault('/oauth/token', fault, fault, fault)
    await expect(session.getAccessToken()).rejects.toBeInstanceOf(UnavailableError)
    expect(heard.map(({ type }) => type)).toEqual(['retrying', 'retrying'])
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('CL-18 sign-out: here at once, then at the server', async () => {
    const session = await signedIn()
    const heard = listen(session)
    const { revoked } = await session.logout()
    expect(revoked).toBe(true)
    expect(server.happened('revoked')).toHaveLength(1)
    expect(heard).toEqual([{ type: 'signedOut', event: { reason: 'logout' } }])
    await expect(session.fetch(server.origin + me)).rejects.toMatchObject({ code: 'signed_out', reason: 'logout' })
  })
})

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { interval: 2, timeout: 20_000 }).toBe(true)
}
