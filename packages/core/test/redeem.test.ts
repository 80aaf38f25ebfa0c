import { describe, expect, it } from 'vitest'
import type { IssueRequest, RedeemRequest, Reservation } from '../src/index.js'
import {
  DAY,
  HOUR,
  KEY,
  MINUTE,
  NEW_SECRET,
  OLD_SECRET,
  OTHER_KEY,
  SECOND,
  START,
  succeeded,
  type World,
  world,
} from './world.js'

function reserve(here: World, request: Partial<IssueRequest> = {}): Reservation {
  return here.tokens.reserve({ subject: 'alice', clientId: 'app', scope: 'a b', expiresInSeconds: 60, ...request })
}

const redeem = (here: World, reservation: Reservation, request: Partial<RedeemRequest> = {}) =>
  here.tokens.redeem({ reservation, matches: true, ...request })

const refresh = (here: World, refreshToken: string) => here.tokens.rotate({ refreshToken, clientId: 'app' })

describe('reservations', () => {
  it('stores nothing at reserve, survives JSON, and starts the granted family at redeem', async () => {
    const here = world()
    const reservation = reserve(here, { audience: ['https://api'], offline: true, metadata: { agent: 'Firefox' } })
    expect(here.store.calls).toEqual([])
    here.advance(30 * SECOND)
    const { refreshToken, outcome, family, ...grant } = succeeded(
      await redeem(here, JSON.parse(JSON.stringify(reservation)) as Reservation),
    )
    expect(here.store.calls).toEqual(['create'])
    expect(outcome).toBe('issued')
    expect(grant).toMatchObject({ scope: 'a b', audience: ['https://api'], claims: {} })
    expect(family).toMatchObject({
      subject: 'alice',
      clientId: 'app',
      offline: true,
      metadata: { agent: 'Firefox' },
      createdAt: START,
      lastUsedAt: START + 30 * SECOND,
      absoluteExpiresAt: START + 365 * DAY,
      expiresAt: START + 30 * SECOND + 90 * DAY,
    })
    expect(here.typesSeen()).toEqual(['issued'])
    expect(succeeded(await refresh(here, refreshToken)).family.generation).toBe(1)
  })

  it('G-01, G-02: revokes the family permanently if a reservation is redeemed twice', async () => {
    const here = world()
    const reservation = reserve(here)
    const first = succeeded(await redeem(here, reservation))
    const successor = succeeded(await refresh(here, first.refreshToken)).refreshToken
    here.quiet()
    expect(await redeem(here, reservation)).toEqual({ ok: false, reason: 'reuse' })
    expect(here.events).toEqual([
      {
        type: 'reuse',
        at: START,
        familyId: first.family.id,
        subject: 'alice',
        clientId: 'app',
        generation: 1,
        presentedGeneration: null,
      },
    ])
    expect(here.store.rows.get(first.family.id)?.revocation).toMatchObject({ at: START, reason: 'reuse' })
    expect(await refresh(here, successor)).toMatchObject({ reason: 'revoked' })
    here.quiet()
    expect(await redeem(here, reservation)).toEqual({ ok: false, reason: 'revoked' })
    const familyId = first.family.id
    expect(here.events).toEqual([{ type: 'rejected', at: START, reason: 'revoked', familyId, clientId: 'app' }])
    expect(here.store.calls).toEqual(['create'])
  })

  it('G-03, G-04, F-14: rejects a redemption that does not match, and neither consumes the reservation nor revokes the family', async () => {
    const here = world()
    const reservation = reserve(here)
    const wrong = { ok: false, reason: 'mismatch' }
    expect(await redeem(here, reservation, { matches: false })).toEqual(wrong)
    expect(here.store.calls).toEqual([])
    const { refreshToken } = succeeded(await redeem(here, reservation))
    expect(await redeem(here, reservation, { matches: false })).toEqual(wrong)
    succeeded(await refresh(here, refreshToken))
  })

  it('G-06: rejects a reservation at the instant of its expiry', async () => {
    const here = world()
    const [early, late] = [reserve(here), reserve(here)]
    here.advance(MINUTE - 1)
    succeeded(await redeem(here, early))
    here.advance(1)
    expect(await redeem(here, late)).toEqual({ ok: false, reason: 'expired' })
  })

  it('G-07: starts one family for 50 concurrent redemptions and revokes it', async () => {
    const here = world()
    const reservation = reserve(here)
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => redeem(here, reservation)))
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(here.typesSeen().filter((type) => type === 'issued' || type === 'reuse')).toEqual(['issued', 'reuse'])
    expect((await here.tokens.list({ subject: 'alice' })).items).toEqual([])
  })

  it('I15: does not report reuse if the driver executes the write twice', async () => {
    const here = world()
    here.store.executeTwice(['create'])
    const { refreshToken } = succeeded(await redeem(here, reserve(here)))
    expect(here.typesSeen()).toEqual(['issued'])
    succeeded(await refresh(here, refreshToken))
  })

  it('I15: does not report reuse if the same attempt redeems and rotates between two executions of the write', async () => {
    const here = world()
    const reservation = reserve(here)
    here.store.executeTwice(['create'], async () => {
      here.store.executeTwice([])
      const again = succeeded(await redeem(here, reservation, { idempotencyKey: KEY }))
      expect(again.outcome).toBe('retried')
      succeeded(await refresh(here, again.refreshToken))
      here.store.executeTwice(['create'])
    })
    expect(succeeded(await redeem(here, reservation, { idempotencyKey: KEY })).outcome).toBe('issued')
    expect(here.typesSeen()).not.toContain('reuse')
  })

  it('I17: starts at most one family although the family is revoked and purged meanwhile', async () => {
    const here = world({ policy: { absoluteSeconds: 10, idleSeconds: 10 } })
    const reservation = reserve(here)
    const { family } = succeeded(await redeem(here, reservation))
    await here.tokens.revoke({ familyId: family.id })
    for (const pause of [1, 9, 49]) {
      here.advance(pause * SECOND)
      await here.tokens.purge()
      // An instance whose clock is one minute behind.
      const behind = here.instance({ now: () => here.clock.now - MINUTE })
      expect(await behind.redeem({ reservation, matches: true })).toMatchObject({ ok: false })
    }
    here.advance(MINUTE + SECOND)
    expect(await here.tokens.purge()).toBe(1)
    expect(await redeem(here, reservation)).toEqual({ ok: false, reason: 'expired' })
  })

  it('counts the absolute lifetime from reserve, and rejects a reservation once such a family has expired', async () => {
    const here = world({ policy: { absoluteSeconds: 30, idleSeconds: 30 } })
    const [early, late] = [reserve(here), reserve(here)]
    here.advance(29 * SECOND)
    expect(succeeded(await redeem(here, early)).family.expiresAt).toBe(START + 30 * SECOND)
    here.advance(SECOND)
    expect(await redeem(here, late)).toEqual({ ok: false, reason: 'expired' })
  })

  it('rejects a reservation made before validAfter of the client, or in the same second', async () => {
    const here = world()
    here.advance(500)
    const reservation = reserve(here)
    const refused = { ok: false, reason: 'superseded' }
    expect(await redeem(here, reservation, { validAfter: START + 501 })).toEqual(refused)
    expect(await redeem(here, reservation, { validAfter: START + 400 })).toEqual(refused)
    expect(here.store.calls).toEqual([])
    succeeded(await redeem(here, reservation, { validAfter: START }))
  })

  it('binds the family to the proven key', async () => {
    const here = world()
    const { refreshToken, family } = succeeded(await redeem(here, reserve(here), { confirmation: { jkt: 'abc' } }))
    expect(family.confirmation).toEqual({ jkt: 'abc' })
    expect(await refresh(here, refreshToken)).toMatchObject({ reason: 'mismatch' })
    succeeded(await here.tokens.rotate({ refreshToken, clientId: 'app', confirmation: { jkt: 'abc' } }))
  })

  it('R-10: narrows the audience to resources of the reservation for one response, and rejects others', async () => {
    const here = world()
    const reservation = reserve(here, { audience: ['https://one', 'https://two'] })
    expect(await redeem(here, reservation, { audience: ['https://three'] })).toEqual({
      ok: false,
      reason: 'invalid_target',
    })
    const { audience, family } = succeeded(await redeem(here, reservation, { audience: ['https://two'] }))
    expect(audience).toEqual(['https://two'])
    expect(family.audience).toEqual(['https://one', 'https://two'])
  })

  it('limits the lifetime of the family to maxLifetimeSeconds', async () => {
    const here = world()
    const { family } = succeeded(await redeem(here, reserve(here), { maxLifetimeSeconds: 900 }))
    expect(family).toMatchObject({ expiresAt: START + 900 * SECOND, absoluteExpiresAt: START + 900 * SECOND })
    const longer = succeeded(await redeem(here, reserve(here), { maxLifetimeSeconds: 365 * 86_400 }))
    expect(longer.family.absoluteExpiresAt).toBe(START + 90 * DAY)
  })
})

