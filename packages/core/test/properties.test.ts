import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { decide, type Facts } from '../src/decision/decide.js'
import { OperationalError, type FamilyRecord, type RotateOutcome, type RotateRequest } from '../src/index.js'
import { parseToken } from '../src/token/format.js'
import { createKeyRing } from '../src/token/keys.js'
import { OLD_SECRET, SECOND, seededRandom, START, testStore, type TestSetup, createSetup } from './setup.js'

// The tests take long on a busy machine.
vi.setConfig({ testTimeout: 60_000 })

const GRACE = 30
const IDLE = 300
const ABSOLUTE = 1500

const instant = fc.integer({ min: 0, max: 200_000 })
const anyFacts: fc.Arbitrary<Facts> = fc.record({
  relation: fc.constantFrom('current', 'predecessor', 'unverifiable', 'one_ahead', 'far_ahead', 'legacy', 'unrelated'),
  sameClient: fc.boolean(),
  sameKey: fc.boolean(),
  attempt: fc.constantFrom('same', 'other', 'without_key', 'unknown'),
  revoked: fc.boolean(),
  rotatedAt: instant,
  expiresAt: instant,
})
const anyCircumstances = fc.record({
  now: instant,
  arrivedAt: instant,
  requestRejection: fc.constantFrom(null, 'inactive' as const, 'invalid_scope' as const),
  superseded: fc.boolean(),
})
const anyRules = fc.record({
  grace: fc.constantFrom('any-attempt', 'same-attempt'),
  graceMs: fc.integer({ min: 0, max: 60_000 }),
  sameAttemptMs: fc.integer({ min: 1, max: 86_400_000 }),
  rotates: fc.boolean(),
})

describe('decide', () => {
  it('returns no token for a family that is revoked or expired, nor for another client or key', () => {
    fc.assert(
      fc.property(anyFacts, anyCircumstances, anyRules, (facts, circumstances, rules) => {
        const { kind } = decide(facts, circumstances, rules)
        const dead = facts.revoked || circumstances.now >= facts.expiresAt
        if (dead || !facts.sameClient || !facts.sameKey || circumstances.superseded) expect(kind).toBe('reject')
      }),
      { seed: 1, numRuns: 2000 },
    )
  })

  it('returns the same decision for the same facts', () => {
    fc.assert(
      fc.property(anyFacts, anyCircumstances, anyRules, (facts, circumstances, rules) => {
        expect(decide(facts, circumstances, rules)).toEqual(decide({ ...facts }, { ...circumstances }, { ...rules }))
      }),
      { seed: 2, numRuns: 500 },
    )
  })

  it('never accepts a later request if it rejects the same request earlier', () => {
    fc.assert(
      fc.property(anyFacts, anyCircumstances, anyRules, fc.nat(100_000), (facts, circumstances, rules, late) => {
        const later = { ...circumstances, arrivedAt: circumstances.arrivedAt + late, now: circumstances.now + late }
        if (decide(facts, circumstances, rules).kind !== 'mint')
          expect(decide(facts, later, rules).kind).not.toBe('mint')
      }),
      { seed: 3, numRuns: 2000 },
    )
  })
})

describe('parseToken', () => {
  const ring = createKeyRing([OLD_SECRET])

  it('parses any input without an error and rejects all tokens that were not issued', () => {
    const length = { minLength: 112, maxLength: 112 }
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const validAlphabet = fc
      .string({ unit: fc.constantFrom(...alphabet.split('')), ...length })
      .map((body) => `brt_${body}`)
    const validHeader = fc
      .uint8Array({ minLength: 84, maxLength: 84 })
      .map((bytes) => Buffer.concat([Buffer.from([0x10]), ring.current.idBytes, bytes.subarray(4)]))
      .map((bytes) => `brt_${bytes.toString('base64url')}`)
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.string({ unit: 'binary', maxLength: 200 }), validAlphabet, validHeader),
        (input) => {
          expect(parseToken(input, 'brt_', ring).kind).not.toBe('authentic')
        },
      ),
      { seed: 4, numRuns: 1000 },
    )
  })
})

