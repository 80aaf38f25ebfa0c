import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { beginAuthorization, loginWithCode } from '../src/authorization.js'
import { cookieEndpoints } from '../src/cookie.js'
import { sha256 } from '../src/protocol/encoding.js'
import { createSession, memoryStorage, type Session, type SessionOptions } from '../src/index.js'
import { logoutEverywhere } from '../src/logout-everywhere.js'
import { ConfigurationError } from '../src/platform/errors.js'
import { type OAuthOptions, oauthEndpoints } from '../src/oauth.js'
import { BACKEND, CLIENT, gate } from './server.js'
import { createWorld, listen, type World } from './world.js'

const LIFE = 15 * 60_000

let world: World
let server: World['server']

/** The answer of a sign-in by cookie. */
const BOBS = { access_token: 'at', token_type: 'Bearer', expires_in: 900, sid: 'bobs' }

function openByCookie(options: Partial<SessionOptions> = {}): Session {
  const { origin } = server
  const endpoints = cookieEndpoints({
    refreshEndpoint: `${origin}/auth/refresh`,
    logoutEndpoint: `${origin}/auth/logout`,
  })
  return world.open({ endpoints, ...options })
}

/** Signs in as a browser does: with one cookie jar, which the responses change in the order in which they arrive. */
function createBrowser() {
  let cookie = ''
  return {
    async signIn(username: string, signal: AbortSignal): Promise<unknown> {
      const response = await fetch(`${server.origin}/cookie/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-baton': '1', ...(cookie === '' ? {} : { cookie }) },
        body: JSON.stringify({ username }),
        signal,
      })
      cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
      return response.json()
    },
  }
}

beforeEach(async () => {
  world = await createWorld()
  ;({ server } = world)
})
afterEach(() => server.stop())

const live = async (subject: string) => (await server.tokens.list({ subject })).items.length

describe('sign-in', () => {
  test('CL-07 accepts token_type in any case and rejects other types', async () => {
    const session = world.open()
    const answer = { access_token: 'at', expires_in: 900, future_member: { a: 1 } }
    await session.login({ ...answer, token_type: 'bEaReR' })
    expect(await session.getAccessToken()).toBe('at')
    for (const token_type of ['mac', 'DPoP', '', null, undefined])
      await expect(world.open().login({ ...answer, token_type })).rejects.toMatchObject({ code: 'misconfigured' })
    for (const nonsense of [{}, { ...answer, access_token: '' }, { error: 'invalid_credentials' }])
      await expect(world.open().login(nonsense)).rejects.toMatchObject({ code: 'bad_answer' })
  })

  test('CL-16 rejects a bearer token if DPoP is required', async () => {
    const proofs = { scheme: 'DPoP', send: async () => Response.error() }
    await expect(world.open({ dpop: proofs }).login(await server.signIn())).rejects.toMatchObject({
      code: 'misconfigured',
    })
  })

  test('revokes the previous session at the server', async () => {
    const session = await world.signedIn()
    await session.login(await server.signIn('bob'))
    await expect.poll(() => live('alice')).toBe(0)
    expect(await live('bob')).toBe(1)
  })

  test('the response of an earlier refresh does not undo a sign-in', async () => {
    const storage = memoryStorage()
    const session = await world.signedIn({ storage })
    await world.clock.advance(LIFE)
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    const begun = session.getAccessToken()
    await heard.opened
    const bob = await server.signIn('bob')
    await session.login(bob)
    held.open()
    await expect(begun).rejects.toMatchObject({ code: 'signed_out', reason: 'replaced' })
    expect(await session.getAccessToken()).toBe(bob['access_token'])
    expect(await world.open({ storage }).getAccessToken()).toBe(bob['access_token'])
  })

  test('a sign-in with a cookie waits for a refresh in progress, so that its cookie is set last', async () => {
    const session = openByCookie()
    await session.login({ ...BOBS, sid: 'alices', expires_in: 0 })
    const [held, heard] = [gate(), gate()]
    server.fault('/auth/refresh', { kind: 'hold', until: held.opened, heard: heard.open })
    const begun = session.getAccessToken()
    await heard.opened
    let isUnderWay = true
    const signIn = session.login(async () => {
      expect(isUnderWay).toBe(false)
      return BOBS
    })
    isUnderWay = false
    held.open()
    await signIn
    await expect(begun).rejects.toThrow()
    expect(session.snapshot().sid).toBe('bobs')
  })

  const noLocks = { lock: () => Promise.reject(new Error('no locks here')) }
  test.each<[string, Partial<SessionOptions['storage']>, number]>([
    ['whose response takes longer than the wait for the lock', {}, 0],
    ['in a browser whose locks fail', noLocks, 0],
    ['while the wall clock is set forward', {}, 3_600_000],
    ['while the wall clock is set back', {}, -3_600_000],
  ])(
    'a sign-in by cookie waits for another one %s, and ends its session at the server',
    async (_case, lock, jumpMs) => {
      const storage = { ...memoryStorage(), ...lock }
      const [one, other] = [openByCookie({ storage }), openByCookie({ storage })]
      const browser = createBrowser()
      const [held, heard] = [gate(), gate()]
      server.fault('/cookie/login', { kind: 'hold', until: held.opened, heard: heard.open })
      const first = one.login((signal) => browser.signIn('alice', signal))
      await heard.opened
      const second = other.login((signal) => browser.signIn('bob', signal))
      world.clock.jump(jumpMs)
      await world.clock.advance(20_000)
      expect(server.asked('/cookie/login')).toHaveLength(1)
      held.open()
      await first
      await world.clock.advance(1000)
      await second
      expect([await live('alice'), await live('bob')]).toEqual([0, 1])
    },
  )

  test('a sign-in with a cookie times out after a minute and lets the next one start', async () => {
    const storage = memoryStorage()
    const [one, other] = [openByCookie({ storage }), openByCookie({ storage })]
    const browser = createBrowser()
    const [held, heard] = [gate(), gate()]
    server.fault('/cookie/login', { kind: 'hold', until: held.opened, heard: heard.open })
    const first = one.login((signal) => browser.signIn('alice', signal))
    first.catch(() => undefined)
    await heard.opened
    const second = other.login((signal) => browser.signIn('bob', signal))
    await world.clock.advance(60_000)
    await expect(first).rejects.toMatchObject({ code: 'timeout' })
    await second
    held.open()
    expect(other.snapshot().status).toBe('signedIn')
    expect(await live('bob')).toBe(1)
  })

  test('a sign-in does not wait after a failed one', async () => {
    const session = openByCookie({ storage: { ...memoryStorage(), ...noLocks } })
    await expect(session.login(() => Promise.reject(new Error('wrong password')))).rejects.toThrow('wrong password')
    await session.login(async () => BOBS)
    expect(session.snapshot().sid).toBe('bobs')
  })

  test('CL-09 authenticates a confidential client once, with form-encoded HTTP Basic', async () => {
    const { refreshToken } = await server.tokens.issue({ subject: 'service', clientId: BACKEND.clientId })
    const session = world.open({ endpoints: world.endpoints(BACKEND) })
    await session.login({ access_token: 'at', token_type: 'Bearer', expires_in: 0, refresh_token: refreshToken })
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    const [refresh] = server.asked('/oauth/token')
    const credentials = Buffer.from(refresh?.headers.authorization?.slice('Basic '.length) ?? '', 'base64').toString()
    expect(credentials).toBe('back+end%3A1:+%25%26%2B%C2%A3%E2%82%AC+and+as+long+as+it+has+to+be')
    expect(refresh?.body).not.toContain('client_')
  })

  test('CL-14 uses a new verifier with an S256 challenge for each code and exchanges the code with it', async () => {
    expect(await sha256('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
      'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    )
    const redirectUri = 'https://app.example/callback'
    const begin = () =>
      beginAuthorization({
        authorizationEndpoint: 'https://login.example/authorize?tenant=1',
        clientId: CLIENT,
        redirectUri,
        scope: 'read',
      })
    const [{ url, pending }, other] = [await begin(), await begin()]
    expect(pending.codeVerifier).toMatch(/^[\w.~-]{43,128}$/)
    expect(other.pending.codeVerifier).not.toBe(pending.codeVerifier)
    expect(other.pending.state).not.toBe(pending.state)
    const query = Object.fromEntries(new URL(url).searchParams)
    expect(query).toMatchObject({
      tenant: '1',
      response_type: 'code',
      client_id: CLIENT,
      code_challenge_method: 'S256',
    })

    const { code_challenge: codeChallenge = '', state = '' } = query
    const code = server.codes.issue({ subject: 'alice', clientId: CLIENT, redirectUri, codeChallenge, scope: 'read' })
    const callback = (parameters: Record<string, string>) => `${redirectUri}?${String(new URLSearchParams(parameters))}`
    const session = world.open()
    const comeBack = (parameters: Record<string, string>, kept = pending) =>
      loginWithCode(session, { url: callback(parameters), pending: kept })
    await expect(comeBack({ code, state: 'another' })).rejects.toThrow('state')
    await expect(comeBack({ error: 'access_denied', state })).rejects.toThrow('access_denied')
    const foreign = { ...pending, codeVerifier: other.pending.codeVerifier }
    await expect(comeBack({ code, state }, foreign)).rejects.toMatchObject({ code: 'bad_answer', reason: 'rejected' })
    await comeBack({ code, state })
    expect(await (await session.fetch(`${server.origin}/api/me`)).json()).toMatchObject({ sub: 'alice' })
  })

  describe('with a code', () => {
    const issuer = 'https://login.example'
    const options = {
      authorizationEndpoint: `${issuer}/authorize`,
      clientId: CLIENT,
      redirectUri: 'https://app.example/callback',
    }
    const OTHER = 'https://evil.example'
    test.each<[string, object, (readonly [string, string])[], string | null]>([
      ['the issuer', { issuer }, [['iss', issuer]], null],
      ['another issuer', { issuer }, [['iss', OTHER]], 'iss'],
      ['the issuer with a slash', { issuer }, [['iss', `${issuer}/`]], 'iss'],
      ['no issuer where the server does not promise it', { issuer }, [], null],
      [
        'no issuer where the server promises it',
        { issuer, authorizationResponseIssParameterSupported: true },
        [],
        'iss',
      ],
      ['an issuer that cannot be compared', {}, [['iss', OTHER]], null],
      [
        'two issuers',
        { issuer },
        [
          ['iss', issuer],
          ['iss', OTHER],
        ],
        'more than one iss',
      ],
      ['two states', {}, [['state', OTHER]], 'more than one state'],
      ['two codes', {}, [['code', OTHER]], 'more than one code'],
      [
        'an error of another issuer',
        { issuer },
        [
          ['iss', OTHER],
          ['error', 'access_denied'],
        ],
        'iss',
      ],
      ['an error beside a code', { issuer }, [['error', 'access_denied']], 'access_denied'],
    ])('RFC 9207: a callback with %s', async (_name, known, more, reason) => {
      const { pending } = await beginAuthorization({ ...options, ...known })
      const query = new URLSearchParams({ code: 'c', state: pending.state })
      for (const [name, value] of more) query.append(name, value)
      const sent: object[] = []
      const session = { loginWithGrant: async (form: object) => void sent.push(form) }
      const result = loginWithCode(session, { url: `${options.redirectUri}?${String(query)}`, pending })
      if (reason === null) await result
      else await expect(result).rejects.toMatchObject({ code: 'bad_answer', reason: expect.stringContaining(reason) })
      expect(sent).toHaveLength(reason === null ? 1 : 0)
    })

    test.each(['javascript:alert(1)', 'http://login.example/authorize', 'https://login.example/#x', '/authorize'])(
      'does not send a browser to %s',
      async (authorizationEndpoint) => {
        const begun = beginAuthorization({ ...options, authorizationEndpoint })
        await expect(begun).rejects.toMatchObject({ option: 'authorizationEndpoint' })
      },
    )
  })

  describe('with a code whose response is lost', () => {
    const redirectUri = 'https://app.example/callback'
    async function callbackOf() {
      const authorizationEndpoint = 'https://login.example/authorize'
      const { url, pending } = await beginAuthorization({ authorizationEndpoint, clientId: CLIENT, redirectUri })
      const codeChallenge = new URL(url).searchParams.get('code_challenge') ?? ''
      const code = server.codes.issue({ subject: 'alice', clientId: CLIENT, redirectUri, codeChallenge })
      return { url: `${redirectUri}?${String(new URLSearchParams({ code, state: pending.state }))}`, pending }
    }
    const keys = () => server.asked('/oauth/token').map(({ headers }) => headers['idempotency-key'])
    const events = () => server.events.map(({ type }) => type)

    test('repeats the exchange with the same Idempotency-Key', async () => {
      const session = world.open()
      server.fault('/oauth/token', { kind: 'drop' }, { kind: 'answer', status: 503 })
      await loginWithCode(session, await callbackOf())
      expect(keys()).toEqual(Array(3).fill(expect.stringMatching(/^.{22,}$/)))
      expect(new Set(keys()).size).toBe(1)
      expect(events()).toEqual(['issued', 'retried'])
      expect(await session.getAccessToken()).toMatch(/^eyJ/)
    })

    test('repeats the saved key after the page was reloaded', async () => {
      const callback = await callbackOf()
      let saved = callback.pending
      const fault = { kind: 'drop' } as const
      server.fault('/oauth/token', fault, fault, fault)
      const lost = loginWithCode(world.open(), { ...callback, save: async (pending) => void (saved = pending) })
      await expect(lost).rejects.toMatchObject({ code: 'unavailable' })
      await loginWithCode(world.open(), { ...callback, pending: saved })
      expect(new Set(keys())).toEqual(new Set([saved.idempotencyKey]))
      expect(events()).not.toContain('reuse')
    })

    test('does not repeat the exchange at a server without support for Idempotency-Key', async () => {
      const session = world.open({ endpoints: world.endpoints({ idempotencyKey: false }) })
      server.fault('/oauth/token', { kind: 'drop' })
      await expect(loginWithCode(session, await callbackOf())).rejects.toMatchObject({ code: 'unavailable' })
      expect(keys()).toEqual([undefined])
    })

    test('repeats no other grant', async () => {
      server.fault('/oauth/token', { kind: 'answer', status: 503 })
      await expect(world.open().loginWithGrant({ grant_type: 'password' })).rejects.toThrow('503')
      expect(keys()).toEqual([undefined])
    })
  })
})

describe('sign-out', () => {
  test('CL-18 signs out locally at once, then at the server, for every response body', async () => {
    const storage = memoryStorage()
    const session = await world.signedIn({ storage })
    const heard = listen(session)
    expect(await session.logout()).toEqual({ revoked: true })
    expect(await live('alice')).toBe(0)
    expect(heard).toEqual([{ type: 'signedOut', event: { reason: 'logout' } }])
    expect(session.snapshot()).toEqual({ status: 'signedOut', sid: null, scope: null, reason: 'logout' })
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'signed_out', reason: 'logout' })
    expect(await storage.read()).not.toMatch(/brt_|eyJ/)
  })

  test('CL-18 repeats a revocation after a 503 and returns revoked true only after a success', async () => {
    const session = await world.signedIn()
    const heard = listen(session)
    server.fault('/oauth/revoke', { kind: 'answer', status: 503 }, { kind: 'refuse' })
    expect(await session.logout()).toEqual({ revoked: false })
    expect(session.snapshot().status).toBe('signedOut')
    expect(heard.at(-1)).toEqual({ type: 'revocationQueued', event: { pending: 1 } })
    expect(await live('alice')).toBe(1)
    expect(await session.logout()).toEqual({ revoked: false })
    expect(await session.logout()).toEqual({ revoked: true })
    expect(await live('alice')).toBe(0)
  })

  test('CL-18 repeats a failed revocation after a minute', async () => {
    const session = await world.signedIn()
    server.fault('/oauth/revoke', { kind: 'answer', status: 429 })
    await session.logout()
    await world.clock.advance(60_000)
    await expect.poll(() => live('alice')).toBe(0)
  })

  test('returns revoked false without a revocation endpoint', async () => {
    const { origin } = server
    const { environment } = world.clock
    const endpoints = oauthEndpoints({ tokenEndpoint: `${origin}/oauth/token`, clientId: CLIENT })
    const session = createSession({ endpoints, environment })
    await session.login(await server.signIn())
    expect(await session.logout()).toEqual({ revoked: false })
  })

  test('counts as confirmed if the cookie was replaced by that of another session', async () => {
    const session = openByCookie()
    await session.login({ ...BOBS, sid: 'alices' })
    server.fault('/auth/logout', { kind: 'answer', status: 409, body: '{"error":"other_session"}' })
    expect(await session.logout()).toEqual({ revoked: true })
    expect(server.asked('/auth/logout')[0]?.headers).toMatchObject({ 'x-baton': '1', 'x-baton-session': 'alices' })
  })

  test('returns revoked false if an older cookie was sent and the session is still active', async () => {
    const session = openByCookie()
    await session.login({ ...BOBS, sid: 'alices' })
    const body = '{"error":"other_session","session_active":true}'
    server.fault('/auth/logout', { kind: 'answer', status: 409, body })
    expect(await session.logout()).toEqual({ revoked: false })
    expect(session.snapshot().status).toBe('signedOut')
  })

  test('an unconfirmed sign-out without a known session does not end the next session', async () => {
    const session = openByCookie()
    server.fault('/auth/logout', { kind: 'answer', status: 503 }, { kind: 'answer', status: 200, body: '{}' })
    expect(await session.logout()).toEqual({ revoked: false })
    await session.login(async () => BOBS)
    await world.clock.advance(60_000)
    await session.logout()
    // It would have ended whatever session the cookie is of.
    expect(server.asked('/auth/logout').map(({ headers }) => headers['x-baton-session'])).toEqual([undefined, 'bobs'])
  })

  test('sends nothing if no user is signed in', async () => {
    expect(await world.open().logout()).toEqual({ revoked: true })
    expect(server.asked('/oauth/revoke')).toEqual([])
  })

  test('is final during a refresh, and the successor is revoked as well', async () => {
    const session = await world.signedIn()
    await world.clock.advance(LIFE)
    const [held, heard] = [gate(), gate()]
    server.fault('/oauth/token', { kind: 'hold', until: held.opened, heard: heard.open })
    const begun = session.getAccessToken()
    await heard.opened
    await session.logout()
    held.open()
    await expect(begun).rejects.toMatchObject({ code: 'signed_out', reason: 'logout' })
    await expect.poll(() => server.asked('/oauth/revoke').length).toBe(2)
    const revoked = server.asked('/oauth/revoke').map(({ body }) => new URLSearchParams(body).get('token'))
    expect(new Set(revoked).size).toBe(2)
    expect(session.snapshot().status).toBe('signedOut')
  })

  test('logoutEverywhere ends all sessions of the user, or none if the server fails', async () => {
    const session = await world.signedIn()
    await server.signIn('alice')
    server.fault('/auth/logout-everywhere', { kind: 'answer', status: 503 })
    const endpoint = `${server.origin}/auth/logout-everywhere`
    await expect(logoutEverywhere(session, endpoint)).rejects.toMatchObject({ code: 'unavailable' })
    expect(await live('alice')).toBe(2)
    expect(session.snapshot().status).toBe('signedIn')
    await logoutEverywhere(session, endpoint)
    expect(await live('alice')).toBe(0)
    expect(session.snapshot()).toMatchObject({ status: 'signedOut', reason: 'logout' })
  })
})

describe('invalid options', () => {
  const good = { tokenEndpoint: 'https://login.example/token', clientId: CLIENT }
  test.each<[string, OAuthOptions, string]>([
    ['CL-10 an endpoint without TLS', { ...good, tokenEndpoint: 'http://login.example/token' }, 'tokenEndpoint'],
    ['an endpoint with a fragment', { ...good, tokenEndpoint: 'https://login.example/#token' }, 'tokenEndpoint'],
    ['half an endpoint', { ...good, revocationEndpoint: '/revoke' }, 'revocationEndpoint'],
    ['no client', { ...good, clientId: '' }, 'clientId'],
  ])('%s', (_name, options, option) => {
    expect(() => oauthEndpoints(options)).toThrow(ConfigurationError)
    expect(() => oauthEndpoints(options)).toThrow(`option "${option}" `)
  })

  test.each<[string, Partial<SessionOptions>, string]>([
    ['milliseconds for seconds', { lockTimeoutSeconds: 15_000 }, 'lockTimeoutSeconds'],
    ['a time-out of 0 seconds', { requestTimeoutSeconds: 0 }, 'requestTimeoutSeconds'],
    ['no number', { lockTimeoutSeconds: NaN }, 'lockTimeoutSeconds'],
  ])('%s', (_name, options, option) => {
    const open = () => createSession({ endpoints: oauthEndpoints(good), ...options })
    expect(open).toThrow(ConfigurationError)
    expect(open).toThrow(`option "${option}" `)
  })

  test('time-outs of up to ten minutes are accepted', () => {
    const patient = { lockTimeoutSeconds: 600, requestTimeoutSeconds: 600 }
    expect(() => createSession({ endpoints: oauthEndpoints(good), ...patient })).not.toThrow()
  })
})
