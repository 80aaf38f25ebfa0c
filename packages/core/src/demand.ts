import { ConfigurationError } from './errors.js'
import { TEXT_LIMITS } from './text-limits.js'

/** Shows a wrong value in a message: what it is, and what it says only where it is a number or a short word of an option. */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined || value === null)
    return String(value)
  if (typeof value === 'string')
    return value.length <= 16 ? JSON.stringify(value) : `a string of ${String(value.length)} characters`
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

export function demandObject(option: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigurationError(option, `must be an object, got ${shown(value)}`)
}

/** Refuses unknown options: a misspelt one that is ignored looks like one that does not work. */
export function demandKnown(options: object, known: readonly string[], path = ''): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw new ConfigurationError(path + name, `is not an option here; known are ${known.join(', ')}`)
  }
}

/** Demands a name that every engine stores faithfully: not empty, not long, no NUL, no half of a surrogate pair. */
export function demandName(option: string, value: unknown): asserts value is string {
  if (isText(value, TEXT_LIMITS.nameBytes)) return
  const got = typeof value === 'string' ? `a string of ${String(Buffer.byteLength(value))} bytes` : shown(value)
  throw new ConfigurationError(
    option,
    `must be well-formed text of 1 to ${String(TEXT_LIMITS.nameBytes)} bytes without NUL, got ${got}`,
  )
}

/** Returns true for text of 1 to `maxBytes` bytes that every engine stores faithfully. */
export function isText(value: unknown, maxBytes: number): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    Buffer.byteLength(value) <= maxBytes &&
    !/[\0\p{Surrogate}]/u.test(value)
  )
}

export function demandBoolean(option: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw new ConfigurationError(option, `must be true or false, got ${shown(value)}`)
}

/** Demands a function, or nothing. */
export function demandFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function')
    throw new ConfigurationError(option, `must be a function, got ${shown(value)}; leave it out for the default`)
}

export function demandOneOf(option: string, value: unknown, choices: readonly string[]): void {
  if (typeof value === 'string' && choices.includes(value)) return
  throw new ConfigurationError(
    option,
    `must be ${choices.map((choice) => `'${choice}'`).join(' or ')}, got ${shown(value)}`,
  )
}

/** Demands an instant in epoch milliseconds, or nothing: NaN compares as false with everything and would let everything pass. */
export function demandInstant(option: string, value: unknown): void {
  if (value === undefined || value === null || (typeof value === 'number' && Number.isFinite(value))) return
  throw new ConfigurationError(option, `must be epoch milliseconds, got ${shown(value)}; of a Date take getTime()`)
}
