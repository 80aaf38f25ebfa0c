import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Session } from '../src/index.js'
import { createWorld, listen, type World } from './world.js'

const LIFE = 15 * 60_000
const ECHO = '/api/echo'

let world: World
let server: World['server']
let session: Session

beforeEach(async () => {
  world = await createWorld()
  ;({ server } = world)
  session = await world.signedIn()
})
afterEach(() => server.stop())

const get = (init?: RequestInit) => session.fetch(server.origin + ECHO, init)
const refreshes = () => server.asked('/oauth/token').length
const sent = () => server.asked(ECHO).map(({ body, headers }) => ({ body, authorization: headers.authorization }))
const post = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'once' }
/** A 401 that says nothing of why. */
const unauthorized = { kind: 'answer', status: 401 } as const

describe('session.fetch', () => {
  test('CL-08 refreshes and repeats the request once after a 401', async () => {
    await get()
    server.accessTokensEnd()
    expect((await get()).status).toBe(200)
    expect(refreshes()).toBe(1)
    expect(sent()).toHaveLength(3)
  })

  test('CL-08 returns a second 401 to the caller and does not sign out', async () => {
    server.fault(ECHO, unauthorized, unauthorized)
    expect((await get()).status).toBe(401)
    expect(refreshes()).toBe(1)
    expect(session.snapshot().status).toBe('signedIn')
    expect((await get()).status).toBe(200)
  })

  test('does not refresh for every request to an API that rejects all tokens', async () => {
    server.fault(ECHO, ...Array<typeof unauthorized>(20).fill(unauthorized))
    for (let call = 0; call < 5; call += 1) expect((await get()).status).toBe(401)
    expect(refreshes()).toBe(1)
    await world.clock.advance(60_000)
    await get()
    expect(refreshes()).toBe(2)
  })

  test('repeats a request without another refresh if its token was replaced in the meantime', async () => {
    server.fault(ECHO, unauthorized, unauthorized)
    const answers = await Promise.all([get(), get()])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(refreshes()).toBe(1)
  })

  test('rejects with unavailable if the token endpoint is down when a 401 is received, as an outage is not a sign-out', async () => {
    server.fault(ECHO, unauthorized)
    const fault = { kind: 'answer', status: 503 } as const
    server.fault('/oauth/token', fault, fault, fault)
    await expect(get()).rejects.toMatchObject({ name: 'SessionError', code: 'unavailable' })
    expect(session.snapshot().status).toBe('signedIn')
    expect((await get()).status).toBe(200)
  })

  test('returns the 401, with its body, if the session has ended', async () => {
    await server.tokens.revokeSubject('alice')
    server.fault(ECHO, { ...unauthorized, body: 'who are you?' })
    const response = await get()
    expect([response.status, await response.text()]).toEqual([401, 'who are you?'])
    expect(session.snapshot()).toMatchObject({ status: 'signedOut', reason: 'rejected' })
  })

  test('recovers from every 401 if the new token is accepted', async () => {
    for (let turn = 1; turn <= 5; turn += 1) {
      await get()
      server.accessTokensEnd()
      expect((await get()).status).toBe(200)
      expect(refreshes()).toBe(turn)
    }
  })

  test('recovers at one resource while another resource rejects every token', async () => {
    const closed = '/api/closed'
    server.fault(closed, ...Array<typeof unauthorized>(20).fill(unauthorized))
    for (let turn = 0; turn < 5; turn += 1) expect((await session.fetch(server.origin + closed)).status).toBe(401)
    expect(refreshes()).toBe(1)
    await get()
    server.accessTokensEnd()
    expect((await get()).status).toBe(200)
    expect(refreshes()).toBe(2)
    // Its query does not make it another resource.
    for (let turn = 0; turn < 5; turn += 1) await session.fetch(`${server.origin}${closed}?page=${String(turn)}`)
    expect(refreshes()).toBe(3)
  })

  test('refreshes for unsafe requests as well, if a token was accepted in between', async () => {
    for (let turn = 1; turn <= 3; turn += 1) {
      server.fault(ECHO, unauthorized)
      expect((await get(post)).status).toBe(401)
      await expect.poll(refreshes).toBe(turn)
      expect((await get(post)).status).toBe(200)
    }
  })

  test('resolves a relative URL as fetch does', async () => {
    await expect(session.fetch('/api/echo')).rejects.toBeInstanceOf(TypeError)
    const inPage = world.open({ environment: { ...world.clock.environment, origin: server.origin } })
    await expect(inPage.fetch('/api/echo')).rejects.toBeInstanceOf(TypeError)
  })

  test('repeats an unsafe request only if the 401 contains invalid_token or the caller sets replay', async () => {
    server.fault(ECHO, unauthorized)
    expect((await get(post)).status).toBe(401)
    expect(sent()).toHaveLength(1)
    // The next one has another token all the same.
    await expect.poll(refreshes).toBe(1)

    await world.clock.advance(60_000)
    server.fault(ECHO, unauthorized)
    expect((await session.fetch(server.origin + ECHO, post, { replay: true })).status).toBe(200)
    await world.clock.advance(60_000)
    server.accessTokensEnd()
    expect((await get(post)).status).toBe(200)
    expect(sent().map(({ body }) => body)).toEqual(Array(5).fill('once'))
  })

  test('repeats a Request with its body, and consumes it as fetch does', async () => {
    const request = new Request(server.origin + ECHO, post)
    server.fault(ECHO, { ...unauthorized, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    expect(await (await session.fetch(request)).json()).toMatchObject({ body: 'once', type: 'text/plain' })
    expect(request.bodyUsed).toBe(true)
    expect(sent().map(({ body }) => body)).toEqual(['once', 'once'])

    const unrepeated = new Request(server.origin + ECHO, post)
    await session.fetch(unrepeated)
    expect(unrepeated.bodyUsed).toBe(true)
  })

  test('refreshes before it sends a stream, and never repeats it', async () => {
    await world.clock.advance(LIFE - 10_000)
    const stream = () => ({ method: 'POST', body: new Blob(['once']).stream(), duplex: 'half' }) as const
    expect(await (await get(stream())).json()).toMatchObject({ body: 'once' })
    expect(refreshes()).toBe(1)
    server.fault(ECHO, { ...unauthorized, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    expect((await get(stream())).status).toBe(401)
    expect(sent()).toHaveLength(2)
  })

  test('rejects with the reason of an aborted signal and does not affect other requests', async () => {
    await world.clock.advance(LIFE)
    const impatient = new AbortController()
    const given = get({ signal: impatient.signal })
    const other = get()
    impatient.abort(new Error('no more time'))
    await expect(given).rejects.toThrow('no more time')
    expect((await other).status).toBe(200)
    expect(refreshes()).toBe(1)
  })
})

describe('allowed origins', () => {
  const me = async (allowedOrigins: readonly string[]) =>
    (await (await world.signedIn({ allowedOrigins })).fetch(server.origin + ECHO)).status

  test('are accepted in any spelling', async () => {
    for (const spelling of [server.origin, `${server.origin}/`, server.origin.toUpperCase()])
      expect(await me([spelling])).toBe(200)
    expect(await me(['https://api.example:443/'])).toBe(401)
  })

  test.each([
    'api.example',
    '',
    '*',
    'null',
    'https://',
    'https://api.example/v1',
    'https://api.example?x',
    'file:///',
    'file://localhost',
    'capacitor://localhost/v1',
  ])('reject %j at once', async (text) => {
    await expect(me([text])).rejects.toMatchObject({ option: 'allowedOrigins', message: expect.stringContaining(text) })
  })

  test.each(['capacitor://localhost', 'ionic://localhost', 'tauri://localhost', 'chrome-extension://abcdefgh'])(
    'can contain the origin of an app shell, which allows no other origin: %s',
    async (origin) => {
      const requests: (string | null)[] = []
      const fetch: typeof globalThis.fetch = async (input, init) => {
        const request = new Request(input, init)
        if (!request.url.startsWith('http')) requests.push(request.headers.get('authorization'))
        return request.url.startsWith('http') ? world.clock.environment.fetch(request) : new Response('{}')
      }
      const own = await world.signedIn({
        environment: { ...world.clock.environment, fetch },
        allowedOrigins: [`${origin}/`],
      })
      for (const url of [`${origin}/api/me`, 'capacitor://elsewhere/api/me', 'data:text/plain,x']) await own.fetch(url)
      expect(requests).toEqual([expect.stringMatching(/^Bearer /), null, null])
    },
  )

  test.each(['capacitor://localhost', 'tauri://localhost', 'file://', 'null'])(
    'default to the origin of the server in an app shell with the origin %s',
    async (origin) => {
      const own = await world.signedIn({ environment: { ...world.clock.environment, origin } })
      expect((await own.fetch(server.origin + ECHO)).status).toBe(200)
    },
  )
})

describe('a request without a token', () => {
  test('is sent to other origins, and a 401 is returned', async () => {
    const elsewhere = server.origin.replace('127.0.0.1', 'localhost')
    expect((await session.fetch(elsewhere + ECHO)).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: undefined }])
    expect(refreshes()).toBe(0)
  })

  test('keeps the authorization header of the caller and returns a 401', async () => {
    const headers = { authorization: 'Bearer of my own' }
    expect((await get({ headers })).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: 'Bearer of my own' }])
    expect(refreshes()).toBe(0)
  })

  test('is sent after a redirect to another origin, and a 401 from there is returned', async () => {
    const elsewhere = server.origin.replace('127.0.0.1', 'localhost')
    server.fault('/api/away', { kind: 'answer', status: 302, headers: { location: `${elsewhere}${ECHO}` } })
    expect((await session.fetch(`${server.origin}/api/away`)).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: undefined }])
    expect(refreshes()).toBe(0)
  })

  test('is not sent after a sign-out', async () => {
    const heard = listen(session)
    await session.logout()
    await expect(get()).rejects.toMatchObject({ code: 'signed_out' })
    expect(sent()).toEqual([])
    expect(heard.map(({ type }) => type)).toEqual(['signedOut'])
  })
})
