import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  accessTokenGuard,
  jwtAccessTokens,
  localRevocations,
  type LocalRevocationsOptions,
  type RevokedSessions,
} from '../../src/index.js'
import { ISSUER, SIGNING_KEY } from '../app.js'
import { request, START } from '../setup.js'

const API = 'https://api.example'
const SECRET = 'a secret of at least thirty-two bytes'
const opened: RevokedSessions[] = []

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: START })
})
afterEach(() => {
  for (const sessions of opened.splice(0)) sessions.close()
  vi.useRealTimers()
})

/** Two instances on one store, the second of which has the list. */
function setup(options: Partial<LocalRevocationsOptions> = {}) {
  const store = memoryStore()
  const state = { isDown: false, reads: 0 }
  const listRevoked: typeof store.listRevoked = async (query) => {
    state.reads += 1
    if (state.isDown) throw new Error('connection refused')
    return store.listRevoked(query)
  }
  const now = () => Date.now()
  const other = createRefreshTokens({ store, secrets: [SECRET], now })
  const tokens = createRefreshTokens({ store: { ...store, listRevoked }, secrets: [SECRET], now })
  const errors: unknown[] = []
  const start = (more: Partial<LocalRevocationsOptions> = {}) => {
    const onError = (error: unknown) => errors.push(error)
    const now = () => Date.now()
    const required = { maxAccessTokenSeconds: 900, whenUnavailable: 'reject', onError, now } as const
    const sessions = localRevocations(tokens, { ...required, ...options, ...more })
    opened.push(sessions)
    return sessions
  }
  return { store, state, other, tokens, errors, start }
}

async function revokeOne(tokens: RefreshTokens): Promise<string> {
  const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
  await tokens.revoke({ refreshToken })
  return family.id
}

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('localRevocations', () => {
  test('knows the sessions that were revoked before it started', async () => {
    const { other, start } = setup()
    const sid = await revokeOne(other)
    const sessions = start()
    await sessions.ready()
    expect([sessions.statusOf(sid), sessions.statusOf('another'), sessions.size()]).toEqual(['revoked', 'active', 1])
  })

  test('knows a session that this instance revoked without a read of the store', async () => {
    const { tokens, state, start } = setup()
    const sessions = start()
    await sessions.ready()
    const { reads } = state
    const sid = await revokeOne(tokens)
    expect(sessions.statusOf(sid)).toBe('revoked')
    expect(state.reads).toBe(reads)
  })

  test('knows a session that another instance revoked within pollSeconds', async () => {
    const { other, start } = setup()
    const sessions = start()
    await sessions.ready()
    const sid = await revokeOne(other)
    expect(sessions.statusOf(sid)).toBe('active')
    await advance(500)
    expect(sessions.statusOf(sid)).toBe('revoked')
  })

  test('forgets a session when none of its access tokens can be valid', async () => {
    const { other, start } = setup({ maxAccessTokenSeconds: 60 })
    const sid = await revokeOne(other)
    const sessions = start()
    await sessions.ready()
    await advance(59_000)
    expect(sessions.statusOf(sid)).toBe('revoked')
    await advance(2000)
    expect([sessions.statusOf(sid), sessions.size()]).toEqual(['active', 0])
  })

  test('is unknown before the first read and after afterSeconds without one, and heals', async () => {
    const { state, other, errors, start } = setup({ afterSeconds: 10 })
    state.isDown = true
    const sessions = start()
    await advance(1000)
    expect([sessions.statusOf('any'), sessions.ageSeconds()]).toEqual(['unknown', Infinity])
    expect(errors.length).toBeGreaterThan(0)
    state.isDown = false
    await advance(500)
    expect(sessions.statusOf('any')).toBe('active')
    state.isDown = true
    const missed = await revokeOne(other)
    await advance(9500)
    expect(sessions.statusOf('any')).toBe('active')
    await advance(1000)
    expect(sessions.statusOf('any')).toBe('unknown')
    expect(sessions.ageSeconds()).toBeGreaterThan(10)
    state.isDown = false
    await advance(500)
    expect([sessions.statusOf('any'), sessions.statusOf(missed)]).toEqual(['active', 'revoked'])
  })

  test('accepts while it is not complete if whenUnavailable is accept, and rejects the sessions that it knows', async () => {
    const { state, tokens, start } = setup({ whenUnavailable: 'accept' })
    state.isDown = true
    const sessions = start()
    await advance(100)
    const sid = await revokeOne(tokens)
    expect([sessions.statusOf('any'), sessions.statusOf(sid)]).toEqual(['active', 'revoked'])
  })

  test('is not complete while it has more sessions than maxSessions, and drops none that it knows', async () => {
    const { other, start } = setup({ maxSessions: 2, maxAccessTokenSeconds: 60 })
    const sids = [await revokeOne(other), await revokeOne(other), await revokeOne(other)]
    const sessions = start()
    await sessions.ready()
    expect(sids.map((sid) => sessions.statusOf(sid))).toEqual(['revoked', 'revoked', 'unknown'])
    expect(sessions.statusOf('any')).toBe('unknown')
    await advance(181_000)
    expect(sessions.statusOf('any')).toBe('active')
  })

  test('reads again what it may have missed when the store was replaced by one with fewer writes', async () => {
    const { store, other, start } = setup()
    const sessions = start()
    await sessions.ready()
    const hidden = await revokeOne(other)
    const listRevoked = store.listRevoked.bind(store)
    // The reader receives a cursor behind a revocation that the page lacks.
    vi.spyOn(store, 'listRevoked').mockImplementationOnce(async (query) => ({
      ...(await listRevoked(query)),
      items: [],
    }))
    await advance(500)
    expect(sessions.statusOf(hidden)).toBe('active')
    await advance(61_000)
    expect(sessions.statusOf(hidden)).toBe('revoked')
  })

  test('stops when it is closed', async () => {
    const { state, tokens, start } = setup()
    const sessions = start()
    await sessions.ready()
    sessions.close()
    const { reads } = state
    const sid = await revokeOne(tokens)
    await advance(60_000)
    expect([state.reads, sessions.statusOf(sid), vi.getTimerCount()]).toEqual([reads, 'unknown', 0])
  })
})

