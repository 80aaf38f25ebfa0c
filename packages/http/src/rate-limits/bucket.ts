import type { Exhausted, Standing } from '../messages/rate-limit.js'
import { andThen, type Count, type Counted, type Counter, type MaybePromise } from './limiter.js'
import { createPendingRequests, type Settle } from './pending-requests.js'

/** A point that a request has taken. Call exactly one of `release` and `keep`, once. */
export interface Reservation {
  /** The limit, if there was no point left. */
  readonly exhausted: Exhausted
  /** Returns the remaining points of the key; null if the limiter does not return them. */
  standing(): Standing | null
  /** Gives the point back: the request is not one of those that are counted here. */
  release(): void
  /** Leaves the point spent. */
  keep(): void
}

/** A number of points for each key and window. A point is taken before the work, so that parallel requests cannot exceed the limit. */
export interface Bucket {
  /** Takes a point that is not given back. Returns the limit, if there was none left. */
  spend(key: string): MaybePromise<Exhausted>
  take(key: string): MaybePromise<Reservation>
  /** Like `take`. If no point is left, waits for as long as pending requests hold points that they may give back. */
  takeOrWait(key: string): Promise<Reservation>
}

export type BucketPolicy = Pick<Standing, 'name' | 'points' | 'seconds'>

/** How often a request waits for points that other processes hold. The wait doubles each time. */
const RETRIES = 4
const FIRST_RETRY_MS = 25

export function createBucket(counter: Counter, policy: BucketPolicy): Bucket {
  const pending = createPendingRequests<Standing>()
  const exhaustedBy = ({ count }: Counted): Exhausted =>
    count !== null && count.consumedPoints > policy.points ? toStanding(count, policy) : null

  function reserved(counted: Counted, settle: Settle): Reservation {
    let { count } = counted
    return {
      exhausted: null,
      standing: () => count && toStanding(count, policy),
      release() {
        count = count && { ...count, consumedPoints: count.consumedPoints - 1 }
        const given = counted.giveBack()
        if (given instanceof Promise) void given.then(() => settle('released'))
        else settle('released')
      },
      keep: () => settle('kept'),
    }
  }

  return {
    spend: (key) => andThen(counter.count(key), exhaustedBy),
    take: (key) =>
      andThen(counter.count(key), (counted) => {
        const exhausted = exhaustedBy(counted)
        return exhausted === null ? reserved(counted, pending.add(key)) : overdrawn(counted, exhausted)
      }),
    async takeOrWait(key) {
      let settle = pending.add(key)
      for (let retries = 0; ;) {
        const counted = await counter.count(key)
        const exhausted = exhaustedBy(counted)
        if (exhausted === null) {
          // If one point was free, there may be another.
          pending.wake(key)
          return reserved(counted, settle)
        }
        await counted.giveBack()
        if (pending.count(key) > 1) {
          settle('waits')
          const result = await pending.wait(key, exhausted)
          if (result.settle === null) return rejected(result.rejection)
          settle = result.settle
        } else if (counted.isShared && retries < RETRIES) {
          await pause(FIRST_RETRY_MS * 2 ** retries)
          retries += 1
        } else {
          pending.rejectWaiting(key, exhausted)
          settle('kept')
          return rejected(exhausted)
        }
      }
    },
  }
}

/** A request beyond the limit. It is counted too. */
function overdrawn(counted: Counted, exhausted: Standing): Reservation {
  return { ...rejected(exhausted), release: () => void counted.giveBack() }
}

/** A request that has no point. */
function rejected(exhausted: Standing): Reservation {
  return { exhausted, standing: () => exhausted, release: () => undefined, keep: () => undefined }
}

function toStanding({ consumedPoints, msBeforeNext }: Count, policy: BucketPolicy): Standing {
  const remaining = Math.max(0, policy.points - consumedPoints)
  return { ...policy, remaining, resetSeconds: msBeforeNext / 1000 }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
