import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { freePort, startRedis } from '@baton/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Example, examples } from './examples.js'
import { type ExampleServer, runToItsEnd, SECRET, type Settings, startServer, temporaryFolder } from './server.js'
import { isServer, type Store, storesOfOneFile } from './stores.js'
import { ALICE, FROM_OUR_PAGE, type Json, type Visitor, visitor } from './visitor.js'

/** All examples read their settings with the same function: each value is tried on one of them, and one value on each. */
const everyValueOn = examples[0].name
const NEW_SECRET = 'another secret for tests also of more than 32 bytes'
/** Node keeps idle connections for five seconds: whoever waits for them is slower than this. */
const PROMPT_MS = 4500
const PATIENCE_MS = 60_000

const stores = storesOfOneFile()
afterAll(() => stores.stop())

interface Started {
  readonly server: ExampleServer
  readonly on: Visitor
}

describe.each(examples as readonly Example[])('$name', (example) => {
  const started: ExampleServer[] = []
  let store: Store

  /** With an empty store. */
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

    it('with an access token that would outlive an idle session', async () => {
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
        ['in a folder that is not there', () => undefined],
        ['that is a folder', (path) => mkdirSync(path, { recursive: true })],
        [
          'that is no SQLite file',
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

    it.each(isServer(example.store) ? [null] : [])('while nobody listens where its store should be', async () => {
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

    it('has its port for itself', async () => {
      const settings = { ...(await store.empty()), PORT: new URL(server.origin).port }
      const { code, stderr } = await runToItsEnd(example, settings)

      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^PORT: .+\n$/) })
    })

    it('listens on loopback only', async () => {
      const { port } = new URL(server.origin)

      // All of 127/8 is this machine, so a server on every interface would answer there too.
      expect(await canConnect('127.0.0.1', port)).toBe(true)
      expect(await canConnect('127.0.0.2', port)).toBe(false)
    })

    it('counts nothing with RATE_LIMIT=0, at /login neither', async () => {
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
    'starts with ABSOLUTE_SECONDS=%s alone: the idle default gives way',
    async (seconds) => {
      const { on } = await start({ ABSOLUTE_SECONDS: seconds })
      const { body } = await on.json('/login', ALICE)

      expect(body.expires_in).toBeLessThan(Number(seconds))
    },
  )

  it('lets access tokens run out after ACCESS_SECONDS, and a refresh goes on', async () => {
    const { on } = await start({ ACCESS_SECONDS: '1' })
    const { access_token: accessToken, expires_in: expiresIn, refresh_token: refreshToken } = await on.login()
    const answer = await until(
      () => on.me(accessToken),
      ({ status }) => status !== 200,
    )
    // A token of one second ends with the second in which it was made, so a first one may come too late.
    await until(
      async () => on.me((await on.refresh(refreshToken)).body.access_token),
      ({ status }) => status === 200,
    )

    expect(expiresIn).toBe(1)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it('ends idle sessions after IDLE_SECONDS', async () => {
    const { on } = await start({ ACCESS_SECONDS: '1', IDLE_SECONDS: '2' })
    const witness = await on.login()
    const login = await on.cookieLogin()
    const maxAge = Number(/Max-Age=(\d+)/.exec(login.setCookie)?.[1])
    // Only a list tells without using the session; its own access token is renewed by signing in again.
    await until(
      async () => on.bearer('GET', '/auth/sessions', (await on.login()).access_token),
      ({ status, body }) => status === 200 && !body.sessions.some(({ id }: { id: string }) => id === login.body.sid),
    )

    expect(maxAge).toBeLessThanOrEqual(2)
    expect((await on.cookieRefresh(login.cookie)).status).toBe(401)
    expect((await on.refresh(witness.refresh_token)).body.error).toBe('invalid_grant')
  })

  it('with GRACE_SECONDS=0, takes the second of two refreshes for theft', async () => {
    const { on } = await start({ GRACE_SECONDS: '0' })
    const { refresh_token: first } = await on.login()
    const second = (await on.refresh(first)).body.refresh_token

    expect((await on.refresh(first)).body.error).toBe('invalid_grant')
    expect((await on.refresh(second)).body.error).toBe('invalid_grant')
  })

  describe('rate limits', () => {
    it('answer 429 with Retry-After beyond RATE_LIMIT, and consume nothing', async () => {
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

    it('let RATE_LIMIT wrong passwords pass, and no more', async () => {
      const { on } = await start({ RATE_LIMIT: '12' })
      const statuses: number[] = []
      for (let time = 0; time < 13; time++)
        statuses.push((await on.json('/login', { ...ALICE, password: 'wrong' })).status)

      expect(statuses).toEqual([...Array<number>(12).fill(401), 429])
    })

    it('default to 60 requests', async () => {
      const { on } = await start({ RATE_LIMIT: undefined })
      const answers = await Promise.all(Array.from({ length: 61 }, () => on.refresh('rubbish')))

      expect(answers.filter(({ status }) => status === 429)).toHaveLength(1)
    })
  })

  it('is ended by ending npm start, and leaves nobody behind on the port', async () => {
    const settings = await store.empty()
    const server = await startServer(example, settings, ['npm', 'start'])

    expect(await server.stop()).toBe(0)
    expect(await canConnect('127.0.0.1', new URL(server.origin).port)).toBe(false)
  })

  describe.each(['SIGTERM', 'SIGINT'] as const)('on %s', (signal) => {
    it('finishes the request in flight, hangs up on idle connections and exits with 0', async () => {
      const { server, on } = await start()
      // fetch leaves its connection open; the other one never says anything.
      await on.login()
      const silent = await open(server)
      const body = JSON.stringify(ALICE)
      const slow = await open(server)
      const head = `POST /login HTTP/1.1\r\nHost: ${new URL(server.origin).host}\r\nContent-Type: application/json\r\n`
      slow.write(`${head}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`)
      // The server has said "Continue", so the request is in its hands; its body is still in ours.
      await once(slow, 'data')

      server.child.kill(signal)
      await until(
        () => canConnect('127.0.0.1', new URL(server.origin).port),
        (connected) => !connected,
      )
      // npm passes on what the terminal has sent to everybody already.
      server.child.kill(signal)
      const finishedAt = performance.now()
      slow.write(body)
      const answer = await textOf(slow)
      await (server.child.exitCode === null ? once(server.child, 'exit') : null)

      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      expect(answer.match(/^connection: .*$/gim)).toEqual([expect.stringMatching(/^connection: close$/i)])
      expect(answer).toContain('"refresh_token":"brt_')
      expect(server.child.exitCode).toBe(0)
      expect(performance.now() - finishedAt).toBeLessThan(PROMPT_MS)
      silent.destroy()
    })
  })

  describe('after a restart with the same settings', () => {
    let settings: Settings
    let server: ExampleServer
    let on: Visitor
    /** Of the time before. */
    let ending: number | null
    let untouched: Json
    let rotated: Json
    let lost: { first: string; answer: string }
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
      lost = { first, answer: (await on.refresh(first)).body.refresh_token }
      cookie = (await on.cookieLogin()).cookie
      ended = (await on.cookieLogin()).cookie
      await on.send('POST', '/auth/logout', { headers: { ...FROM_OUR_PAGE, cookie: ended } })
      ending = await server.stop()
      await startAgain()
    })
    afterAll(() => server.stop())

    it('access tokens still work', async () => {
      expect(ending).toBe(0)
      expect(await on.me(untouched.access_token)).toMatchObject({ status: 200, body: { sub: 'alice' } })
    })

    if (example.store === 'memory') return

    it('an answer that was lost before it is repeated', async () => {
      expect((await on.refresh(lost.first)).body.refresh_token).toBe(lost.answer)
    })

    it('all sessions are still there', async () => {
      const sessions = await on.bearer('GET', '/auth/sessions', untouched.access_token)

      expect(sessions.body.sessions).toHaveLength(4)
      expect((await on.refresh(untouched.refresh_token)).status).toBe(200)
      expect((await on.refresh(rotated.refresh_token)).status).toBe(200)
      expect((await on.cookieRefresh(cookie)).status).toBe(200)
      expect((await on.cookieRefresh(ended)).status).toBe(401)
    })

    it('and with a new secret before the old one, nobody is signed out', async () => {
      const login = await on.login()
      await server.stop()
      await startAgain({ BATON_SECRET: `${NEW_SECRET},${SECRET}` })

      expect((await on.me(login.access_token)).status).toBe(200)
      expect((await on.refresh(login.refresh_token)).status).toBe(200)
    })
  })

  describe.each(isServer(example.store) ? [null] : [])('when its store goes away', () => {
    it('answers 503 with Retry-After, and goes on by itself once the store is back', async () => {
      const storeServer = await stores.openServer(example.store)
      const { server, on } = await start()
      const login = await on.login()
      const { cookie } = await on.cookieLogin()
      await storeServer.kill9()
      const refused = await Promise.all([
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

      for (const { status, headers, body, setCookie } of refused) {
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

    it('ends on SIGTERM all the same', async () => {
      const storeServer = await stores.openServer(example.store)
      const { server } = await start()
      await storeServer.kill9()
      const code = await server.stop()
      await storeServer.restart()

      expect(code).toBe(0)
    })
  })

  it.each(example.store === 'redis' ? [null] : [])('tells which settings of Redis lose sessions', async () => {
    const forgetful = await startRedis({ maxmemoryPolicy: 'allkeys-lru' })
    const { server } = await start({ REDIS_URL: forgetful.url })
    await server.stop()
    await forgetful.stop()

    expect(server.output()).toMatch(/^maxmemory-policy is allkeys-lru: .+$/m)
    expect(server.output()).toMatch(/^appendonly is no.*: .+$/m)
  })
})

/** Asks again until the answer is as wanted; no pause is needed, since asking takes a round trip. */
async function until<Answer>(ask: () => Promise<Answer>, isWanted: (answer: Answer) => boolean): Promise<Answer> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await ask()
    if (isWanted(answer)) return answer
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms`)
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
