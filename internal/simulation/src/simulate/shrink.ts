import type { Plan } from './plan.js'
import { run } from './run.js'

/** A reduction of a plan: incidents left out, faults turned off, an earlier end. */
export interface Cut {
  /** Indexes into the list of incidents. */
  readonly without: readonly number[]
  readonly calm: readonly (keyof Plan['rates'])[]
  readonly lengthMs: number | null
}

export const NO_CUT: Cut = { without: [], calm: [], lengthMs: null }

export function cutPlan(plan: Plan, { without, calm, lengthMs }: Cut): Plan {
  const rates = { ...plan.rates }
  for (const rate of calm) rates[rate] = 0
  return {
    ...plan,
    rates,
    incidents: plan.incidents.filter(
      ({ atMs }, place) => !without.includes(place) && (lengthMs === null || atMs <= lengthMs),
    ),
    lengthMs: lengthMs ?? plan.lengthMs,
  }
}

/** Returns a small cut that still violates the same invariant. Tries to leave out one part after another. */
export async function shrink(plan: Plan, invariant: string): Promise<Cut> {
  let best = NO_CUT
  const tryCut = async (cut: Cut): Promise<boolean> => {
    const { violation } = await run(cutPlan(plan, cut))
    if (violation?.invariant !== invariant) return false
    best = cut
    return true
  }
  for (let share = 0.5; share < 1; share += 0.1) {
    if (await tryCut({ ...best, lengthMs: Math.round(plan.lengthMs * share) })) break
  }
  for (const rate of Object.keys(plan.rates) as (keyof Plan['rates'])[]) {
    if (plan.rates[rate] > 0) await tryCut({ ...best, calm: [...best.calm, rate] })
  }
  for (const place of plan.incidents.keys()) await tryCut({ ...best, without: [...best.without, place] })
  return best
}