describe('rotate with arbitrary input', () => {
  it('returns an outcome or throws an OperationalError or ConfigurationError for any input', async () => {
    const setup = createSetup({ random: seededRandom('hostile') })
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice', scope: 'a b', audience: ['https://one'] })
    const unusual = fc.oneof(fc.anything(), fc.string({ maxLength: 40 }), fc.constant(null))
    const request = fc.record(
      {
        refreshToken: fc.oneof(fc.constant(refreshToken), unusual),
        clientId: unusual,
        confidential: unusual,
        confirmation: unusual,
        idempotencyKey: unusual,
        scope: unusual,
        audience: unusual,
        familyId: unusual,
        validAfter: unusual,
        rotation: unusual,
        checkRateLimit: fc.oneof(unusual, fc.func(unusual)),
        beforeCommit: fc.oneof(unusual, fc.func(unusual)),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(fc.oneof(request, unusual), async (input) => {
        const outcome = await setup.tokens.rotate(input as RotateRequest).catch((error: unknown) => error)
        const isKnown =
          outcome instanceof OperationalError ||
          (outcome as { code?: unknown }).code === 'invalid_option' ||
          typeof (outcome as { ok?: unknown }).ok === 'boolean'
        expect(isKnown, String(outcome)).toBe(true)
      }),
      { seed: 5, numRuns: 1000 },
    )
  })
})

/** The steps of a run, taken by two tabs of the user that share a token, a second device, and an attacker. */
type Step =
  | {
      readonly kind: 'refresh'
      readonly who: 'tab' | 'device' | 'attacker'
      readonly twice: boolean
      readonly work: boolean
    }
  | { readonly kind: 'race'; readonly twice: boolean; readonly work: boolean }
  | { readonly kind: 'lose response'; readonly retry: boolean }
  | { readonly kind: 'steal' }
  | { readonly kind: 'replay'; readonly age: number }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'other client' }
  | { readonly kind: 'store fails'; readonly written: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('refresh' as const),
      who: fc.constantFrom('tab', 'device', 'attacker'),
      twice: fc.boolean(),
      work: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('race' as const), twice: fc.boolean(), work: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('lose response' as const), retry: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'steal' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replay' as const), age: fc.nat(6) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(1, 29, 30, 31, 100, 290) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'other client' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('store fails' as const), written: fc.boolean() }) },
)

/** Checks each stored record and each returned token against the invariants. */
function createCheckedSetup() {
  const store = testStore()
  const setup = createSetup(
    {
      store,
      random: seededRandom('model'),
      policy: { graceSeconds: GRACE, idleSeconds: IDLE, absoluteSeconds: ABSOLUTE },
    },
    { store },
  )
  const last = new Map<string, FamilyRecord>()
  const successors = new Map<string, string>()
  const ring = createKeyRing([OLD_SECRET])

  function check() {
    for (const record of store.rows.values()) {
      const before = last.get(record.id)
      expect(record.expiresAt).toBeLessThanOrEqual(record.lifetime.absoluteExpiresAt)
      if (before) {
        expect(record.current.generation).toBeGreaterThanOrEqual(before.current.generation)
        expect(record.lifetime).toEqual(before.lifetime)
        expect(record.grant).toEqual(before.grant)
        if (before.revocation) expect(record).toEqual(before)
        if (record.current.generation === before.current.generation)
          expect({ ...record, revocation: null }).toEqual({ ...before, revocation: null })
      }
      last.set(record.id, structuredClone(record))
    }
  }

  /** Rotates and checks the invariants of each outcome. */
  async function rotate(
    refreshToken: string,
    request: Partial<RotateRequest<unknown>> = {},
  ): Promise<RotateOutcome<unknown> | OperationalError> {
    const parsed = parseToken(refreshToken, 'brt_', ring)
    if (parsed.kind !== 'authentic') throw new Error(parsed.kind)
    const { familyId, generation } = parsed.token
    const dead = store.rows.get(familyId)!.revocation !== null
    const outcome = await setup
      .instance()
      .rotate({ refreshToken, ...request })
      .catch((error: unknown) => error as OperationalError)
    if (!(outcome instanceof OperationalError) && outcome.ok) {
      const place = `${familyId} ${String(generation)}`
      expect(dead).toBe(false)
      expect(successors.get(place) ?? outcome.refreshToken).toBe(outcome.refreshToken)
      successors.set(place, outcome.refreshToken)
    } else if (outcome instanceof OperationalError) expect(outcome.code).toBe('store_failed')
    check()
    return outcome
  }

  return { setup, store, rotate, check }
}

type CheckedSetup = ReturnType<typeof createCheckedSetup>

