import { describe, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../src/index.js'
import { DAY, HOUR, MINUTE, NEW_SECRET, SECOND, seededRandom, START, succeeded, type World, world } from './world.js'

async function signIn(here: World, request: object = {}) {
  return here.tokens.issue({ subject: 'alice', ...request })
}

async function refresh(here: World, refreshToken: string) {
  return succeeded(await here.tokens.rotate({ refreshToken })).refreshToken
}

describe('issue', () => {
  it('starts a family with one record and emits an event without a secret', async () => {
    const here = world({ random: seededRandom('issue') })
    const { refreshToken, family } = await signIn(here, {
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
    expect(here.store.calls).toEqual(['create'])
    expect(here.events).toEqual([
      { type: 'issued', at: START, familyId: family.id, subject: 'alice', clientId: 'app', offline: false },
    ])
    expect([...here.store.rows.values()][0]).toMatchObject({
      current: { retryKey: null, rotatedAt: START },
      lifetime: { keepUntil: START },
      revocation: null,
    })
  })

  it('rejects and emits no issued event if the store fails', async () => {
    const here = world()
    here.store.failNext('create')
    await expect(signIn(here)).rejects.toMatchObject({ code: 'store_failed' })
    expect(here.typesSeen()).toEqual(['fault'])
  })

  it('uses the configured token prefix', async () => {
    const here = world({ tokenPrefix: 'acme_rt_' })
    const { refreshToken } = await signIn(here)
    expect(refreshToken).toMatch(/^acme_rt_[A-Za-z0-9_-]{112}$/)
    await refresh(here, refreshToken)
  })
})

describe('revoke', () => {
  it('X-07: revokes a family once by its token or its id, and emits one event', async () => {
    const here = world()
    const one = await signIn(here)
    const two = await signIn(here)
    here.quiet()
    here.advance(MINUTE)
    const first = succeeded(await here.tokens.revoke({ refreshToken: one.refreshToken, reason: 'logout' }))
    expect(first).toMatchObject({ ended: true, family: { id: one.family.id } })
    expect(succeeded(await here.tokens.revoke({ refreshToken: one.refreshToken })).ended).toBe(false)
    expect(succeeded(await here.tokens.revoke({ familyId: two.family.id })).ended).toBe(true)
    expect(here.events).toEqual([
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
    expect(here.store.rows.get(one.family.id)?.revocation).toMatchObject({ at: START + MINUTE, reason: 'logout' })
  })

  it('V-11: revokes the family by a rotated token without reporting reuse', async () => {
    const here = world()
    const { refreshToken } = await signIn(here)
    const last = await refresh(here, await refresh(here, refreshToken))
    here.quiet()
    expect(succeeded(await here.tokens.revoke({ refreshToken })).ended).toBe(true)
    expect(here.typesSeen()).toEqual(['revoked'])
    expect(await here.tokens.rotate({ refreshToken: last })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('V-09: revokes on every instance at once, for rotate, inspect, find and list', async () => {
    const here = world()
    const { refreshToken, family } = await signIn(here)
    await here.tokens.revoke({ refreshToken })
    const elsewhere = here.instance()
    expect(await elsewhere.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(await elsewhere.inspect(refreshToken)).toEqual({ active: false, reason: 'revoked' })
    expect(await elsewhere.find(family.id)).toBeNull()
    expect((await elsewhere.list({ subject: 'alice' })).items).toEqual([])
  })

  it('rejects a revocation for another client, subject or family', async () => {
    const here = world()
    const { refreshToken } = await signIn(here, { clientId: 'b' })
    const other = await signIn(here)
    for (const [request, reason] of [
      [{ clientId: 'x' }, 'mismatch'],
      [{ subject: 'bob' }, 'unknown'],
      [{ familyId: other.family.id }, 'other_family'],
    ] as const)
      expect(await here.tokens.revoke({ refreshToken, ...request })).toEqual({ ok: false, reason })
    expect(here.store.calls).not.toContain('revoke')
    expect(succeeded(await here.tokens.revoke({ refreshToken, clientId: 'b', subject: 'alice' })).ended).toBe(true)
    const { refreshToken: token, family } = other
    expect(succeeded(await here.tokens.revoke({ refreshToken: token, familyId: family.id })).ended).toBe(true)
  })

  it('I11: revokes a key-bound family only for its key, by any of its tokens', async () => {
    const here = world()
    const { refreshToken } = await signIn(here, { confirmation: { jkt: 'one' } })
    const unbound = await signIn(here)
    const rotated = succeeded(await here.tokens.rotate({ refreshToken, confirmation: { jkt: 'one' } }))
    for (const token of [refreshToken, rotated.refreshToken])
      for (const confirmation of [null, { jkt: 'two' }, { 'x5t#S256': 'one' }])
        expect(await here.tokens.revoke({ refreshToken: token, confirmation })).toEqual({
          ok: false,
          reason: 'unconfirmed',
        })
    expect(here.store.calls).not.toContain('revoke')
    expect(succeeded(await here.tokens.revoke({ refreshToken, confirmation: { jkt: 'one' } })).ended).toBe(true)
    const of = { refreshToken: unbound.refreshToken, confirmation: { jkt: 'two' } }
    expect(succeeded(await here.tokens.revoke(of)).ended).toBe(true)
  })

  it.each([
    ['nothing of ours', { refreshToken: 'hello' }, 'malformed'],
    ['no string', { refreshToken: {} as never }, 'malformed'],
    ['an unknown family', { familyId: 'A'.repeat(22) }, 'unknown'],
    ['an unknown family of a client', { familyId: 'A'.repeat(22), clientId: 'b' }, 'unknown'],
  ])('rejects the revocation of %s', async (_name, request, reason) => {
    expect(await world().tokens.revoke(request)).toEqual({ ok: false, reason })
  })

  it.each([
    ['text with NUL', 'a\0'],
    ['10 kB', 'x'.repeat(10_000)],
    ['an object', {}],
    ['nothing', ''],
  ])('does not pass an invalid family id (%s) to the store', async (_name, familyId) => {
    const here = world()
    expect(await here.tokens.revoke({ familyId: familyId as string })).toEqual({ ok: false, reason: 'unknown' })
    expect(await here.tokens.find(familyId as string)).toBeNull()
    expect(here.store.calls).toEqual([])
  })

  it('rejects the revocation of a token under an unknown key as unknown_key', async () => {
    const here = world()
    const { refreshToken } = await here.instance({ secrets: [NEW_SECRET] }).issue({ subject: 'alice' })
    expect(await here.tokens.revoke({ refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
  })

  it('emits a revoked event with the reason reuse if the app detected the reuse', async () => {
    const here = world()
    const { family } = await signIn(here)
    here.quiet()
    await here.tokens.revoke({ familyId: family.id, reason: 'reuse' })
    expect(here.events).toMatchObject([{ type: 'revoked', reason: 'reuse' }])
  })

  it('rejects if the store fails to revoke, and a second call succeeds', async () => {
    const here = world()
    const { refreshToken } = await signIn(here)
    here.store.failNext('revoke', { written: true })
    await expect(here.tokens.revoke({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
    expect(succeeded(await here.tokens.revoke({ refreshToken })).ended).toBe(false)
  })
})

describe('revokeSubject', () => {
  it('X-07: revokes every family of the subject and of no other subject, page by page', async () => {
    const here = world()
    for (let login = 0; login < 120; login++) {
      here.advance(login % 3)
      await signIn(here, { clientId: `client ${String(login % 7)}`, offline: login % 10 === 0 })
    }
    const bob = await here.tokens.issue({ subject: 'bob' })
    here.quiet()
    expect(await here.tokens.revokeSubject('alice')).toBe(120)
    expect(here.typesSeen()).toEqual(Array.from({ length: 120 }, () => 'revoked'))
    const ended = [...here.store.rows.values()].filter(({ revocation }) => revocation?.reason === 'subject_request')
    expect(ended).toHaveLength(120)
    expect((await here.tokens.list({ subject: 'alice' })).items).toEqual([])
    expect(await here.tokens.revokeSubject('alice')).toBe(0)
    await refresh(here, bob.refreshToken)
  })

  it('keeps the family in except, and offline families with keepOffline', async () => {
    const here = world()
    const own = await signIn(here)
    const offline = await signIn(here, { offline: true })
    await signIn(here)
    expect(
      await here.tokens.revokeSubject('alice', { except: own.family.id, keepOffline: true, reason: 'logout' }),
    ).toBe(1)
    expect(here.events.at(-1)).toMatchObject({ type: 'revoked', reason: 'logout' })
    await refresh(here, own.refreshToken)
    await refresh(here, offline.refreshToken)
    expect(await here.tokens.revokeSubject('alice', { except: own.family.id })).toBe(1)
    expect(await here.tokens.rotate({ refreshToken: offline.refreshToken })).toMatchObject({ reason: 'revoked' })
  })

  it('terminates if more families are kept than fit on one page', async () => {
    const here = world()
    for (let login = 0; login < 120; login++) await signIn(here, { offline: true })
    here.quiet()
    expect(await here.tokens.revokeSubject('alice', { keepOffline: true })).toBe(0)
    expect(here.store.calls).toEqual(['list', 'list', 'list'])
  })

  it('revokes and reports each family once for two concurrent calls', async () => {
    const here = world()
    for (let login = 0; login < 3; login++) await signIn(here)
    here.quiet()
    const counts = await Promise.all([here.tokens.revokeSubject('alice'), here.tokens.revokeSubject('alice')])
    expect(counts[0] + counts[1]).toBe(3)
    expect(here.typesSeen()).toEqual(['revoked', 'revoked', 'revoked'])
  })

  it('counts and reports a revocation once if the driver executes it twice', async () => {
    const here = world()
    await signIn(here)
    here.store.executeTwice(['revoke'])
    expect(await here.tokens.revokeSubject('alice')).toBe(1)
    expect(here.typesSeen()).toEqual(['issued', 'revoked'])
  })

  it('I15: counts a revocation if a purge deletes the record between two executions of the command', async () => {
    const here = world()
    await signIn(here)
    here.store.executeTwice(['revoke'], () => here.tokens.purge())
    expect(await here.tokens.revokeSubject('alice')).toBe(1)
    expect(here.typesSeen()).toEqual(['issued', 'revoked'])
  })

  it('revokes the remaining families in a second call after a store failure', async () => {
    const here = world()
    for (let login = 0; login < 3; login++) await signIn(here)
    here.store.failNext('revoke')
    await expect(here.tokens.revokeSubject('alice')).rejects.toMatchObject({ code: 'store_failed' })
    expect(await here.tokens.revokeSubject('alice')).toBeLessThanOrEqual(3)
    expect((await here.tokens.list({ subject: 'alice' })).items).toEqual([])
  })
})

describe('list and find', () => {
  it('lists active families, newest first, page by page, without internal token data', async () => {
    const here = world()
    const ids: string[] = []
    for (let login = 0; login < 5; login++) {
      here.advance(SECOND)
      ids.unshift((await signIn(here)).family.id)
    }
    const first = await here.tokens.list({ subject: 'alice', limit: 3 })
    const second = await here.tokens.list({ subject: 'alice', limit: 3, cursor: first.cursor! })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(ids)
    expect(second.cursor).toBeNull()
    for (const hidden of ['verifier', 'nonce', 'keyId', 'retryKey'])
      expect(JSON.stringify(first.items)).not.toContain(hidden)
    expect(await here.tokens.find(ids[0]!)).toEqual(first.items[0])
  })

  it('throws a ConfigurationError and emits no fault for a cursor that the store does not know', async () => {
    const here = world()
    const cause = new ConfigurationError('cursor', 'is not one that list returned')
    const tokens = here.instance({ store: { ...here.store, list: async () => Promise.reject(cause) } })
    await expect(tokens.list({ subject: 'alice', cursor: 'rubbish' })).rejects.toMatchObject({
      name: 'ConfigurationError',
      option: 'cursor',
      cause,
    })
    expect(here.events).toEqual([])
    await expect(tokens.list({ subject: 'alice' })).rejects.toMatchObject({ code: 'store_failed', cause })
    expect(here.typesSeen()).toEqual(['fault'])
  })

  it('omits expired families', async () => {
    const here = world({ policy: { absoluteSeconds: 60 } })
    const { family } = await signIn(here)
    here.advance(MINUTE - 1)
    expect(await here.tokens.find(family.id)).toMatchObject({ id: family.id })
    here.advance(1)
    expect(await here.tokens.find(family.id)).toBeNull()
    expect((await here.tokens.list({ subject: 'alice' })).items).toEqual([])
  })
})

describe('inspect', () => {
  it('returns whether a refresh would succeed, changes nothing and emits nothing', async () => {
    const here = world()
    const { refreshToken, family } = await signIn(here, { clientId: 'b', confirmation: { jkt: 'mine' } })
    expect(await here.tokens.inspect(refreshToken)).toEqual({ active: true, family })
    const next = succeeded(
      await here.tokens.rotate({ refreshToken, clientId: 'b', confirmation: { jkt: 'mine' } }),
    ).refreshToken
    here.quiet()
    expect(await here.tokens.inspect(refreshToken)).toMatchObject({ active: true })
    here.advance(HOUR)
    expect(await here.tokens.inspect(refreshToken)).toEqual({ active: false, reason: 'reuse' })
    expect(await here.tokens.inspect(next)).toMatchObject({ active: true, family: { generation: 1 } })
    expect(await here.tokens.inspect('nonsense')).toEqual({ active: false, reason: 'malformed' })
    expect(await here.tokens.inspect(undefined as never)).toEqual({ active: false, reason: 'malformed' })
    here.advance(30 * DAY)
    expect(await here.tokens.inspect(next)).toEqual({ active: false, reason: 'expired' })
    here.store.rows.clear()
    expect(await here.tokens.inspect(next)).toEqual({ active: false, reason: 'unknown' })
    expect(new Set(here.store.calls)).toEqual(new Set(['find']))
    expect(here.events).toEqual([])
  })

  it('detects lost rotations as rotate does', async () => {
    const here = world()
    const second = await refresh(here, (await signIn(here)).refreshToken)
    const third = await refresh(here, second)
    here.store.rollBack(1)
    expect(await here.tokens.inspect(third)).toMatchObject({ active: true })
    here.store.rollBack(1)
    expect(await here.tokens.inspect(third)).toEqual({ active: false, reason: 'rollback' })
  })
})

describe('purge', () => {
  it('deletes at most the given number of ended records and returns the number deleted', async () => {
    const here = world({ policy: { absoluteSeconds: 60 } })
    for (let login = 0; login < 5; login++) await signIn(here)
    expect(await here.tokens.purge()).toBe(0)
    here.advance(MINUTE)
    const living = await signIn(here)
    expect(await here.tokens.purge(3)).toBe(3)
    expect(await here.tokens.purge(3)).toBe(2)
    expect([...here.store.rows.keys()]).toEqual([living.family.id])
  })
})

describe('the clock', () => {
  it('uses the injected clock', async () => {
    vi.useFakeTimers({ now: START + DAY, toFake: ['Date'] })
    try {
      const { family } = await world().instance({ now: Date.now }).issue({ subject: 'alice' })
      expect(family.createdAt).toBe(START + DAY)
    } finally {
      vi.useRealTimers()
    }
  })
})
