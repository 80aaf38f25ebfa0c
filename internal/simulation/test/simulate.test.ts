import { describe, expect, it } from 'vitest'
import { createPlan } from '../src/simulate/plan.js'
import { run } from '../src/simulate/run.js'
import { scheduleSeed, playAll } from '../src/simulate/schedules.js'
import { cutPlan, shrink, NO_CUT } from '../src/simulate/shrink.js'

/** A short form of the proof. `pnpm proofs`, which CI runs, plays 10 000 schedules. */
const SCHEDULES = 400
/** The limit for a machine that runs other tests at the same time. */
const BUSY_MACHINE_MS = 600_000

describe('the simulation', () => {
  it(
    'the simulation violates no invariant and meets every kind of event',
    async () => {
      const tally = await playAll({ seed: 'test', first: 0, count: SCHEDULES })
      expect(tally.failures).toEqual([])
      expect(tally.schedules).toBe(SCHEDULES)
      const { rotations, retries, heals, imports, codes, proofs, reuses, faults } = tally
      for (const count of [rotations, retries, heals, imports, codes, proofs, reuses, faults])
        expect(count).toBeGreaterThan(0)
    },
    BUSY_MACHINE_MS,
  )

  it('the simulation plays the same plan the same way, down to the last line', async () => {
    const met = new Set<string>()
    for (let schedule = 0; schedule < 20; schedule += 1) {
      const plan = createPlan(scheduleSeed('again', schedule))
      const [one, other] = [await run(plan), await run(plan)]
      expect(one.lines.length).toBeGreaterThan(2)
      expect(other).toEqual(one)
      for (const part of [plan.signIn, plan.proofs]) met.add(part)
    }
    expect(met.size).toBe(6)
  })

  it('the simulation plays another plan in another way', async () => {
    const digests = await Promise.all(
      [1, 2, 3].map(async (one) => (await run(createPlan(scheduleSeed('other', one)))).digest),
    )
    expect(new Set(digests).size).toBe(3)
  })
})

describe('a cut', () => {
  it('a cut leaves out only what it names', () => {
    const plan = createPlan('cut/1')
    expect(cutPlan(plan, NO_CUT)).toEqual(plan)
    const cut = cutPlan(plan, { without: [0], calm: ['slow'], lengthMs: null })
    expect(cut.incidents).toEqual(plan.incidents.slice(1))
    expect(cut.rates).toEqual({ ...plan.rates, slow: 0 })
  })

  it('the cut of a plan without a violation is empty', async () => {
    expect(await shrink(createPlan('cut/2'), 'I1')).toEqual(NO_CUT)
  })
})