describe('retries of a redemption', () => {
  it('returns the identical token to the same attempt until the token is used', async () => {
    const here = world()
    const reservation = reserve(here)
    const first = succeeded(await redeem(here, reservation, { idempotencyKey: KEY }))
    here.advance(30 * SECOND)
    const again = succeeded(await here.instance().redeem({ reservation, matches: true, idempotencyKey: KEY }))
    expect(again).toMatchObject({ outcome: 'retried', refreshToken: first.refreshToken, family: first.family })
    expect(here.events.at(-1)).toMatchObject({ type: 'retried', generation: 0, by: 'idempotency_key' })
    succeeded(await refresh(here, again.refreshToken))
    expect(await redeem(here, reservation, { idempotencyKey: KEY })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('starts one family for fifty concurrent redemptions of the same attempt', async () => {
    const here = world()
    const reservation = reserve(here)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => redeem(here, reservation, { idempotencyKey: KEY })),
    )
    expect(new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken)).size).toBe(1)
    expect(here.typesSeen().filter((type) => type === 'issued')).toHaveLength(1)
  })

  it.each<[string, Partial<RedeemRequest>, Partial<RedeemRequest>]>([
    ['has another key', { idempotencyKey: KEY }, { idempotencyKey: OTHER_KEY }],
    ['has no key', { idempotencyKey: KEY }, {}],
    ['has a key and the first had none', {}, { idempotencyKey: KEY }],
    ['has a key that is too short', { idempotencyKey: 'short' }, { idempotencyKey: 'short' }],
    [
      'has a proof of another key',
      { idempotencyKey: KEY, confirmation: { jkt: 'a' } },
      { idempotencyKey: KEY, confirmation: { jkt: 'b' } },
    ],
    ['has no proof', { idempotencyKey: KEY, confirmation: { jkt: 'a' } }, { idempotencyKey: KEY }],
  ])('reports reuse if the second redemption %s', async (_name, first, second) => {
    const here = world()
    const reservation = reserve(here)
    succeeded(await redeem(here, reservation, first))
    expect(await redeem(here, reservation, second)).toEqual({ ok: false, reason: 'reuse' })
  })

  it('rejects a retry after the family has expired', async () => {
    const here = world()
    const reservation = reserve(here)
    succeeded(await redeem(here, reservation, { idempotencyKey: KEY, maxLifetimeSeconds: 10 }))
    here.advance(10 * SECOND)
    expect(await redeem(here, reservation, { idempotencyKey: KEY })).toEqual({ ok: false, reason: 'expired' })
  })

  it('returns the token to a retry after a store failure that followed the write', async () => {
    const here = world()
    const reservation = reserve(here)
    here.store.failNext('create', { written: true })
    await expect(redeem(here, reservation, { idempotencyKey: KEY })).rejects.toMatchObject({ code: 'store_failed' })
    succeeded(await redeem(here, reservation, { idempotencyKey: KEY }))
  })

  it('throws an OperationalError for a retry if this instance lacks the secret of the first redemption', async () => {
    const here = world()
    const reservation = here.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).reserve({
      subject: 'alice',
      expiresInSeconds: 60,
    })
    const request = { reservation, matches: true, idempotencyKey: KEY }
    succeeded(await here.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).redeem(request))
    const lacking = await here.tokens.redeem(request).catch((error: unknown) => error)
    expect(lacking).toMatchObject({
      code: 'record_key_missing',
      message: expect.stringMatching(
        /^the family was rotated with the key \S{4}, which is not in secrets; configure the same list on every instance$/,
      ),
    })
    expect(here.events.at(-1)).toMatchObject({ type: 'fault', code: 'record_key_missing', operation: 'redeem' })
    succeeded(await here.instance({ secrets: [OLD_SECRET, NEW_SECRET] }).redeem(request))
  })

  it('calls beforeCommit again for a retry, with the stored family', async () => {
    const seen: number[] = []
    const here = world()
    const reservation = reserve(here)
    const beforeCommit = async ({ family }: { family: { expiresAt: number } }) => seen.push(family.expiresAt)
    const request = { reservation, matches: true, idempotencyKey: KEY, beforeCommit }
    succeeded(await here.tokens.redeem(request))
    here.advance(30 * SECOND)
    succeeded(await here.tokens.redeem(request))
    expect(seen).toEqual([START + 30 * DAY, START + 30 * DAY + 30 * SECOND, START + 30 * DAY])
  })
})

