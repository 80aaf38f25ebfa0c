import type { RaceAnswer } from './orders.js'
import type { Worker } from './worker.js'

/**
 * Lets all callers in all workers read the record of one token before any of them swaps. `first` is the index of the worker that may
 * continue first, so that each worker can win. The results are in the order of the workers.
 */
export async function raceOnce(
  crowd: readonly Worker[],
  { refreshToken, callers, first }: { refreshToken: string; callers: number; first: number },
): Promise<readonly (readonly RaceAnswer[])[]> {
  for (const worker of crowd) worker.tell({ type: 'race', refreshToken, callers })
  for (const worker of crowd) {
    const report = await worker.next()
    if (report?.type !== 'at the barrier') throw new Error('a worker did not get to the barrier')
  }
  const turn = first % crowd.length
  for (const worker of [...crowd.slice(turn), ...crowd.slice(0, turn)]) worker.tell({ type: 'go' })
  return Promise.all(
    crowd.map(async (worker) => {
      const report = await worker.next()
      if (report?.type !== 'raced') throw new Error('a worker did not finish the race')
      return report.answers
    }),
  )
}

/** When a worker ends: it kills itself between a commit and its report, is killed after some reports, or is killed by another part. */
export type Death = { readonly rotations: number } | { readonly killedAfter: number } | 'elsewhere'

/**
 * Lets a worker rotate all sessions until it is killed. Resolves to the last tokens that its clients received, and the number of
 * acknowledged rotations.
 */
export async function rotateUntilDeath(
  worker: Worker,
  refreshTokens: readonly string[],
  death: Death,
): Promise<{ held: string[]; acknowledged: number }> {
  const held = [...refreshTokens]
  const rotations = typeof death === 'object' && 'rotations' in death ? death.rotations : null
  const most = typeof death === 'object' && 'killedAfter' in death ? death.killedAfter : Infinity
  let acknowledged = 0
  worker.tell({ type: 'rotate until death', refreshTokens, rotations })
  for (let report = await worker.next(); report !== null; report = await worker.next()) {
    if (report.type !== 'acknowledged') throw new Error(`unexpected report: ${report.type}`)
    held[report.session] = report.refreshToken
    acknowledged += 1
    if (acknowledged === most) void worker.kill()
  }
  return { held, acknowledged }
}
