import { createPlan } from './plan.js'
import { type Counts, NO_COUNTS } from './recorder.js'
import { run } from './run.js'

export interface Failure {
  readonly schedule: number
  readonly invariant: string
  readonly message: string
}

export interface Tally extends Counts {
  readonly schedules: number
  readonly failures: readonly Failure[]
}

export interface Range {
  readonly seed: string
  readonly first: number
  readonly count: number
  /** No schedule starts later than this, by the real clock. */
  readonly maxMs?: number
}

export const EMPTY_TALLY: Tally = { ...NO_COUNTS, schedules: 0, failures: [] }

export function scheduleSeed(seed: string, schedule: number): string {
  return `${seed}/${String(schedule)}`
}

/** Plays schedules one after another. The same range of the same seed gives the same schedules. */
export async function playAll({ seed, first, count, maxMs = Infinity }: Range): Promise<Tally> {
  const startedAt = performance.now()
  let tally = EMPTY_TALLY
  for (let schedule = first; schedule < first + count; schedule += 1) {
    if (performance.now() - startedAt > maxMs) break
    const { counts, violation } = await run(createPlan(scheduleSeed(seed, schedule)))
    const failures = violation === null ? [] : [{ schedule, ...violation }]
    tally = add(tally, { ...counts, schedules: 1, failures })
  }
  return tally
}

export function add(one: Tally, other: Tally): Tally {
  return {
    schedules: one.schedules + other.schedules,
    failures: [...one.failures, ...other.failures],
    rotations: one.rotations + other.rotations,
    retries: one.retries + other.retries,
    heals: one.heals + other.heals,
    imports: one.imports + other.imports,
    codes: one.codes + other.codes,
    proofs: one.proofs + other.proofs,
    reuses: one.reuses + other.reuses,
    losses: one.losses + other.losses,
    faults: one.faults + other.faults,
    requests: one.requests + other.requests,
  }
}
