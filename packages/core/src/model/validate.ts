import { ConfigurationError } from './errors.js'

/**
 * Describes a value in an error message without repeating text that could be secret.
 *
 * @example
 * ```ts
 * import { describeValue } from '@baton/core/options'
 *
 * describeValue(['a', 'b']) // 'an array'
 * ```
 */
export function describeValue(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined || value === null)
    return String(value)
  if (typeof value === 'string')
    return value.length <= 16 ? JSON.stringify(value) : `a string of ${String(value.length)} characters`
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** Throws `ConfigurationError` unless the value is an object and not a list. */
export function assertObject(option: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfigurationError(option, `must be an object, got ${describeValue(value)}`)
}

/** Returns true for text of 1 to `maxBytes` bytes that every engine stores without change. */
export function isText(value: unknown, maxBytes: number): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    Buffer.byteLength(value) <= maxBytes &&
    !/[\0\p{Surrogate}]/u.test(value)
  )
}
