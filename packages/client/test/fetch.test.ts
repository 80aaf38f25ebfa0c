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

describe('a request with a token', () => {
  test('CL-08 a 401 leads to one refresh and one repetition', async () => {
    await get()
    server.accessTokensEnd()
    expect((await get()).status).toBe(200)
    expect(refreshes()).toBe(1)
    expect(sent()).toHaveLength(3)
  })

  test('CL-08 a second 401 is the caller’s, and signs nobody out', async () => {
    server.fault(ECHO, unauthorized, unauthorized)
    expect((await get()).status).toBe(401)
    expect(refreshes()).toBe(1)
    expect(session.snapshot().status).toBe('signedIn')
    expect((await get()).status).toBe(200)
  })

  test('an API that accepts no token at all is no reason to refresh for every request', async () => {
    server.fault(ECHO, ...Array<typeof unauthorized>(20).fill(unauthorized))
    for (let call = 0; call < 5; call += 1) expect((await get()).status).toBe(401)
    expect(refreshes()).toBe(1)
    await world.clock.advance(60_000)
    await get()
    expect(refreshes()).toBe(2)
  })

  test('a 401 for a token that has been replaced meanwhile is repeated without another refresh', async () => {
    server.fault(ECHO, unauthorized, unauthorized)
    const answers = await Promise.all([get(), get()])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(refreshes()).toBe(1)
  })

  test('a 401 while the server of the session is out goes to the caller', async () => {
    server.fault(ECHO, unauthorized)
    const fault = { kind: 'answer', status: 503 } as const
    server.fault('/oauth/token', fault, fault, fault)
    const answer = await get()
    expect(answer.status).toBe(401)
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('an unsafe request is repeated only where the 401 says that it was not accepted, or the caller allows it', async () => {
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

  test('a Request with a body is repeated whole, and used up as by any fetch', async () => {
    const request = new Request(server.origin + ECHO, post)
    server.fault(ECHO, { ...unauthorized, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    expect(await (await session.fetch(request)).json()).toMatchObject({ body: 'once', type: 'text/plain' })
    expect(request.bodyUsed).toBe(true)
    expect(sent().map(({ body }) => body)).toEqual(['once', 'once'])

    const unrepeated = new Request(server.origin + ECHO, post)
    await session.fetch(unrepeated)
    expect(unrepeated.bodyUsed).toBe(true)
  })

  test('a stream has its token refreshed before, and is never sent twice', async () => {
    await world.clock.advance(LIFE - 10_000)
    const stream = () => ({ method: 'POST', body: new Blob(['once']).stream(), duplex: 'half' }) as const
    expect(await (await get(stream())).json()).toMatchObject({ body: 'once' })
    expect(refreshes()).toBe(1)
    server.fault(ECHO, { ...unauthorized, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } })
    expect((await get(stream())).status).toBe(401)
    expect(sent()).toHaveLength(2)
  })

  test('whoever gives up hears why, and nobody else is disturbed', async () => {
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

describe('a request without one', () => {
  test('other origins get none, and their 401 is theirs', async () => {
    const elsewhere = server.origin.replace('127.0.0.1', 'localhost')
    expect((await session.fetch(elsewhere + ECHO)).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: undefined }])
    expect(refreshes()).toBe(0)
  })

  test('credentials of the caller’s own are left alone, and so is their 401', async () => {
    const headers = { authorization: 'Bearer of my own' }
    expect((await get({ headers })).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: 'Bearer of my own' }])
    expect(refreshes()).toBe(0)
  })

  test('a redirect to another origin leaves the token behind, and a 401 from there is not ours', async () => {
    const elsewhere = server.origin.replace('127.0.0.1', 'localhost')
    server.fault('/api/away', { kind: 'answer', status: 302, headers: { location: `${elsewhere}${ECHO}` } })
    expect((await session.fetch(`${server.origin}/api/away`)).status).toBe(401)
    expect(sent()).toEqual([{ body: '', authorization: undefined }])
    expect(refreshes()).toBe(0)
  })

  test('once signed out, nothing is sent', async () => {
    const heard = listen(session)
    await session.logout()
    await expect(get()).rejects.toMatchObject({ code: 'signed_out' })
    expect(sent()).toEqual([])
    expect(heard.map(({ type }) => type)).toEqual(['signedOut'])
  })
})
