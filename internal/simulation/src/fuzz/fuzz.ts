import { createRng } from '../simulate/rng.js'
import { mutate } from './mutations.js'
import type { FuzzTarget } from './targets.js'

export interface FuzzLimits {
  readonly seed: string
  /** The run ends at the first limit. */
  readonly inputs: number
  readonly maxMs: number
}

export interface FuzzReport {
  readonly inputs: number
  readonly slowestMs: number
  /** The first input that failed, in base64. */
  readonly failure: { readonly message: string; readonly input: string } | null
}

const MAX_POOL_SIZE = 200
const MAX_INPUT_LENGTH = 4096

/** Feeds one target with its seeds and with mutations of them. The same seed gives the same inputs. */
export async function fuzz(target: FuzzTarget, { seed, inputs, maxMs }: FuzzLimits): Promise<FuzzReport> {
  const rng = createRng(`${seed}/${target.name}`)
  const pool: Uint8Array[] = target.seeds.map((text) => Buffer.from(text))
  const startedAt = performance.now()
  let fed = 0
  let slowestMs = 0
  for (; fed < inputs && performance.now() - startedAt < maxMs; fed += 1) {
    const from = pool[rng.between(0, pool.length - 1)] ?? new Uint8Array()
    const input = fed < target.seeds.length ? (pool[fed] ?? from) : mutate(from, pool, rng)
    const before = performance.now()
    try {
      await target.feed(input)
    } catch (error) {
      const failure = { message: String(error), input: Buffer.from(input).toString('base64') }
      return { inputs: fed + 1, slowestMs, failure }
    }
    slowestMs = Math.max(slowestMs, performance.now() - before)
    // Mutated inputs are mutated again, so that they move away from well-formed ones. Not all are kept, or only noise
    // would remain.
    if (rng.chance(0.1) && input.length < MAX_INPUT_LENGTH)
      pool[pool.length < MAX_POOL_SIZE ? pool.length : rng.between(target.seeds.length, MAX_POOL_SIZE - 1)] = input
  }
  return { inputs: fed, slowestMs, failure: null }
}
