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
  it('starts a family of one record, and reports it without a secret', async () => {
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

  it('fails whole when the store does, and then says nothing of a family', async () => {
    const here = world()
    here.store.failNext('create')
    await expect(signIn(here)).rejects.toMatchObject({ code: 'store_failed' })
    expect(here.typesSeen()).toEqual(['fault'])
  })

  it('bears the prefix that the app chose', async () => {
    const here = world({ tokenPrefix: 'acme_rt_' })
    const { refreshToken } = await signIn(here)
    expect(refreshToken).toMatch(/^acme_rt_[A-Za-z0-9_-]{112}$/)
    await refresh(here, refreshToken)
  })
})

describe('revoke', () => {
  it('X-07: ends a family by its token or by its id, once, and reports it once', async () => {
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

  it('V-11: a token that has been rotated away ends its family without being taken for theft', async () => {
    const here = world()
    const { refreshToken } = await signIn(here)
    const last = await refresh(here, await refresh(here, refreshToken))
    here.quiet()
    expect(succeeded(await here.tokens.revoke({ refreshToken })).ended).toBe(true)
    expect(here.typesSeen()).toEqual(['revoked'])
    expect(await here.tokens.rotate({ refreshToken: last })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('V-09: holds at once on every instance, for rotate, inspect, find and list', async () => {
    const here = world()
    const { refreshToken, family } = await signIn(here)
    await here.tokens.revoke({ refreshToken })
    const elsewhere = here.instance()
    expect(await elsewhere.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(await elsewhere.inspect(refreshToken)).toEqual({ active: false, reason: 'revoked' })
    expect(await elsewhere.find(family.id)).toBeNull()
    expect((await elsewhere.list({ subject: 'alice' })).items).toEqual([])
  })

  it('changes nothing for another client, another subject or another family', async () => {
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
  ])('%s is not ended', async (_name, request, reason) => {
    expect(await world().tokens.revoke(request)).toEqual({ ok: false, reason })
  })

  it.each([
    ['text with NUL', 'a\0'],
    ['10 kB', 'x'.repeat(10_000)],
    ['an object', {}],
    ['nothing', ''],
  ])('what cannot be an id (%s) never reaches the store', async (_name, familyId) => {
    const here = world()
    expect(await here.tokens.revoke({ familyId: familyId as string })).toEqual({ ok: false, reason: 'unknown' })
    expect(await here.tokens.find(familyId as string)).toBeNull()
    expect(here.store.calls).toEqual([])
  })

  it('of a token under an unknown key is told apart', async () => {
    const here = world()
    const { refreshToken } = await here.instance({ secrets: [NEW_SECRET] }).issue({ subject: 'alice' })
    expect(await here.tokens.revoke({ refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
  })

  it('reports a reuse that the app itself found', async () => {
    const here = world()
    const { family } = await signIn(here)
    here.quiet()
    await here.tokens.revoke({ familyId: family.id, reason: 'reuse' })
    expect(here.events).toMatchObject([{ type: 'revoked', reason: 'reuse' }])
  })

  it('that the store could not do is a fault, and works again later', async () => {
    const here = world()
    const { refreshToken } = await signIn(here)
    here.store.failNext('revoke', { written: true })
    await expect(here.tokens.revoke({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
    expect(succeeded(await here.tokens.revoke({ refreshToken })).ended).toBe(false)
  })
})

describe('revokeSubject', () => {
  it('X-07: ends every family of the subject and of nobody else, page by page', async () => {
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

  it('leaves the one to be kept, and offline ones where told to', async () => {
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

  it('comes to an end where there is more to be kept than one page holds', async () => {
    const here = world()
    for (let login = 0; login < 120; login++) await signIn(here, { offline: true })
    here.quiet()
    expect(await here.tokens.revokeSubject('alice', { keepOffline: true })).toBe(0)
    expect(here.store.calls).toEqual(['list', 'list', 'list'])
  })

  it('ends and reports each family once, of two that are made at the same moment', async () => {
    const here = world()
    for (let login = 0; login < 3; login++) await signIn(here)
    here.quiet()
    const counts = await Promise.all([here.tokens.revokeSubject('alice'), here.tokens.revokeSubject('alice')])
    expect(counts[0] + counts[1]).toBe(3)
    expect(here.typesSeen()).toEqual(['revoked', 'revoked', 'revoked'])
  })

  it('counts and reports once what a driver does twice', async () => {
    const here = world()
    await signIn(here)
    here.store.executeTwice(['revoke'])
    expect(await here.tokens.revokeSubject('alice')).toBe(1)
    expect(here.typesSeen()).toEqual(['issued', 'revoked'])
  })

  it('I15: misses none where a purge comes between the two', async () => {
    const here = world()
    await signIn(here)
    here.store.executeTwice(['revoke'], () => here.tokens.purge())
    expect(await here.tokens.revokeSubject('alice')).toBe(1)
    expect(here.typesSeen()).toEqual(['issued', 'revoked'])
  })

  it('that broke off goes on where it was', async () => {
    const here = world()
    for (let login = 0; login < 3; login++) await signIn(here)
    here.store.failNext('revoke')
    await expect(here.tokens.revokeSubject('alice')).rejects.toMatchObject({ code: 'store_failed' })
    expect(await here.tokens.revokeSubject('alice')).toBeLessThanOrEqual(3)
    expect((await here.tokens.list({ subject: 'alice' })).items).toEqual([])
  })
})

describe('list and find', () => {
  it('show living families, newest first, page by page, without what belongs to the tokens', async () => {
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

  it('refuse a cursor that the store does not know as misuse, and report no fault', async () => {
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

  it('leave out what has expired', async () => {
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
  it('tells whether a refresh would succeed, changes nothing and reports nothing', async () => {
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

  it('sees a store that lost rotations as rotate would', async () => {
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
  it('deletes what is dead, in the size that it is told, and says how much', async () => {
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
  it('is the machine’s unless one is given', async () => {
    vi.useFakeTimers({ now: START + DAY, toFake: ['Date'] })
    try {
      const { family } = await world().instance({ now: Date.now }).issue({ subject: 'alice' })
      expect(family.createdAt).toBe(START + DAY)
    } finally {
      vi.useRealTimers()
    }
  })
})
