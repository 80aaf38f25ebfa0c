import { describe, expect, it } from 'vitest'
import type { IssueRequest, RedeemRequest, Reservation } from '../../src/index.js'
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
  expectOk,
  type TestSetup,
  createSetup,
} from '../setup.js'

function reserve(setup: TestSetup, request: Partial<IssueRequest> = {}): Reservation {
  return setup.tokens.reserve({ subject: 'alice', clientId: 'app', scope: 'a b', expiresInSeconds: 60, ...request })
}

const redeem = (setup: TestSetup, reservation: Reservation, request: Partial<RedeemRequest> = {}) =>
  setup.tokens.redeem({ reservation, matches: true, ...request })

const refresh = (setup: TestSetup, refreshToken: string) => setup.tokens.rotate({ refreshToken, clientId: 'app' })

describe('reservations', () => {
  it('stores nothing at reserve, survives JSON, and starts the granted family at redeem', async () => {
    const setup = createSetup()
    const reservation = reserve(setup, { audience: ['https://api'], offline: true, metadata: { agent: 'Firefox' } })
    expect(setup.store.calls).toEqual([])
    setup.advance(30 * SECOND)
    const { refreshToken, outcome, family, ...grant } = expectOk(
      await redeem(setup, JSON.parse(JSON.stringify(reservation)) as Reservation),
    )
    expect(setup.store.calls).toEqual(['create'])
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
    expect(setup.eventTypes()).toEqual(['issued'])
    expect(expectOk(await refresh(setup, refreshToken)).family.generation).toBe(1)
  })

  it('G-01, G-02: revokes the family permanently if a reservation is redeemed twice', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const first = expectOk(await redeem(setup, reservation))
    const successor = expectOk(await refresh(setup, first.refreshToken)).refreshToken
    setup.clearRecords()
    expect(await redeem(setup, reservation)).toEqual({ ok: false, reason: 'reuse' })
    expect(setup.events).toEqual([
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
    expect(setup.store.rows.get(first.family.id)?.revocation).toMatchObject({ at: START, reason: 'reuse' })
    expect(await refresh(setup, successor)).toMatchObject({ reason: 'revoked' })
    setup.clearRecords()
    expect(await redeem(setup, reservation)).toEqual({ ok: false, reason: 'revoked' })
    const familyId = first.family.id
    expect(setup.events).toEqual([{ type: 'rejected', at: START, reason: 'revoked', familyId, clientId: 'app' }])
    expect(setup.store.calls).toEqual(['create'])
  })

  it('G-03, G-04, F-14: rejects a redemption that does not match, and neither consumes the reservation nor revokes the family', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const wrong = { ok: false, reason: 'mismatch' }
    expect(await redeem(setup, reservation, { matches: false })).toEqual(wrong)
    expect(setup.store.calls).toEqual([])
    const { refreshToken } = expectOk(await redeem(setup, reservation))
    expect(await redeem(setup, reservation, { matches: false })).toEqual(wrong)
    expectOk(await refresh(setup, refreshToken))
  })

  it('G-06: rejects a reservation at the instant of its expiry', async () => {
    const setup = createSetup()
    const [early, late] = [reserve(setup), reserve(setup)]
    setup.advance(MINUTE - 1)
    expectOk(await redeem(setup, early))
    setup.advance(1)
    expect(await redeem(setup, late)).toEqual({ ok: false, reason: 'expired' })
  })

  it('G-07: starts one family for 50 concurrent redemptions and revokes it', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => redeem(setup, reservation)))
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(setup.eventTypes().filter((type) => type === 'issued' || type === 'reuse')).toEqual(['issued', 'reuse'])
    expect((await setup.tokens.list({ subject: 'alice' })).items).toEqual([])
  })

  it('I15: does not report reuse if the driver executes the write twice', async () => {
    const setup = createSetup()
    setup.store.executeTwice(['create'])
    const { refreshToken } = expectOk(await redeem(setup, reserve(setup)))
    expect(setup.eventTypes()).toEqual(['issued'])
    expectOk(await refresh(setup, refreshToken))
  })

  it('I15: does not report reuse if the same attempt redeems and rotates between two executions of the write', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    setup.store.executeTwice(['create'], async () => {
      setup.store.executeTwice([])
      const again = expectOk(await redeem(setup, reservation, { idempotencyKey: KEY }))
      expect(again.outcome).toBe('retried')
      expectOk(await refresh(setup, again.refreshToken))
      setup.store.executeTwice(['create'])
    })
    expect(expectOk(await redeem(setup, reservation, { idempotencyKey: KEY })).outcome).toBe('issued')
    expect(setup.eventTypes()).not.toContain('reuse')
  })

  it('I17: starts at most one family although the family is revoked and purged meanwhile', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 10, idleSeconds: 10 } })
    const reservation = reserve(setup)
    const { family } = expectOk(await redeem(setup, reservation))
    await setup.tokens.revoke({ familyId: family.id })
    for (const pause of [1, 9, 49]) {
      setup.advance(pause * SECOND)
      await setup.tokens.purge()
      // An instance whose clock is one minute behind.
      const behind = setup.instance({ now: () => setup.clock.now - MINUTE })
      expect(await behind.redeem({ reservation, matches: true })).toMatchObject({ ok: false })
    }
    setup.advance(MINUTE + SECOND)
    expect(await setup.tokens.purge()).toBe(1)
    expect(await redeem(setup, reservation)).toEqual({ ok: false, reason: 'expired' })
  })

  it('counts the absolute lifetime from reserve, and rejects a reservation once such a family has expired', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 30, idleSeconds: 30 } })
    const [early, late] = [reserve(setup), reserve(setup)]
    setup.advance(29 * SECOND)
    expect(expectOk(await redeem(setup, early)).family.expiresAt).toBe(START + 30 * SECOND)
    setup.advance(SECOND)
    expect(await redeem(setup, late)).toEqual({ ok: false, reason: 'expired' })
  })

  it('rejects a reservation made before validAfter of the client, or in the same second', async () => {
    const setup = createSetup()
    setup.advance(500)
    const reservation = reserve(setup)
    const superseded = { ok: false, reason: 'superseded' }
    expect(await redeem(setup, reservation, { validAfter: START + 501 })).toEqual(superseded)
    expect(await redeem(setup, reservation, { validAfter: START + 400 })).toEqual(superseded)
    expect(setup.store.calls).toEqual([])
    expectOk(await redeem(setup, reservation, { validAfter: START }))
  })

  it('binds the family to the proven key', async () => {
    const setup = createSetup()
    const { refreshToken, family } = expectOk(await redeem(setup, reserve(setup), { confirmation: { jkt: 'abc' } }))
    expect(family.confirmation).toEqual({ jkt: 'abc' })
    expect(await refresh(setup, refreshToken)).toMatchObject({ reason: 'mismatch' })
    expectOk(await setup.tokens.rotate({ refreshToken, clientId: 'app', confirmation: { jkt: 'abc' } }))
  })

  it('R-10: narrows the audience to resources of the reservation for one response, and rejects others', async () => {
    const setup = createSetup()
    const reservation = reserve(setup, { audience: ['https://one', 'https://two'] })
    expect(await redeem(setup, reservation, { audience: ['https://three'] })).toEqual({
      ok: false,
      reason: 'invalid_target',
    })
    const { audience, family } = expectOk(await redeem(setup, reservation, { audience: ['https://two'] }))
    expect(audience).toEqual(['https://two'])
    expect(family.audience).toEqual(['https://one', 'https://two'])
  })

  it('limits the lifetime of the family to maxLifetimeSeconds', async () => {
    const setup = createSetup()
    const { family } = expectOk(await redeem(setup, reserve(setup), { maxLifetimeSeconds: 900 }))
    expect(family).toMatchObject({ expiresAt: START + 900 * SECOND, absoluteExpiresAt: START + 900 * SECOND })
    const longer = expectOk(await redeem(setup, reserve(setup), { maxLifetimeSeconds: 365 * 86_400 }))
    expect(longer.family.absoluteExpiresAt).toBe(START + 90 * DAY)
  })
})