describe('a guard with revocations', () => {
  async function guarded(options: Partial<LocalRevocationsOptions> = {}) {
    const setting = setup(options)
    const sessions = setting.start()
    const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: API, keys: [SIGNING_KEY] })
    const guard = accessTokenGuard({ accessTokens, revocations: sessions, now: () => Date.now() })
    const { refreshToken, family } = await setting.other.issue({ subject: 'alice' })
    const grant = {
      family,
      scope: '',
      audience: [],
      confirmation: null,
      now: START,
      maxLifetimeSeconds: 900,
      claims: {},
    }
    const { accessToken } = await accessTokens.mint(grant)
    const call = () => guard(request({ method: 'GET', headers: { authorization: `Bearer ${accessToken}` } }))
    return { ...setting, sessions, call, refreshToken }
  }

  test('rejects a cached token at once when its session is revoked, without a store call', async () => {
    const { sessions, call, tokens, refreshToken, state } = await guarded()
    await sessions.ready()
    expect(await call()).toMatchObject({ ok: true })
    expect(await call()).toMatchObject({ ok: true })
    await tokens.revoke({ refreshToken })
    const { reads } = state
    expect(await call()).toMatchObject({ ok: false, response: { status: 401 } })
    expect(state.reads).toBe(reads)
  })

  test('responds with 503 and Retry-After, and never with 401, while the list is not complete', async () => {
    const { state, call, sessions } = await guarded()
    await sessions.ready()
    state.isDown = true
    await advance(31_000)
    const outcome = await call()
    expect(outcome).toMatchObject({ ok: false, response: { status: 503 } })
    expect(outcome.ok ? [] : outcome.response.headers.map(([name]) => name)).toContain('retry-after')
    state.isDown = false
    await advance(500)
    expect(await call()).toMatchObject({ ok: true })
  })
})
