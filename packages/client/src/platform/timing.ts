import type { Environment } from './environment.js'
import { unlessAborted } from './lock.js'

/**
 * Does its work with a signal that aborts after that long a time in which we were running, and waits no longer than that. Counted in short
 * ticks: a machine that sleeps for hours has used up one of them when it wakes, not all.
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
 * A request's beginning: what is called before it tells afterwards when that was, in epoch milliseconds. Of what both clocks say it
 * is the earlier, for one may have been set, and the other may have slept.
 */
export function captureStart(environment: Environment): () => number {
  const wall = environment.now()
  const elapsed = environment.elapsed()
  return () => Math.min(wall, environment.now() - environment.elapsed() + elapsed)
}

/** From 0 up to but not including 1; fine enough to draw a wait from. */
export function randomFraction(environment: Environment): number {
  const [byte = 0] = environment.random(1)
  return byte / 256
}

/** 128 random bits as text: digits and dashes, 31 to 63 of them. */
export function randomText(environment: Pick<Environment, 'random'>): string {
  return environment.random(16).join('-')
}