describe('retries of a redemption', () => {
  it('returns the identical token to the same attempt until the token is used', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const first = expectOk(await redeem(setup, reservation, { idempotencyKey: KEY }))
    setup.advance(30 * SECOND)
    const again = expectOk(await setup.instance().redeem({ reservation, matches: true, idempotencyKey: KEY }))
    expect(again).toMatchObject({ outcome: 'retried', refreshToken: first.refreshToken, family: first.family })
    expect(setup.events.at(-1)).toMatchObject({ type: 'retried', generation: 0, by: 'idempotency_key' })
    expectOk(await refresh(setup, again.refreshToken))
    expect(await redeem(setup, reservation, { idempotencyKey: KEY })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('starts one family for fifty concurrent redemptions of the same attempt', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => redeem(setup, reservation, { idempotencyKey: KEY })),
    )
    expect(new Set(outcomes.map((outcome) => expectOk(outcome).refreshToken)).size).toBe(1)
    expect(setup.eventTypes().filter((type) => type === 'issued')).toHaveLength(1)
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
    const setup = createSetup()
    const reservation = reserve(setup)
    expectOk(await redeem(setup, reservation, first))
    expect(await redeem(setup, reservation, second)).toEqual({ ok: false, reason: 'reuse' })
  })

  it('rejects a retry after the family has expired', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    expectOk(await redeem(setup, reservation, { idempotencyKey: KEY, maxLifetimeSeconds: 10 }))
    setup.advance(10 * SECOND)
    expect(await redeem(setup, reservation, { idempotencyKey: KEY })).toEqual({ ok: false, reason: 'expired' })
  })

  it('returns the token to a retry after a store failure that followed the write', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    setup.store.failNext('create', { written: true })
    await expect(redeem(setup, reservation, { idempotencyKey: KEY })).rejects.toMatchObject({ code: 'store_failed' })
    expectOk(await redeem(setup, reservation, { idempotencyKey: KEY }))
  })

  it('throws an OperationalError for a retry if this instance lacks the secret of the first redemption', async () => {
    const setup = createSetup()
    const reservation = setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).reserve({
      subject: 'alice',
      expiresInSeconds: 60,
    })
    const request = { reservation, matches: true, idempotencyKey: KEY }
    expectOk(await setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).redeem(request))
    const lacking = await setup.tokens.redeem(request).catch((error: unknown) => error)
    expect(lacking).toMatchObject({
      code: 'record_key_missing',
      message: expect.stringMatching(
        /^the family was rotated with the key \S{4}, which is not in secrets; configure the same list on every instance$/,
      ),
    })
    expect(setup.events.at(-1)).toMatchObject({ type: 'fault', code: 'record_key_missing', operation: 'redeem' })
    expectOk(await setup.instance({ secrets: [OLD_SECRET, NEW_SECRET] }).redeem(request))
  })

  it('calls beforeCommit again for a retry, with the stored family', async () => {
    const seen: number[] = []
    const setup = createSetup()
    const reservation = reserve(setup)
    const beforeCommit = async ({ family }: { family: { expiresAt: number } }) => seen.push(family.expiresAt)
    const request = { reservation, matches: true, idempotencyKey: KEY, beforeCommit }
    expectOk(await setup.tokens.redeem(request))
    setup.advance(30 * SECOND)
    expectOk(await setup.tokens.redeem(request))
    expect(seen).toEqual([START + 30 * DAY, START + 30 * DAY + 30 * SECOND, START + 30 * DAY])
  })
})

