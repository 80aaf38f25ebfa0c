import { describeValue } from './validate.js'
import { ConfigurationError } from './errors.js'

/** The latest instant that a `Date` can hold. Every engine stores an integer of this size exactly. */
const MAX_NUMBER = 8.64e15
/** Tokens carry whole seconds in 32 bits, which end in the year 2106. */
const CLOCK_END = 2 ** 32 * 1000

/** The maximum clock difference between two instances. Records are kept for this much longer than needed. */
export const MAX_SKEW_MS = 60_000

/**
 * Returns the same object, or a copy in which every number is an integer that every engine stores exactly: fractions are dropped,
 * and what is too large or infinite becomes the largest such integer. Throws `ConfigurationError` for NaN.
 */
export function withIntegers<Value extends object>(value: Value): Value {
  let changed: Record<string, number> | null = null
  for (const [name, member] of Object.entries(value)) {
    if (typeof member !== 'number' || isStorable(member)) continue
    changed ??= {}
    changed[name] = toInteger(name, member)
  }
  return changed === null ? value : { ...value, ...changed }
}

/** Returns the nearest storable integer that is not above `value`. Throws `ConfigurationError` for NaN. */
export function toInteger(name: string, value: number): number {
  if (isStorable(value)) return value
  if (Number.isNaN(value)) throw new ConfigurationError(name, 'must be a number, got NaN')
  return Math.max(-MAX_NUMBER, Math.min(Math.floor(value), MAX_NUMBER))
}

function isStorable(value: number): boolean {
  return Number.isInteger(value) && value >= -MAX_NUMBER && value <= MAX_NUMBER
}

/** Returns the clock in whole milliseconds. The returned clock throws `ConfigurationError` for values that are not epoch milliseconds, such as those of a monotonic clock. */
export function wholeClock(now: () => number): () => number {
  return () => {
    const instant: unknown = now()
    if (typeof instant === 'number' && instant >= 0 && instant < CLOCK_END) return Math.floor(instant)
    throw new ConfigurationError('now', `must return epoch milliseconds, got ${describeValue(instant)}`)
  }
}
