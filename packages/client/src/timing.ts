import type { Environment } from './environment.js'

const TICK_MS = 1000

/**
 * Calls once `ms` have passed in which we were running. Counted in short ticks: a machine that sleeps for hours has used up one of
 * them when it wakes, not all. The answer cancels.
 */
function countdown(environment: Environment, ms: number, call: () => void): () => void {
  let left = ms
  let cancel: () => void = () => undefined
  const tick = () => {
    if (left <= 0) {
      call()
      return
    }
    const slice = Math.min(TICK_MS, left)
    left -= slice
    cancel = environment.setTimer(slice, tick)
  }
  tick()
  return () => cancel()
}

/** A signal that aborts after `ms` of running time, and what calls that off. */
export function deadline(
  environment: Environment,
  ms: number,
): { readonly signal: AbortSignal; readonly cancel: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, cancel: countdown(environment, ms, () => controller.abort()) }
}

/** From 0 up to but not including 1. */
export function fraction(environment: Environment): number {
  return environment.random(4).reduce((sum, byte) => (sum + byte) / 256, 0)
}

/** 128 random bits as 32 characters. */
export function randomText(environment: Pick<Environment, 'random'>): string {
  return Array.from(environment.random(16), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
