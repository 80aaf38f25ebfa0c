import { countMapIterations } from '@baton/test-servers'
import { describe, expect, it } from 'vitest'
import {
  type AttemptMatch,
  createSecondHolderDetector,
  type FamilyId,
  ConfigurationError,
  type RefreshEvent,
  type RotateRequest,
  type SecondHolderDetectorOptions,
} from '../../src/index.js'
import { expectOk, type TestSetup, createSetup } from '../setup.js'

const family = (name: string) => ({ at: 0, familyId: name as FamilyId, subject: 'alice', clientId: 'web' })

function retried(generation: number, attempt: AttemptMatch = 'other', name = 'f'): RefreshEvent {
  const by = attempt === 'same' ? 'idempotency_key' : 'grace'
  return { ...family(name), type: 'retried', generation, by, attempt }
}

/** Returns the generations at which the detector reports. */
function reportedAt(events: readonly RefreshEvent[], options?: SecondHolderDetectorOptions): number[] {
  const detect = createSecondHolderDetector(options)
  return events.flatMap((event) => detect(event)?.generation ?? [])
}

describe('createSecondHolderDetector', () => {
  it('evicts the oldest family without a search through deleted entries', () => {
    const detect = createSecondHolderDetector({ maxFamilies: 100 })
    const iterations = countMapIterations(() => {
      for (let index = 0; index < 10_000; index += 1) detect(retried(1, 'other', `family ${String(index)}`))
    })
    expect(iterations).toBe(0)
  })

  it('reports a family of which three consecutive generations were retried by another attempt', () => {
    const detect = createSecondHolderDetector()
    expect([detect(retried(1)), detect(retried(2, 'without_key'))]).toEqual([null, null])
    expect(detect(retried(3))).toEqual({ familyId: 'f', subject: 'alice', clientId: 'web', generation: 3 })
  })

  it('reports a family only once', () => {
    expect(reportedAt([1, 2, 3, 4, 5, 6].map((generation) => retried(generation)))).toEqual([3])
  })

  it('counts a generation once even if it is retried repeatedly', () => {
    expect(reportedAt([1, 1, 1, 2, 2, 1].map((generation) => retried(generation)))).toEqual([])
  })

  it('counts events that arrive out of order', () => {
    expect(reportedAt([5, 3, 4].map((generation) => retried(generation)))).toEqual([5])
  })

  it.each(['same', 'unknown'] as const)('ignores retries of the %s attempt', (attempt) => {
    expect(reportedAt([1, 2, 3, 4].map((generation) => retried(generation, attempt)))).toEqual([])
  })

  it('counts each family separately', () => {
    const events = [1, 2, 3].flatMap((generation) => [retried(generation, 'other', 'a'), retried(9, 'other', 'b')])
    expect(reportedAt(events)).toEqual([3])
  })

  it.each([
    ['within eight generations by default', {}, [1, 4, 8], [8]],
    ['not over nine', {}, [1, 4, 9], []],
    ['only consecutive ones where both options are equal', { among: 3 }, [1, 2, 4, 5, 7], []],
    ['consecutive ones where both options are equal', { among: 3 }, [1, 3, 4, 5], [5]],
    ['as many as the options say', { generations: 2, among: 2 }, [1, 2], [2]],
    ['over the longest window', { generations: 30, among: 30 }, Array.from({ length: 30 }, (_, index) => index), [29]],
    ['across a gap longer than a shift of 32 bits', { among: 3 }, [1, 33, 65], []],
  ])('counts %s', (_name, options, generations, expected) => {
    expect(
      reportedAt(
        generations.map((generation) => retried(generation)),
        options,
      ),
    ).toEqual(expected)
  })

  it('deletes a family that was revoked', () => {
    const end: RefreshEvent = { ...family('f'), type: 'revoked', reason: 'logout' }
    expect(reportedAt([retried(1), retried(2), end, retried(3), retried(4)])).toEqual([])
  })

  it('evicts the family with the oldest retry', () => {
    const other = retried(1, 'other', 'another')
    const events = [retried(1), other, retried(2), retried(1, 'other', 'third'), retried(3)]
    expect(reportedAt(events, { maxFamilies: 2 })).toEqual([3])
    expect(reportedAt([retried(1), retried(2), other, retried(3)], { maxFamilies: 1 })).toEqual([])
  })

  it.each([
    ['generations', { generations: 1 }],
    ['generations', { generations: 31 }],
    ['among', { generations: 4, among: 3 }],
    ['among', { among: 31 }],
    ['maxFamilies', { maxFamilies: 0 }],
    ['maxFamilies', { maxFamilies: 1.5 }],
    ['families', { families: 5 }],
  ])('rejects the invalid option %s', (option, options) => {
    const create = () => createSecondHolderDetector(options as SecondHolderDetectorOptions)
    expect(create).toThrow(ConfigurationError)
    expect(create).toThrow(expect.objectContaining({ option }))
  })
})

const keyOf = (holder: string, round: number) => `${holder}-${String(round).padStart(30, '0')}`

async function signIn({ tokens }: TestSetup): Promise<string> {
  return (await tokens.issue({ subject: 'alice' })).refreshToken
}

async function refresh(
  { tokens }: TestSetup,
  refreshToken: string,
  request: Partial<RotateRequest> = {},
): Promise<string> {
  return expectOk(await tokens.rotate({ refreshToken, ...request })).refreshToken
}

describe('an attacker that always presents the predecessor', () => {
  it.each([
    ['an attacker with separate keys', (round: number) => ({ idempotencyKey: keyOf('attacker', round) })],
    ['an attacker without a key', () => ({})],
  ])('reports %s that follows the user within the grace window', async (_name, requestOf) => {
    const setup = createSetup()
    const detect = createSecondHolderDetector()
    let token = await signIn(setup)
    for (let round = 0; round < 25; round++) {
      const next = await refresh(setup, token, { idempotencyKey: keyOf('user', round) })
      expect(expectOk(await setup.tokens.rotate({ refreshToken: token, ...requestOf(round) })).refreshToken).toBe(next)
      token = next
    }
    expect(setup.events.map(detect).filter((suspicion) => suspicion !== null)).toMatchObject([{ generation: 3 }])
  })

  it.each([
    ['an attacker with a separate key', { idempotencyKey: keyOf('attacker', 0) }],
    ['an attacker without a key', {}],
  ])('revokes the family for %s if only the same attempt is accepted', async (_name, request) => {
    const setup = createSetup({ policy: { grace: 'same-attempt' } })
    const token = await signIn(setup)
    const next = await refresh(setup, token, { idempotencyKey: keyOf('user', 0) })
    expect(await setup.tokens.rotate({ refreshToken: token, ...request })).toEqual({ ok: false, reason: 'reuse' })
    expect(await setup.tokens.rotate({ refreshToken: next })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('revokes the family if the attacker rotates first without a key and the user follows', async () => {
    const setup = createSetup({ policy: { grace: 'same-attempt' } })
    const token = await signIn(setup)
    await refresh(setup, token)
    const outcome = await setup.tokens.rotate({ refreshToken: token, idempotencyKey: keyOf('user', 0) })
    expect(outcome).toEqual({ ok: false, reason: 'reuse' })
  })
})
