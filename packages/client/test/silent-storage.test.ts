import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { cookieEndpoints } from '../src/cookie.js'
import { memoryStorage, type Session, type SessionStorage } from '../src/index.js'
import { localLock } from '../src/platform/lock.js'
import { gate } from './server.js'
import { createWorld, listen, type World } from './world.js'

const LIFE = 15 * 60_000
/** A storage call may take so long. */
const BOUND = 10_000

let world: World
let clock: World['clock']
let server: World['server']

beforeEach(async () => {
  world = await createWorld()
  ;({ clock, server } = world)
})
afterEach(() => server.stop())

const never = () => new Promise<never>(() => undefined)
const fails = () => Promise.reject(new Error('the disk is gone'))
type Failing = Pick<SessionStorage, 'read' | 'swap'>

/** A storage of which some calls fail for as long as `outage` names them. */
function faulty(storage: SessionStorage, fail: () => Promise<never>, ...calls: (keyof Failing)[]) {
  const outage = new Set(calls)
  const failing: SessionStorage = {
    ...storage,
    read: () => (outage.has('read') ? fail() : storage.read()),
    swap: (before, after) => (outage.has('swap') ? fail() : storage.swap(before, after)),
  }
  return { storage: failing, outage }
}

function storageErrors(session: Session): unknown[] {
  const errors: unknown[] = []
  session.on('storageFailed', ({ error }) => errors.push(error))
  return errors
}

/** What a promise comes to while so much time passes; `pending` if it comes to nothing. */
async function after<T>(ms: number, promise: Promise<T>): Promise<T | 'pending'> {
  promise.catch(() => undefined)
  await clock.advance(ms)
  return Promise.race([promise, new Promise<'pending'>((resolve) => setImmediate(() => resolve('pending')))])
}

describe('a storage that never responds', () => {
  test.each<[string, (keyof Failing)[]]>([
    ['read', ['read']],
    ['write', ['swap']],
    ['read and write', ['read', 'swap']],
  ])('%s: sign-in, tokens, requests, refresh and sign-out continue in memory', async (_name, calls) => {
    const session = world.open({ storage: faulty(memoryStorage(), never, ...calls).storage })
    const errors = storageErrors(session)
    const answer = await server.signIn()
    expect(await after(BOUND, session.login(answer))).toBeUndefined()
    expect(errors).toHaveLength(1)
    expect(await session.getAccessToken()).toBe(answer['access_token'])
    clock.jump(LIFE)
    expect((await session.fetch(`${server.origin}/api/me`)).status).toBe(200)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated'])
    expect(await session.logout()).toEqual({ revoked: true })
    expect(session.snapshot()).toMatchObject({ status: 'signedOut', reason: 'logout' })
  })

  test('is called again after 30 seconds, or as soon as its call returns', async () => {
    const stored = memoryStorage()
    const opened = gate()
    const held = faulty(stored, () => opened.opened.then(fails), 'swap')
    const session = world.open({ storage: held.storage })
    await after(BOUND, session.login(await server.signIn()))
    held.outage.clear()
    await clock.advance(1000)
    clock.jump(LIFE)
    await session.getAccessToken()
    expect(await stored.read()).toBeNull()
    opened.open()
    await clock.advance(0)
    clock.jump(LIFE)
    await session.getAccessToken()
    expect(await stored.read()).toContain('"generation":2')

    held.outage.add('swap')
    clock.jump(LIFE)
    const pending = session.getAccessToken()
    await expect.poll(() => server.happened('rotated').length).toBe(3)
    await after(BOUND, pending)
    held.outage.clear()
    await clock.advance(30_000)
    clock.jump(LIFE)
    await session.getAccessToken()
    expect(await stored.read()).toContain('"generation":4')
  })

  test('does not block the lock for longer than other pages wait', async () => {
    const lock = localLock()
    const text = memoryStorage()
    await world.signedIn({ storage: { ...text, lock } })
    let reads = 0
    // The page looks before it takes the lock.
    const read = () => ((reads += 1) > 1 ? never() : text.read())
    const stuck = world.open({ storage: { ...text, lock, read } })
    const other = world.open({ storage: { ...text, lock } })
    clock.jump(LIFE)
    void stuck.getAccessToken().catch(() => undefined)
    await expect.poll(() => reads).toBe(2)
    const token = other.getAccessToken()
    await clock.advance(BOUND)
    expect(await token).toMatch(/^eyJ/)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
  })

  test('does not replace newer data in memory when it applies a write late', async () => {
    const stored = memoryStorage()
    const released = gate()
    const applied: Promise<boolean>[] = []
    let isSlow = false
    const swap: SessionStorage['swap'] = (before, text) => {
      if (!isSlow) return stored.swap(before, text)
      const late = released.opened.then(() => stored.swap(before, text))
      applied.push(late)
      return late
    }
    const session = await world.signedIn({ storage: { ...stored, swap } })
    isSlow = true
    clock.jump(LIFE)
    const first = session.getAccessToken()
    await clock.advance(BOUND)
    await first
    clock.jump(LIFE)
    const second = await session.getAccessToken()
    isSlow = false
    released.open()
    expect(await Promise.all(applied)).toEqual([true])
    expect(await session.getAccessToken()).toBe(second)
    clock.jump(LIFE)
    await session.getAccessToken()
    expect(await stored.read()).toContain('"generation":3')
    expect(server.happened('rotated')).toHaveLength(3)
  })
})

