import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { freePort, startRedis } from '@baton/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { examples, sampledExamples } from './examples.js'
import { type ExampleServer, runToItsEnd, SECRET, type Settings, startServer, temporaryFolder } from './server.js'
import { isServer, type Store, storesOfOneFile } from './stores.js'
import { ALICE, FROM_OUR_PAGE, type Json, type Visitor, visitor } from './visitor.js'

/** All examples read their settings with the same function. All values are tested with this example, one value with each of the others. */
const everyValueOn = examples[0].name
const NEW_SECRET = 'another secret for tests also of more than 32 bytes'
/** Node.js keeps idle connections open for five seconds. A server that waits for them takes longer than this. */
const PROMPT_MS = 4500
const TIMEOUT_MS = 60_000

const stores = storesOfOneFile()
afterAll(() => stores.stop())

interface Started {
  readonly server: ExampleServer
  readonly on: Visitor
}

describe.each(sampledExamples)('$name', (example) => {
  const started: ExampleServer[] = []
  let store: Store

  /** Starts the example with an empty store. */
  async function start(settings: Settings = {}): Promise<Started> {
    const server = await startServer(example, { ...(await store.empty()), ...settings })
    started.push(server)
    return { server, on: visitor(server.origin) }
  }

  beforeAll(async () => {
    store = await stores.open(example.store)
  })
  afterEach(async () => {
    await Promise.all(started.splice(0).map((server) => server.stop()))
  })

  describe('does not start', () => {
    const invalid: [name: string, value: string][] = [
      ['PORT', 'abc'],
      ['PORT', '0'],
      ['PORT', '65536'],
      ['PORT', '80.5'],
      ['PORT', ''],
      ['ACCESS_SECONDS', '0'],
      ['ACCESS_SECONDS', '15m'],
      ['ACCESS_SECONDS', '86401'],
      ['IDLE_SECONDS', '-1'],
      ['IDLE_SECONDS', '7776001'],
      ['ABSOLUTE_SECONDS', '1e6'],
      ['GRACE_SECONDS', '61'],
      ['RATE_LIMIT', '-1'],
      ['RATE_LIMIT', 'off'],
      ['RATE_SECONDS', '0'],
      ['BATON_SECRET', ''],
      ['BATON_SECRET', 'short'],
      ['BATON_SECRET', `${SECRET},short`],
      ['BATON_SECRET', `${SECRET},${SECRET}`],
      ['BATON_SECRET', `${SECRET},`],
      ['SIGNING_SECRET', ''],
      ['SIGNING_SECRET', 'short'],
      ['SIGNING_SECRET', SECRET],
      ['CODE_SECRET', `${NEW_SECRET},short`],
      ['CODE_SECRET', `${NEW_SECRET},${SECRET}`],
    ]

    const tried = example.name === everyValueOn ? invalid : invalid.filter(([, value]) => value === 'short')
    it.concurrent.each(tried)('with %s=%j', async (name, value) => {
      const { code, stdout, stderr } = await runToItsEnd(example, { ...(await store.empty()), [name]: value })

      expect(code).toBe(1)
      expect(stdout).toBe('')
      expect(stderr).toMatch(new RegExp(`^${name}: .+\n$`))
      expect(stderr).not.toContain(SECRET)
    })

    it('with access tokens that would expire after an idle session', async () => {
      const settings = { ...(await store.empty()), ACCESS_SECONDS: '900', IDLE_SECONDS: '900' }
      const { code, stderr } = await runToItsEnd(example, settings)

      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^ACCESS_SECONDS: .+\n$/) })
    })

    it('in production without a secret', async () => {
      const settings = { ...(await store.empty()), NODE_ENV: 'production', BATON_SECRET: undefined }
      const { code, stderr } = await runToItsEnd(example, settings)

      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^BATON_SECRET: .+\n$/) })
    })

    describe.each(example.store === 'sqlite' ? [null] : [])('with a DATABASE', () => {
      const folder = temporaryFolder()
      afterAll(() => {
        folder.remove()
      })

      it.each<[name: string, make: (path: string) => void]>([
        ['in a folder that does not exist', () => undefined],
        ['that is a folder', (path) => mkdirSync(path, { recursive: true })],
        [
          'that is not a SQLite file',
          (path) => {
            mkdirSync(dirname(path))
            writeFileSync(path, 'This is a letter, and not a database.')
          },
        ],
      ])('%s', async (name, make) => {
        const path = join(folder.path, name, 'sessions.db')
        make(path)
        const { code, stderr } = await runToItsEnd(example, { DATABASE: path })

        expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^DATABASE: .+\n$/) })
      })
    })

    const variable = example.store === 'postgres' ? 'DATABASE_URL' : 'REDIS_URL'
    const scheme = example.store === 'postgres' ? 'postgres' : 'redis'
    it.each(isServer(example.store) ? ['', 'sessions', 'http://127.0.0.1', `${scheme}://:a-password@[`] : [])(
      'with a URL %j of its store',
      async (url) => {
        const { code, stdout, stderr } = await runToItsEnd(example, { [variable]: url })

        expect({ code, stdout, stderr }).toEqual({
          code: 1,
          stdout: '',
          stderr: expect.stringMatching(new RegExp(`^${variable}: .+\n$`)),
        })
        expect(stderr).not.toContain('a-password')
      },
    )

    it.each(isServer(example.store) ? [null] : [])('while its store is not reachable', async () => {
      const url = `${scheme}://:a-password@127.0.0.1:${await freePort()}`
      const { code, stdout, stderr } = await runToItsEnd(example, { [variable]: url })

      expect({ code, stdout, stderr }).toEqual({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(new RegExp(`^${variable}: cannot connect .+\n$`)),
      })
      expect(stderr).not.toContain('a-password')
    })
  })

  it('starts without a secret in development, with a warning', async () => {
    const { server, on } = await start({ BATON_SECRET: undefined })

    expect(server.output()).toMatch(/^BATON_SECRET /m)
    expect((await on.json('/login', ALICE)).status).toBe(200)
  })

  it('warns that it derives the secrets that are not set, and derives none that is set', async () => {
    const keyIds = async (settings: Settings) => {
      const { server, on } = await start(settings)
      const { body } = await on.send('GET', '/.well-known/jwks.json')
      return { output: server.output(), keyIds: (body.keys as { kid: string }[]).map(({ kid }) => kid) }
    }
    const derived = await keyIds({})
    expect(derived.output.match(/^SIGNING_SECRET and CODE_SECRET: .*derived from BATON_SECRET.*$/gm)).toHaveLength(1)

    const own = { SIGNING_SECRET: `${SECRET} and for signing`, CODE_SECRET: `${SECRET} and for codes` }
    const separate = await keyIds(own)
    expect(separate.output).not.toMatch(/derived/)
    expect(separate.keyIds).not.toEqual(derived.keyIds)
    expect((await keyIds({ ...own, BATON_SECRET: NEW_SECRET })).keyIds).toEqual(separate.keyIds)
  })

  describe('in production, with a secret and no limits', () => {
    let server: ExampleServer
    let on: Visitor

    beforeAll(async () => {
      server = await startServer(example, { ...(await store.empty()), NODE_ENV: 'production', RATE_LIMIT: '0' })
      on = visitor(server.origin)
    })
    afterAll(() => server.stop())

    it('starts', async () => {
      expect((await on.json('/login', ALICE)).status).toBe(200)
    })

    it('does not share its port with a second process', async () => {
      const settings = { ...(await store.empty()), PORT: new URL(server.origin).port }
      const { code, stderr } = await runToItsEnd(example, settings)

      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^PORT: .+\n$/) })
    })

    it('listens on loopback only', async () => {
      const { port } = new URL(server.origin)

      // 127.0.0.0/8 is this machine, so a server on all interfaces would accept this connection too.
      expect(await canConnect('127.0.0.1', port)).toBe(true)
      expect(await canConnect('127.0.0.2', port)).toBe(false)
    })

    it('limits no requests with RATE_LIMIT=0, including those of /login', async () => {
      const refreshes = await Promise.all(Array.from({ length: 100 }, () => on.refresh('rubbish')))
      const logins = await Promise.all(Array.from({ length: 100 }, () => on.json('/login', {})))
      const wrong = await Promise.all(
        Array.from({ length: 20 }, () => on.json('/login', { ...ALICE, password: 'wrong' })),
      )

      expect(new Set(refreshes.map(({ status }) => status))).toEqual(new Set([400]))
      expect(new Set(logins.map(({ status }) => status))).toEqual(new Set([400]))
      expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([401]))
    })
  })

  it.each(example.name === everyValueOn ? ['2', '60', '1209599'] : ['2'])(
    'starts with ABSOLUTE_SECONDS=%s alone, with a shorter default for the idle limit',
    async (seconds) => {
      const { on } = await start({ ABSOLUTE_SECONDS: seconds })
      const { body } = await on.json('/login', ALICE)

      expect(body.expires_in).toBeLessThan(Number(seconds))
    },
  )

  it('rejects access tokens after ACCESS_SECONDS, and accepts the one of a refresh', async () => {
    const { on } = await start({ ACCESS_SECONDS: '1' })
    const { access_token: accessToken, expires_in: expiresIn, refresh_token: refreshToken } = await on.login()
    const response = await until(
      () => on.me(accessToken),
      ({ status }) => status !== 200,
    )
    // A token of one second expires at the end of the second in which it was issued, so it may expire before its first use.
    await until(
      async () => on.me((await on.refresh(refreshToken)).body.access_token),
      ({ status }) => status === 200,
    )

    expect(expiresIn).toBe(1)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it('ends idle sessions after IDLE_SECONDS', async () => {
    const { on } = await start({ ACCESS_SECONDS: '1', IDLE_SECONDS: '2' })
    const witness = await on.login()
    const login = await on.cookieLogin()
    const maxAge = Number(/Max-Age=(\d+)/.exec(login.setCookie)?.[1])
    // Only the list shows the session without using it. Its access token is renewed by another sign-in.
    await until(
      async () => on.bearer('GET', '/auth/sessions', (await on.login()).access_token),
      ({ status, body }) => status === 200 && !body.sessions.some(({ id }: { id: string }) => id === login.body.sid),
    )

    expect(maxAge).toBeLessThanOrEqual(2)
    expect((await on.cookieRefresh(login.cookie)).status).toBe(401)
    expect((await on.refresh(witness.refresh_token)).body.error).toBe('invalid_grant')
  })

  it('treats a second refresh as reuse with GRACE_SECONDS=0', async () => {
    const { on } = await start({ GRACE_SECONDS: '0' })
    const { refresh_token: first } = await on.login()
    const second = (await on.refresh(first)).body.refresh_token

    expect((await on.refresh(first)).body.error).toBe('invalid_grant')
    expect((await on.refresh(second)).body.error).toBe('invalid_grant')
  })

  describe('rate limits', () => {
    it('respond with 429 and Retry-After beyond RATE_LIMIT, and consume no token', async () => {
      const { on } = await start({ RATE_LIMIT: '4', RATE_SECONDS: '1' })
      const { refresh_token: first } = await on.login()
      const flood = await Promise.all(Array.from({ length: 8 }, () => on.refresh('rubbish')))
      const limited = flood.filter(({ status }) => status === 429)
      const refreshed = await until(
        () => on.refresh(first),
        ({ status }) => status !== 429,
      )

      expect(limited.length).toBeGreaterThan(0)
      for (const { headers, body, setCookie } of limited) {
        expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
        expect(body.error).not.toBe('invalid_grant')
        expect(setCookie).toBeNull()
      }
      expect(refreshed.status).toBe(200)
    })

    it('also count sign-ins and cookie requests', async () => {
      const { on } = await start({ RATE_LIMIT: '2' })
      await on.json('/login', {})
      await on.json('/login', {})

      expect((await on.json('/login', ALICE)).status).toBe(429)
      expect(await on.send('POST', '/auth/refresh', { headers: FROM_OUR_PAGE })).toMatchObject({
        status: 429,
        setCookie: null,
      })
    })

    it('reject further attempts after RATE_LIMIT wrong passwords', async () => {
      const { on } = await start({ RATE_LIMIT: '12' })
      const statuses: number[] = []
      for (let time = 0; time < 13; time++)
        statuses.push((await on.json('/login', { ...ALICE, password: 'wrong' })).status)

      expect(statuses).toEqual([...Array<number>(12).fill(401), 429])
    })

    it('default to 60 requests', async () => {
      const { on } = await start({ RATE_LIMIT: undefined })
      const responses = await Promise.all(Array.from({ length: 61 }, () => on.refresh('rubbish')))

      expect(responses.filter(({ status }) => status === 429)).toHaveLength(1)
    })
  })

  it('ends with npm start, and closes its port', async () => {
    const settings = await store.empty()
    const server = await startServer(example, settings, ['npm', 'start'])

    expect(await server.stop()).toBe(0)
    expect(await canConnect('127.0.0.1', new URL(server.origin).port)).toBe(false)
  })

  describe.each(['SIGTERM', 'SIGINT'] as const)('on %s', (signal) => {
    it('finishes the pending request, closes idle connections and exits with 0', async () => {
      const { server, on } = await start()
      // fetch keeps its connection open. The other connection never sends data.
      await on.login()
      const silent = await open(server)
      const body = JSON.stringify(ALICE)
      const slow = await open(server)
      const head = `POST /login HTTP/1.1\r\nHost: ${new URL(server.origin).host}\r\nContent-Type: application/json\r\n`
      slow.write(`${head}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`)
      // The server has sent "100 Continue": it processes the request and waits for the body.
      await once(slow, 'data')

      server.child.kill(signal)
      await until(
        () => canConnect('127.0.0.1', new URL(server.origin).port),
        (connected) => !connected,
      )
      // npm forwards the signal that the terminal has already sent to all processes.
      server.child.kill(signal)
      const finishedAt = performance.now()
      slow.write(body)
      const response = await textOf(slow)
      await (server.child.exitCode === null ? once(server.child, 'exit') : null)

      expect(response).toMatch(/^HTTP\/1\.1 200 /)
      expect(response.match(/^connection: .*$/gim)).toEqual([expect.stringMatching(/^connection: close$/i)])
      expect(response).toContain('"refresh_token":"brt_')
      expect(server.child.exitCode).toBe(0)
      expect(performance.now() - finishedAt).toBeLessThan(PROMPT_MS)
      silent.destroy()
    })
  })

  describe('after a restart with the same settings', () => {
    let settings: Settings
    let server: ExampleServer
    let on: Visitor
    /** The exit code before the restart. */
    let ending: number | null
    let untouched: Json
    let rotated: Json
    let lost: { first: string; successor: string }
    let cookie: string
    let ended: string

    async function startAgain(changed: Settings = {}) {
      server = await startServer(example, { ...settings, ...changed })
      on = visitor(server.origin)
    }

    beforeAll(async () => {
      settings = { ...(await store.empty()), PORT: String(await freePort()) }
      await startAgain()
      untouched = await on.login()
      rotated = (await on.refresh((await on.login()).refresh_token)).body
      const { refresh_token: first } = await on.login()
      lost = { first, successor: (await on.refresh(first)).body.refresh_token }
      cookie = (await on.cookieLogin()).cookie
      ended = (await on.cookieLogin()).cookie
      await on.send('POST', '/auth/logout', { headers: { ...FROM_OUR_PAGE, cookie: ended } })
      ending = await server.stop()
      await startAgain()
    })
    afterAll(() => server.stop())

    it('accepts the access tokens from before', async () => {
      expect(ending).toBe(0)
      expect(await on.me(untouched.access_token)).toMatchObject({ status: 200, body: { sub: 'alice' } })
    })

    if (example.store === 'memory') return

    it('returns the same successor for a retry of a lost response', async () => {
      expect((await on.refresh(lost.first)).body.refresh_token).toBe(lost.successor)
    })

    it('still has all sessions', async () => {
      const sessions = await on.bearer('GET', '/auth/sessions', untouched.access_token)

      expect(sessions.body.sessions).toHaveLength(4)
      expect((await on.refresh(untouched.refresh_token)).status).toBe(200)
      expect((await on.refresh(rotated.refresh_token)).status).toBe(200)
      expect((await on.cookieRefresh(cookie)).status).toBe(200)
      expect((await on.cookieRefresh(ended)).status).toBe(401)
    })

    it('accepts all tokens after a new secret was added before the old one', async () => {
      const login = await on.login()
      await server.stop()
      await startAgain({ BATON_SECRET: `${NEW_SECRET},${SECRET}` })

      expect((await on.me(login.access_token)).status).toBe(200)
      expect((await on.refresh(login.refresh_token)).status).toBe(200)
    })
  })

  describe.each(isServer(example.store) ? [null] : [])('when its store is not available', () => {
    it('responds with 503 and Retry-After, and recovers when the store is available again', async () => {
      const storeServer = await stores.openServer(example.store)
      const { server, on } = await start()
      const login = await on.login()
      const { cookie } = await on.cookieLogin()
      await storeServer.kill9()
      const rejected = await Promise.all([
        on.refresh(login.refresh_token),
        on.cookieRefresh(cookie),
        on.json('/login', ALICE),
      ])
      const me = await on.me(login.access_token)
      await storeServer.restart()
      const statuses: number[] = []
      await until(
        async () => statuses.push((await on.refresh(login.refresh_token)).status),
        () => statuses.at(-1) !== 503,
      )

      for (const { status, headers, body, setCookie } of rejected) {
        expect({ status, error: body.error, setCookie }).toEqual({
          status: 503,
          error: 'temporarily_unavailable',
          setCookie: null,
        })
        expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      }
      expect(me.status).toBe(200)
      expect(statuses.at(-1)).toBe(200)
      expect((await on.cookieRefresh(cookie)).status).toBe(200)
      expect(server.output()).toMatch(/^fault: store_\w+ in store\.rotate$/m)
    })

    it('exits on SIGTERM', async () => {
      const storeServer = await stores.openServer(example.store)
      const { server } = await start()
      await storeServer.kill9()
      const code = await server.stop()
      await storeServer.restart()

      expect(code).toBe(0)
    })
  })

  it.each(example.store === 'redis' ? [null] : [])('warns about the settings of Redis that lose sessions', async () => {
    const evicting = await startRedis({ maxmemoryPolicy: 'allkeys-lru' })
    const { server } = await start({ REDIS_URL: evicting.url })
    await server.stop()
    await evicting.stop()

    expect(server.output()).toMatch(/^maxmemory-policy is allkeys-lru: .+$/m)
    expect(server.output()).toMatch(/^appendonly is no.*: .+$/m)
  })
})

/** Repeats `send` until its result is accepted. No pause is needed, because each request takes a round trip. */
async function until<Result>(send: () => Promise<Result>, isExpected: (result: Result) => boolean): Promise<Result> {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const result = await send()
    if (isExpected(result)) return result
    if (performance.now() > deadline) throw new Error(`not within ${TIMEOUT_MS} ms`)
  }
}

async function open(server: ExampleServer): Promise<Socket> {
  const { hostname, port } = new URL(server.origin)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  return socket
}

async function canConnect(host: string, port: string): Promise<boolean> {
  const socket = connect(Number(port), host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function textOf(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}
