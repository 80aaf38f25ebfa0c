import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { beginAuthorization, loginWithCode } from '../src/authorization.js'
import { dpop } from '../src/dpop.js'
import { createSession, memoryStorage, type Session, type SessionEvent, type SessionOptions } from '../src/index.js'
import { createClock } from './clock.js'
import { oauthEndpoints } from '../src/oauth.js'
import { CLIENT, type ForeignServer, REDIRECT_URI, startForeignServer } from './foreign-server.js'

const LIFE = 600_000

let clock: ReturnType<typeof createClock>
let server: ForeignServer

beforeEach(async () => {
  clock = createClock()
  clock.jump(Date.now() - clock.now())
  server = await startForeignServer()
})
afterEach(() => server.stop())

function open(options: Partial<SessionOptions> = {}): Session {
  const session = createSession({
    endpoints: oauthEndpoints({
      tokenEndpoint: `${server.origin}/token`,
      revocationEndpoint: `${server.origin}/token/revocation`,
      clientId: CLIENT,
    }),
    environment: clock.environment,
    ...options,
  })
  session.on('retrying', ({ waitMs }) => void clock.advance(waitMs))
  return session
}

async function signIn(session: Session): Promise<void> {
  const { url, pending } = await beginAuthorization({
    authorizationEndpoint: `${server.origin}/auth`,
    clientId: CLIENT,
    redirectUri: REDIRECT_URI,
    scope: 'openid',
  })
  await loginWithCode(session, { url: await server.browse(url), pending })
}

async function signedIn(options: Partial<SessionOptions> = {}): Promise<Session> {
  const session = open(options)
  await signIn(session)
  return session
}

function listen(session: Session): SessionEvent[] {
  const heard: SessionEvent[] = []
  for (const type of ['refreshed', 'synced', 'retrying', 'signedOut'] as const) session.on(type, () => heard.push(type))
  return heard
}

const me = (session: Session) => session.fetch(`${server.origin}/me`)
/** The refresh token that a storage holds. */
async function refreshTokenIn(storage: ReturnType<typeof memoryStorage>): Promise<string> {
  return /"refreshToken":"([^"]+)"/.exec((await storage.read()) ?? '')?.[1] ?? ''
}

describe('at a server that is not Baton', () => {
  test('CL-14 signs in with a code and PKCE, refreshes repeatedly and signs out', async () => {
    const storage = memoryStorage()
    const session = await signedIn({ storage })
    const heard = listen(session)
    expect(await (await me(session)).json()).toMatchObject({ sub: 'alice' })
    const seen = new Set([await refreshTokenIn(storage)])
    for (let turn = 0; turn < 3; turn += 1) {
      clock.jump(LIFE)
      expect((await me(session)).status).toBe(200)
      seen.add(await refreshTokenIn(storage))
    }
    expect(seen.size).toBe(4)
    expect(heard).toEqual(['refreshed', 'refreshed', 'refreshed'])

    const last = await refreshTokenIn(storage)
    expect(await server.knows(last)).toBe(true)
    expect(await session.logout()).toEqual({ revoked: true })
    expect(await server.knows(last)).toBe(false)
    expect(session.snapshot()).toMatchObject({ status: 'signedOut', reason: 'logout' })
    // The preflight of most servers rejects it.
    for (const { headers } of server.asked('/token')) expect(headers).not.toHaveProperty('idempotency-key')
  })

  test('CL-14 gets no tokens with the verifier of another sign-in', async () => {
    const session = open()
    const begin = () =>
      beginAuthorization({
        authorizationEndpoint: `${server.origin}/auth`,
        clientId: CLIENT,
        redirectUri: REDIRECT_URI,
        scope: 'openid',
      })
    const [mine, other] = [await begin(), await begin()]
    const url = await server.browse(mine.url)
    const mixed = { ...mine.pending, codeVerifier: other.pending.codeVerifier }
    await expect(loginWithCode(session, { url, pending: mixed })).rejects.toMatchObject({ code: 'bad_answer' })
    await expect(loginWithCode(session, { url, pending: other.pending })).rejects.toMatchObject({ code: 'bad_answer' })
  })

  test('CL-03 sends one refresh for a hundred calls of four sessions with one storage', async () => {
    const storage = memoryStorage()
    const sessions = [await signedIn({ storage }), ...Array.from({ length: 3 }, () => open({ storage }))]
    await Promise.all(sessions.map((session) => session.getAccessToken()))
    clock.jump(LIFE)
    const before = server.asked('/token').length
    const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => me(sessions[index % 4]!)))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    expect(server.asked('/token').length - before).toBe(1)
  })

  test('CL-08 refreshes a token that the server revoked', async () => {
    const session = await signedIn()
    await server.endAccessToken(await session.getAccessToken())
    expect((await me(session)).status).toBe(200)
    expect(server.asked('/me').map(({ status }) => status)).toEqual([401, 200])
  })

  test('emits one signedOut event if a lost response makes the retry reuse', async () => {
    const session = await signedIn()
    const heard = listen(session)
    clock.jump(LIFE)
    server.drop('/token')
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'signed_out', reason: 'rejected' })
    expect(heard).toEqual(['retrying', 'signedOut'])
    await signIn(session)
    expect((await me(session)).status).toBe(200)
  })

  test('continues after the response to an API call is lost', async () => {
    const session = await signedIn()
    server.drop('/me')
    await expect(me(session)).rejects.toBeInstanceOf(TypeError)
    expect((await me(session)).status).toBe(200)
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('CL-15 CL-17 uses one DPoP key with nonces for code, API, refresh and sign-out', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
    const keyPair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
    const session = await signedIn({ dpop: dpop({ keyPair, environment: clock.environment }) })
    expect((await me(session)).status).toBe(200)
    await server.endAccessToken(await session.getAccessToken())
    expect((await me(session)).status).toBe(200)
    expect(server.asked('/me').every(({ headers }) => headers.authorization?.startsWith('DPoP '))).toBe(true)
    // Once without a nonce at the exchange; from then on it is known.
    expect(server.asked('/token').map(({ status }) => status)).toEqual([400, 200, 200])
    expect(await session.logout()).toEqual({ revoked: true })
  })
})