describe('a storage that does not work', () => {
  test('that rejects every swap makes the session continue in memory', async () => {
    const session = world.open({ storage: { ...memoryStorage(), swap: async () => false } })
    const errors = storageErrors(session)
    await session.login(await server.signIn())
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(errors).not.toHaveLength(0)
  })

  test('whose lock fails is reported, and the page refreshes without the lock', async () => {
    const session = await world.signedIn({ storage: { ...memoryStorage(), lock: fails } })
    const errors = storageErrors(session)
    clock.jump(LIFE)
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(errors).toEqual([new Error('the disk is gone')])
  })
})

describe('a storage that cannot be read when the page loads', () => {
  test.each([
    ['fails', fails],
    ['never responds', never],
  ])('%s: whether there is a session is unknown, until it can be read', async (_name, fail) => {
    const stored = memoryStorage()
    await world.signedIn({ storage: stored })
    const { storage, outage } = faulty(stored, fail, 'read')
    const session = world.open({ storage })
    const heard = listen(session)
    session.start()
    const token = session.getAccessToken()
    const failed = expect(token).rejects.toMatchObject({ code: 'unavailable' })
    await clock.advance(2 * BOUND)
    await failed
    expect(session.snapshot().status).toBe('unknown')
    expect(heard.filter(({ type }) => type !== 'retrying')).toEqual([])
    outage.clear()
    await clock.advance(30_000)
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(session.snapshot().status).toBe('signedIn')
    session.dispose()
  })

  test('a sign-in in the meantime is kept, stored later and ends the stored session', async () => {
    const stored = memoryStorage()
    await world.signedIn({ storage: stored })
    const { storage, outage } = faulty(stored, fails, 'read')
    const session = world.open({ storage })
    const bob = await server.signIn('bob')
    await session.login(bob)
    outage.clear()
    expect(await session.getAccessToken()).toBe(bob['access_token'])
    await expect.poll(() => stored.read()).toContain(bob['refresh_token'])
    await session.logout()
    for (const subject of ['alice', 'bob']) expect((await server.tokens.list({ subject })).items).toEqual([])
  })

  test('a sign-out in the meantime is kept and ends the stored session', async () => {
    const stored = memoryStorage()
    await world.signedIn({ storage: stored })
    const { storage, outage } = faulty(stored, fails, 'read')
    const session = world.open({ storage })
    await session.logout()
    outage.clear()
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'signed_out', reason: 'logout' })
    await session.logout()
    expect(server.happened('revoked')).toHaveLength(1)
    expect(await stored.read()).not.toMatch(/brt_|eyJ/)
  })
})

describe('a marker that is deleted in cookie mode', () => {
  const ANSWER = { access_token: 'at', token_type: 'Bearer', expires_in: 900, sid: 'alices' }

  test('does not end the session, which continues', async () => {
    const { origin } = server
    const endpoints = cookieEndpoints({
      refreshEndpoint: `${origin}/auth/refresh`,
      logoutEndpoint: `${origin}/auth/logout`,
    })
    let marker = memoryStorage()
    const storage: SessionStorage = {
      read: () => marker.read(),
      swap: (before, text) => marker.swap(before, text),
      lock: localLock(),
    }
    const session = world.open({ endpoints, storage })
    await session.login(ANSWER)
    const heard = listen(session)
    marker = memoryStorage()
    session.start()
    expect(await session.getAccessToken()).toBe('at')
    clock.jump(LIFE)
    const body = JSON.stringify({ ...ANSWER, access_token: 'next' })
    server.fault('/auth/refresh', { kind: 'answer', status: 200, body })
    expect(await session.getAccessToken()).toBe('next')
    expect(session.snapshot()).toMatchObject({ status: 'signedIn', sid: 'alices' })
    expect(heard.map(({ type }) => type)).toEqual(['refreshed'])
    session.dispose()
  })
})