describe('hooks of redeem', () => {
  it('does not consume the reservation if a hook, beforeCommit, checkRateLimit or the store fails', async () => {
    let broken = ''
    const fail = (name: string) => {
      if (broken === name) throw new Error(`${name} is down`)
    }
    const setup = createSetup({ beforeRotate: async () => (fail('beforeRotate'), undefined) })
    const reservation = reserve(setup)
    const request: Partial<RedeemRequest> = {
      checkRateLimit: async () => (fail('checkRateLimit'), true),
      beforeCommit: async () => (fail('beforeCommit'), undefined),
    }
    for (broken of ['beforeRotate', 'beforeCommit', 'checkRateLimit']) {
      await expect(redeem(setup, reservation, request)).rejects.toMatchObject({
        code: 'hook_failed',
        message: `${broken} threw`,
      })
      expect(setup.events.at(-1)).toMatchObject({ type: 'fault', code: 'hook_failed', operation: broken })
    }
    expect(setup.store.calls).toEqual([])
    broken = ''
    setup.store.failNext('create')
    await expect(redeem(setup, reservation, request)).rejects.toMatchObject({ code: 'store_failed' })
    expectOk(await redeem(setup, reservation, request))
  })

  it('gives beforeRotate the family, and applies its rejection, validAfter and claims', async () => {
    const hookResults: object[] = [
      { active: false },
      { active: true, validAfter: START + 1 },
      { active: true, claims: { role: 'x' } },
    ]
    const families: unknown[] = []
    const setup = createSetup({
      beforeRotate: async ({ family }) => {
        families.push(family.subject)
        return hookResults.shift() as never
      },
    })
    const reservation = reserve(setup)
    const inactive = { ok: false, reason: 'inactive' }
    expect(await redeem(setup, reservation)).toEqual(inactive)
    expect(await redeem(setup, reservation)).toEqual({ ok: false, reason: 'superseded' })
    expect(setup.store.calls).toEqual([])
    expect(expectOk(await redeem(setup, reservation)).claims).toEqual({ role: 'x' })
    expect(families).toEqual(['alice', 'alice', 'alice'])
  })

  it('rejects a reservation that expires while beforeCommit runs', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const slow = async () => void setup.advance(HOUR)
    expect(await redeem(setup, reservation, { beforeCommit: slow })).toEqual({ ok: false, reason: 'expired' })
    expect(setup.store.calls).toEqual([])
  })

  it('rejects a redemption that checkRateLimit rejects', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const rateLimited = { ok: false, reason: 'rate_limited' }
    expect(await redeem(setup, reservation, { checkRateLimit: async () => false })).toEqual(rateLimited)
    expect(setup.events).toEqual([
      {
        type: 'rejected',
        at: START,
        reason: 'rate_limited',
        familyId: expect.stringMatching(/^[\w-]{22}$/),
        clientId: 'app',
      },
    ])
    expectOk(await redeem(setup, reservation, { checkRateLimit: async () => true }))
  })
})

describe('confidentiality', () => {
  it('K-01: stores and emits no part of the reservation', async () => {
    const setup = createSetup()
    const reservation = reserve(setup)
    const { refreshToken } = expectOk(await redeem(setup, reservation, { idempotencyKey: KEY }))
    await redeem(setup, reservation)
    const seen = JSON.stringify([[...setup.store.rows.values()], setup.events])
    for (const secret of [reservation.handle, reservation.secret, KEY, refreshToken]) expect(seen).not.toContain(secret)
  })
})