async function runSteps(run: CheckedSetup, steps: readonly Step[]) {
  const { setup, store, rotate } = run
  const issue = async () => (await setup.tokens.issue({ subject: 'alice' })).refreshToken
  const holders = { tab: await issue(), device: await issue(), attacker: null as string | null }
  const chain = [holders.tab]
  /** The instant until which a tab of the user must be able to refresh. */
  let tabExpiresAt = START + Math.min(IDLE, ABSOLUTE) * SECOND
  let attackerActed = false
  let key = 0
  const nextKey = () => `idempotency-key-number-${String(key++).padStart(6, '0')}`
  const work = (wanted: boolean) => (wanted ? { beforeCommit: async () => 'access token' } : {})

  /** A tab of the user that refreshes in time must succeed unless an attacker has used its token. */
  function expectSuccess(outcome: RotateOutcome<unknown> | OperationalError) {
    if (attackerActed || setup.clock.now >= tabExpiresAt) return
    expect(outcome).toMatchObject({ ok: true })
    tabExpiresAt = Math.min(setup.clock.now + IDLE * SECOND, START + ABSOLUTE * SECOND)
  }

  function keep(outcome: RotateOutcome<unknown> | OperationalError) {
    if (outcome instanceof OperationalError || !outcome.ok) return
    holders.tab = outcome.refreshToken
    chain.push(holders.tab)
  }

  for (const step of steps) {
    if ('twice' in step) store.executeTwice(step.twice ? ['rotate', 'revoke'] : [])
    switch (step.kind) {
      case 'refresh': {
        const token = holders[step.who]
        if (token === null) break
        const outcome = await rotate(token, work(step.work))
        if (step.who === 'tab') {
          expectSuccess(outcome)
          keep(outcome)
        } else if (!(outcome instanceof OperationalError) && outcome.ok) holders[step.who] = outcome.refreshToken
        break
      }
      case 'race': {
        const outcomes = await Promise.all([1, 2, 3].map((tab) => rotate(holders.tab, work(step.work && tab === 2))))
        outcomes.forEach(expectSuccess)
        keep(outcomes[0]!)
        break
      }
      case 'lose response': {
        const idempotencyKey = nextKey()
        const lostOutcome = await rotate(holders.tab, { idempotencyKey })
        expectSuccess(lostOutcome)
        // Within the grace window, or at any time with the idempotency key.
        setup.advance(step.retry ? 100 * SECOND : (GRACE - 1) * SECOND)
        const again = await rotate(holders.tab, step.retry ? { idempotencyKey } : {})
        if (!attackerActed && setup.clock.now < tabExpiresAt) expect(again).toMatchObject({ ok: true })
        keep(again)
        break
      }
      case 'steal':
        holders.attacker = holders.tab
        attackerActed = true
        break
      case 'replay': {
        const token = chain.at(-1 - step.age)
        if (token === undefined || step.age === 0) break
        attackerActed = true
        const outcome = await rotate(token)
        // A grandparent never succeeds. `rotate` above has checked that no replay creates a second branch.
        if (step.age > 1) expect(outcome).toMatchObject({ ok: false })
        break
      }
      case 'wait':
        setup.advance(step.seconds * SECOND)
        break
      case 'other client': {
        const before = structuredClone([...store.rows])
        expect(await rotate(holders.tab, { clientId: 'another' })).toMatchObject({ ok: false })
        expect([...store.rows]).toEqual(before)
        break
      }
      case 'store fails': {
        store.failNext('rotate', { written: step.written })
        expect(await rotate(holders.tab)).toBeInstanceOf(OperationalError)
        const again = await rotate(holders.tab)
        expectSuccess(again)
        keep(again)
        break
      }
    }
  }
}

async function expectDeviceUnaffected({ setup, store }: { setup: TestSetup; store: CheckedSetup['store'] }) {
  // No step on the first family may change the second, which ends only by its own expiry.
  const device = [...store.rows.values()][1]!
  expect(device.revocation).toBeNull()
  expect((await setup.tokens.find(device.id)) !== null).toBe(setup.clock.now < device.expiresAt)
}

describe('random runs of all operations', () => {
  it('keeps its invariants with two tabs, a second device, an attacker, lost responses, double execution and time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const run = createCheckedSetup()
        await runSteps(run, steps)
        await expectDeviceUnaffected(run)
        // At most one revocation event per revoked family.
        const revocations = run.setup.events.filter(({ type }) => type === 'reuse' || type === 'revoked')
        const dead = [...run.store.rows.values()].filter(({ revocation }) => revocation !== null)
        expect(revocations.length).toBe(dead.length)
      }),
      { seed: 6, numRuns: 500 },
    )
  })

  it('detects an attacker at the second refresh of the user at the latest if both continue to use the token', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('tab', 'attacker'), { minLength: 6, maxLength: 30 }), async (turns) => {
        const { setup, rotate } = createCheckedSetup()
        const stolen = (await setup.tokens.issue({ subject: 'alice' })).refreshToken
        const held: Record<string, string> = { tab: stolen, attacker: stolen }
        const alive = { tab: true, attacker: true }
        for (const who of turns) {
          setup.advance((GRACE + 1) * SECOND)
          const outcome = await rotate(held[who]!)
          if (!(outcome instanceof OperationalError) && outcome.ok) held[who] = outcome.refreshToken
          else alive[who] = false
        }
        if (new Set(turns).size === 2) {
          expect(setup.events.filter(({ type }) => type === 'reuse')).toHaveLength(1)
          expect(await rotate(held['tab']!)).toMatchObject({ ok: false })
          expect(await rotate(held['attacker']!)).toMatchObject({ ok: false })
        } else expect(alive).toEqual({ tab: true, attacker: true })
      }),
      { seed: 7, numRuns: 200 },
    )
  })
})