describe('hooks of redeem', () => {
  it('does not consume the reservation if a hook, beforeCommit, checkRateLimit or the store fails', async () => {
    let broken = ''
    const fail = (name: string) => {
      if (broken === name) throw new Error(`${name} is down`)
    }
    const here = world({ beforeRotate: async () => (fail('beforeRotate'), undefined) })
    const reservation = reserve(here)
    const request: Partial<RedeemRequest> = {
      checkRateLimit: async () => (fail('checkRateLimit'), true),
      beforeCommit: async () => (fail('beforeCommit'), undefined),
    }
    for (broken of ['beforeRotate', 'beforeCommit', 'checkRateLimit']) {
      await expect(redeem(here, reservation, request)).rejects.toMatchObject({
        code: 'hook_failed',
        message: `${broken} threw`,
      })
      expect(here.events.at(-1)).toMatchObject({ type: 'fault', code: 'hook_failed', operation: broken })
    }
    expect(here.store.calls).toEqual([])
    broken = ''
    here.store.failNext('create')
    await expect(redeem(here, reservation, request)).rejects.toMatchObject({ code: 'store_failed' })
    succeeded(await redeem(here, reservation, request))
  })

  it('gives beforeRotate the family, and applies its rejection, validAfter and claims', async () => {
    const verdicts: object[] = [
      { active: false },
      { active: true, validAfter: START + 1 },
      { active: true, claims: { role: 'x' } },
    ]
    const families: unknown[] = []
    const here = world({
      beforeRotate: async ({ family }) => {
        families.push(family.subject)
        return verdicts.shift() as never
      },
    })
    const reservation = reserve(here)
    const inactive = { ok: false, reason: 'inactive' }
    expect(await redeem(here, reservation)).toEqual(inactive)
    expect(await redeem(here, reservation)).toEqual({ ok: false, reason: 'superseded' })
    expect(here.store.calls).toEqual([])
    expect(succeeded(await redeem(here, reservation)).claims).toEqual({ role: 'x' })
    expect(families).toEqual(['alice', 'alice', 'alice'])
  })

  it('rejects a reservation that expires while beforeCommit runs', async () => {
    const here = world()
    const reservation = reserve(here)
    const slow = async () => void here.advance(HOUR)
    expect(await redeem(here, reservation, { beforeCommit: slow })).toEqual({ ok: false, reason: 'expired' })
    expect(here.store.calls).toEqual([])
  })

  it('rejects a redemption that checkRateLimit rejects', async () => {
    const here = world()
    const reservation = reserve(here)
    const declined = { ok: false, reason: 'rate_limited' }
    expect(await redeem(here, reservation, { checkRateLimit: async () => false })).toEqual(declined)
    expect(here.events).toEqual([
      {
        type: 'rejected',
        at: START,
        reason: 'rate_limited',
        familyId: expect.stringMatching(/^[\w-]{22}$/),
        clientId: 'app',
      },
    ])
    succeeded(await redeem(here, reservation, { checkRateLimit: async () => true }))
  })
})

describe('confidentiality', () => {
  it('K-01: stores and emits no part of the reservation', async () => {
    const here = world()
    const reservation = reserve(here)
    const { refreshToken } = succeeded(await redeem(here, reservation, { idempotencyKey: KEY }))
    await redeem(here, reservation)
    const seen = JSON.stringify([[...here.store.rows.values()], here.events])
    for (const secret of [reservation.handle, reservation.secret, KEY, refreshToken]) expect(seen).not.toContain(secret)
  })
})
