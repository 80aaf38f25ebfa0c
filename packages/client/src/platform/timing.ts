import type { Environment } from './environment.js'
import { unlessAborted } from './lock.js'

/**
 * Runs `work` with a signal that aborts after `seconds`, and rejects then. Counts short ticks, so that a long sleep of the machine uses up
 * only one of them.
 */
export async function within<T>(
  environment: Environment,
  seconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const { signal } = controller
  let cancel: () => void = () => undefined
  const tick = (left: number) => {
    if (left > 0) cancel = environment.setTimer(1000 * Math.min(1, left), () => tick(left - 1))
    else controller.abort()
  }
  tick(seconds)
  try {
    return await unlessAborted(work(signal), signal)
  } finally {
    cancel()
  }
}

/**
 * Returns a function that returns the start time of a request in epoch milliseconds. It uses the earlier result of both clocks: the wall
 * clock may have been set, and the monotonic clock may have stopped during sleep.
 */
export function captureStart(environment: Environment): () => number {
  const wall = environment.now()
  const elapsed = environment.elapsed()
  return () => Math.min(wall, environment.now() - environment.elapsed() + elapsed)
}

/** Returns a random number from 0 to 1, exclusive, in steps of 1/256. */
export function randomFraction(environment: Environment): number {
  const [byte = 0] = environment.random(1)
  return byte / 256
}

/** Returns 128 random bits as 31 to 63 digits and dashes. */
export function randomText(environment: Pick<Environment, 'random'>): string {
  return environment.random(16).join('-')
}
