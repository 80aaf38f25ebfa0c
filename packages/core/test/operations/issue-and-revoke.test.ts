import { describe, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../../src/index.js'
import {
  DAY,
  HOUR,
  MINUTE,
  NEW_SECRET,
  SECOND,
  seededRandom,
  START,
  expectOk,
  type TestSetup,
  createSetup,
} from '../setup.js'

async function signIn(setup: TestSetup, request: object = {}) {
  return setup.tokens.issue({ subject: 'alice', ...request })
}

async function refresh(setup: TestSetup, refreshToken: string) {
  return expectOk(await setup.tokens.rotate({ refreshToken })).refreshToken
}

describe('issue', () => {
  it('starts a family with one record and emits an event without a secret', async () => {
    const setup = createSetup({ random: seededRandom('issue') })
    const { refreshToken, family } = await signIn(setup, {
      clientId: 'app',
      scope: 'a b a',
      audience: ['https://one', 'https://one'],
      metadata: { agent: 'Firefox', at: new Date(START) },
    })
    expect(refreshToken).toMatch(/^brt_/)
    expect(family).toEqual({
      id: family.id,
      generation: 0,
      subject: 'alice',
      clientId: 'app',
      scope: 'a b',
      audience: ['https://one'],
      confirmation: null,
      offline: false,
      metadata: { agent: 'Firefox', at: '2030-01-01T00:00:00.000Z' },
      createdAt: START,
      lastUsedAt: START,
      expiresAt: START + 30 * DAY,
      absoluteExpiresAt: START + 90 * DAY,
    })
    expect(setup.store.calls).toEqual(['create'])
    expect(setup.events).toEqual([
      { type: 'issued', at: START, familyId: family.id, subject: 'alice', clientId: 'app', offline: false },
    ])
    expect([...setup.store.rows.values()][0]).toMatchObject({
      current: { retryKey: null, rotatedAt: START },
      lifetime: { keepUntil: START },
      revocation: null,
    })
  })

  it('rejects and emits no issued event if the store fails', async () => {
    const setup = createSetup()
    setup.store.failNext('create')
    await expect(signIn(setup)).rejects.toMatchObject({ code: 'store_failed' })
    expect(setup.eventTypes()).toEqual(['fault'])
  })

  it('uses the configured token prefix', async () => {
    const setup = createSetup({ tokenPrefix: 'acme_rt_' })
    const { refreshToken } = await signIn(setup)
    expect(refreshToken).toMatch(/^acme_rt_[A-Za-z0-9_-]{112}$/)
    await refresh(setup, refreshToken)
  })
})

describe('revoke', () => {
  it('X-07: revokes a family once by its token or its id, and emits one event', async () => {
    const setup = createSetup()
    const one = await signIn(setup)
    const two = await signIn(setup)
    setup.clearRecords()
    setup.advance(MINUTE)
    const first = expectOk(await setup.tokens.revoke({ refreshToken: one.refreshToken, reason: 'logout' }))
    expect(first).toMatchObject({ ended: true, family: { id: one.family.id } })
    expect(expectOk(await setup.tokens.revoke({ refreshToken: one.refreshToken })).ended).toBe(false)
    expect(expectOk(await setup.tokens.revoke({ familyId: two.family.id })).ended).toBe(true)
    expect(setup.events).toEqual([
      {
        type: 'revoked',
        at: START + MINUTE,
        familyId: one.family.id,
        subject: 'alice',
        clientId: 'first-party',
        reason: 'logout',
      },
      expect.objectContaining({ type: 'revoked', familyId: two.family.id, reason: 'client_request' }),
    ])
    expect(setup.store.rows.get(one.family.id)?.revocation).toMatchObject({ at: START + MINUTE, reason: 'logout' })
  })

  it('V-11: revokes the family by a rotated token without reporting reuse', async () => {
    const setup = createSetup()
    const { refreshToken } = await signIn(setup)
    const last = await refresh(setup, await refresh(setup, refreshToken))
    setup.clearRecords()
    expect(expectOk(await setup.tokens.revoke({ refreshToken })).ended).toBe(true)
    expect(setup.eventTypes()).toEqual(['revoked'])
    expect(await setup.tokens.rotate({ refreshToken: last })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('V-09: revokes on every instance at once, for rotate, inspect, find and list', async () => {
    const setup = createSetup()
    const { refreshToken, family } = await signIn(setup)
    await setup.tokens.revoke({ refreshToken })
    const otherInstance = setup.instance()
    expect(await otherInstance.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(await otherInstance.inspect(refreshToken)).toEqual({ active: false, reason: 'revoked' })
    expect(await otherInstance.find(family.id)).toBeNull()
    expect((await otherInstance.list({ subject: 'alice' })).items).toEqual([])
  })

  it('rejects a revocation for another client, subject or family', async () => {
    const setup = createSetup()
    const { refreshToken } = await signIn(setup, { clientId: 'b' })
    const other = await signIn(setup)
    for (const [request, reason] of [
      [{ clientId: 'x' }, 'mismatch'],
      [{ subject: 'bob' }, 'unknown'],
      [{ familyId: other.family.id }, 'other_family'],
    ] as const)
      expect(await setup.tokens.revoke({ refreshToken, ...request })).toEqual({ ok: false, reason })
    expect(setup.store.calls).not.toContain('revoke')
    expect(expectOk(await setup.tokens.revoke({ refreshToken, clientId: 'b', subject: 'alice' })).ended).toBe(true)
    const { refreshToken: token, family } = other
    expect(expectOk(await setup.tokens.revoke({ refreshToken: token, familyId: family.id })).ended).toBe(true)
  })

  it('I11: revokes a key-bound family only for its key, by any of its tokens', async () => {
    const setup = createSetup()
    const { refreshToken } = await signIn(setup, { confirmation: { jkt: 'one' } })
    const unbound = await signIn(setup)
    const rotated = expectOk(await setup.tokens.rotate({ refreshToken, confirmation: { jkt: 'one' } }))
    for (const token of [refreshToken, rotated.refreshToken])
      for (const confirmation of [null, { jkt: 'two' }, { 'x5t#S256': 'one' }])
        expect(await setup.tokens.revoke({ refreshToken: token, confirmation })).toEqual({
          ok: false,
          reason: 'unconfirmed',
        })
    expect(setup.store.calls).not.toContain('revoke')
    expect(expectOk(await setup.tokens.revoke({ refreshToken, confirmation: { jkt: 'one' } })).ended).toBe(true)
    const of = { refreshToken: unbound.refreshToken, confirmation: { jkt: 'two' } }
    expect(expectOk(await setup.tokens.revoke(of)).ended).toBe(true)
  })

  it.each([
    ['nothing of ours', { refreshToken: 'hello' }, 'malformed'],
    ['no string', { refreshToken: {} as never }, 'malformed'],
    ['an unknown family', { familyId: 'A'.repeat(22) }, 'unknown'],
    ['an unknown family of a client', { familyId: 'A'.repeat(22), clientId: 'b' }, 'unknown'],
  ])('rejects the revocation of %s', async (_name, request, reason) => {
    expect(await createSetup().tokens.revoke(request)).toEqual({ ok: false, reason })
  })

  it.each([
    ['text with NUL', 'a\0'],
    ['10 kB', 'x'.repeat(10_000)],
    ['an object', {}],
    ['nothing', ''],
  ])('does not pass an invalid family id (%s) to the store', async (_name, familyId) => {
    const setup = createSetup()
    expect(await setup.tokens.revoke({ familyId: familyId as string })).toEqual({ ok: false, reason: 'unknown' })
    expect(await setup.tokens.find(familyId as string)).toBeNull()
    expect(setup.store.calls).toEqual([])
  })

  it('rejects the revocation of a token under an unknown key as unknown_key', async () => {
    const setup = createSetup()
    const { refreshToken } = await setup.instance({ secrets: [NEW_SECRET] }).issue({ subject: 'alice' })
    expect(await setup.tokens.revoke({ refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
  })

  it('emits a revoked event with the reason reuse if the app detected the reuse', async () => {
    const setup = createSetup()
    const { family } = await signIn(setup)
    setup.clearRecords()
    await setup.tokens.revoke({ familyId: family.id, reason: 'reuse' })
    expect(setup.events).toMatchObject([{ type: 'revoked', reason: 'reuse' }])
  })

  it('rejects if the store fails to revoke, and a second call succeeds', async () => {
    const setup = createSetup()
    const { refreshToken } = await signIn(setup)
    setup.store.failNext('revoke', { written: true })
    await expect(setup.tokens.revoke({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
    expect(expectOk(await setup.tokens.revoke({ refreshToken })).ended).toBe(false)
  })
})

describe('revokeSubject', () => {
  it('X-07: revokes every family of the subject and of no other subject, page by page', async () => {
    const setup = createSetup()
    for (let login = 0; login < 120; login++) {
      setup.advance(login % 3)
      await signIn(setup, { clientId: `client ${String(login % 7)}`, offline: login % 10 === 0 })
    }
    const bob = await setup.tokens.issue({ subject: 'bob' })
    setup.clearRecords()
    expect(await setup.tokens.revokeSubject('alice')).toBe(120)
    expect(setup.eventTypes()).toEqual(Array.from({ length: 120 }, () => 'revoked'))
    const ended = [...setup.store.rows.values()].filter(({ revocation }) => revocation?.reason === 'subject_request')
    expect(ended).toHaveLength(120)
    expect((await setup.tokens.list({ subject: 'alice' })).items).toEqual([])
    expect(await setup.tokens.revokeSubject('alice')).toBe(0)
    await refresh(setup, bob.refreshToken)
  })

  it('keeps the family in except, and offline families with keepOffline', async () => {
    const setup = createSetup()
    const own = await signIn(setup)
    const offline = await signIn(setup, { offline: true })
    await signIn(setup)
    expect(
      await setup.tokens.revokeSubject('alice', { except: own.family.id, keepOffline: true, reason: 'logout' }),
    ).toBe(1)
    expect(setup.events.at(-1)).toMatchObject({ type: 'revoked', reason: 'logout' })
    await refresh(setup, own.refreshToken)
    await refresh(setup, offline.refreshToken)
    expect(await setup.tokens.revokeSubject('alice', { except: own.family.id })).toBe(1)
    expect(await setup.tokens.rotate({ refreshToken: offline.refreshToken })).toMatchObject({ reason: 'revoked' })
  })

  it('terminates if more families are kept than fit on one page', async () => {
    const setup = createSetup()
    for (let login = 0; login < 120; login++) await signIn(setup, { offline: true })
    setup.clearRecords()
    expect(await setup.tokens.revokeSubject('alice', { keepOffline: true })).toBe(0)
    expect(setup.store.calls).toEqual(['list', 'list', 'list'])
  })

  it('revokes and reports each family once for two concurrent calls', async () => {
    const setup = createSetup()
    for (let login = 0; login < 3; login++) await signIn(setup)
    setup.clearRecords()
    const counts = await Promise.all([setup.tokens.revokeSubject('alice'), setup.tokens.revokeSubject('alice')])
    expect(counts[0] + counts[1]).toBe(3)
    expect(setup.eventTypes()).toEqual(['revoked', 'revoked', 'revoked'])
  })

  it('counts and reports a revocation once if the driver executes it twice', async () => {
    const setup = createSetup()
    await signIn(setup)
    setup.store.executeTwice(['revoke'])
    expect(await setup.tokens.revokeSubject('alice')).toBe(1)
    expect(setup.eventTypes()).toEqual(['issued', 'revoked'])
  })

  it('I15: counts a revocation if a purge deletes the record between two executions of the command', async () => {
    const setup = createSetup()
    await signIn(setup)
    setup.store.executeTwice(['revoke'], () => setup.tokens.purge())
    expect(await setup.tokens.revokeSubject('alice')).toBe(1)
    expect(setup.eventTypes()).toEqual(['issued', 'revoked'])
  })

  it('revokes the remaining families in a second call after a store failure', async () => {
    const setup = createSetup()
    for (let login = 0; login < 3; login++) await signIn(setup)
    setup.store.failNext('revoke')
    await expect(setup.tokens.revokeSubject('alice')).rejects.toMatchObject({ code: 'store_failed' })
    expect(await setup.tokens.revokeSubject('alice')).toBeLessThanOrEqual(3)
    expect((await setup.tokens.list({ subject: 'alice' })).items).toEqual([])
  })
})

describe('list and find', () => {
  it('lists active families, newest first, page by page, without internal token data', async () => {
    const setup = createSetup()
    const ids: string[] = []
    for (let login = 0; login < 5; login++) {
      setup.advance(SECOND)
      ids.unshift((await signIn(setup)).family.id)
    }
    const first = await setup.tokens.list({ subject: 'alice', limit: 3 })
    const second = await setup.tokens.list({ subject: 'alice', limit: 3, cursor: first.cursor! })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids)
    expect(second.cursor).toBeNull()
    for (const hidden of ['verifier', 'nonce', 'keyId', 'retryKey'])
      expect(JSON.stringify(first.items)).not.toContain(hidden)
    expect(await setup.tokens.find(ids[0]!)).toEqual(first.items[0])
  })

  it('throws a ConfigurationError and emits no fault for a cursor that the store does not know', async () => {
    const setup = createSetup()
    const cause = new ConfigurationError('cursor', 'is not one that list returned')
    const tokens = setup.instance({ store: { ...setup.store, list: async () => Promise.reject(cause) } })
    await expect(tokens.list({ subject: 'alice', cursor: 'rubbish' })).rejects.toMatchObject({
      name: 'ConfigurationError',
      option: 'cursor',
      cause,
    })
    expect(setup.events).toEqual([])
    await expect(tokens.list({ subject: 'alice' })).rejects.toMatchObject({ code: 'store_failed', cause })
    expect(setup.eventTypes()).toEqual(['fault'])
  })

  it('omits expired families', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 60 } })
    const { family } = await signIn(setup)
    setup.advance(MINUTE - 1)
    expect(await setup.tokens.find(family.id)).toMatchObject({ id: family.id })
    setup.advance(1)
    expect(await setup.tokens.find(family.id)).toBeNull()
    expect((await setup.tokens.list({ subject: 'alice' })).items).toEqual([])
  })
})

describe('inspect', () => {
  it('returns whether a refresh would succeed, changes nothing and emits nothing', async () => {
    const setup = createSetup()
    const { refreshToken, family } = await signIn(setup, { clientId: 'b', confirmation: { jkt: 'mine' } })
    expect(await setup.tokens.inspect(refreshToken)).toEqual({ active: true, family })
    const next = expectOk(
      await setup.tokens.rotate({ refreshToken, clientId: 'b', confirmation: { jkt: 'mine' } }),
    ).refreshToken
    setup.clearRecords()
    expect(await setup.tokens.inspect(refreshToken)).toMatchObject({ active: true })
    setup.advance(HOUR)
    expect(await setup.tokens.inspect(refreshToken)).toEqual({ active: false, reason: 'reuse' })
    expect(await setup.tokens.inspect(next)).toMatchObject({ active: true, family: { generation: 1 } })
    expect(await setup.tokens.inspect('nonsense')).toEqual({ active: false, reason: 'malformed' })
    expect(await setup.tokens.inspect(undefined as never)).toEqual({ active: false, reason: 'malformed' })
    setup.advance(30 * DAY)
    expect(await setup.tokens.inspect(next)).toEqual({ active: false, reason: 'expired' })
    setup.store.rows.clear()
    expect(await setup.tokens.inspect(next)).toEqual({ active: false, reason: 'unknown' })
    expect(new Set(setup.store.calls)).toEqual(new Set(['find']))
    expect(setup.events).toEqual([])
  })

  it('detects lost rotations as rotate does', async () => {
    const setup = createSetup()
    const second = await refresh(setup, (await signIn(setup)).refreshToken)
    const third = await refresh(setup, second)
    setup.store.rollBack(1)
    expect(await setup.tokens.inspect(third)).toMatchObject({ active: true })
    setup.store.rollBack(1)
    expect(await setup.tokens.inspect(third)).toEqual({ active: false, reason: 'rollback' })
  })
})

describe('purge', () => {
  it('deletes at most the given number of ended records and returns the number deleted', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 60 } })
    for (let login = 0; login < 5; login++) await signIn(setup)
    expect(await setup.tokens.purge()).toBe(0)
    setup.advance(MINUTE)
    const active = await signIn(setup)
    expect(await setup.tokens.purge(3)).toBe(3)
    expect(await setup.tokens.purge(3)).toBe(2)
    expect([...setup.store.rows.keys()]).toEqual([active.family.id])
  })
})

describe('the clock', () => {
  it('uses the injected clock', async () => {
    vi.useFakeTimers({ now: START + DAY, toFake: ['Date'] })
    try {
      const { family } = await createSetup().instance({ now: Date.now }).issue({ subject: 'alice' })
      expect(family.createdAt).toBe(START + DAY)
    } finally {
      vi.useRealTimers()
    }
  })
})
