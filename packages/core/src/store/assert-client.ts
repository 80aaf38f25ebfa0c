import { ConfigurationError } from '../model/errors.js'

export interface ClientRequirements {
  /** The name of the argument, for messages. */
  readonly option: string
  /** Completes "must be …", such as `a Pool or a connected Client of pg`. */
  readonly expected: string
  /** The methods that the client must have. Of methods in an inner list one is enough. */
  readonly methods: readonly (string | readonly string[])[]
}

/**
 * Asserts that a value is a database client with these methods. Throws `ConfigurationError` that says what the value is instead: a URL,
 * a class, a promise of a client, or an object that lacks a method. Messages do not contain the value, which may be a URL with a password.
 *
 * @example
 * ```ts
 * import { assertClient } from '@baton/core/store'
 *
 * export function myStore(client: object) {
 *   assertClient(client, { option: 'client', expected: 'a connected client', methods: ['query', ['end', 'close']] })
 * }
 * ```
 */
export function assertClient(
  client: unknown,
  { option, expected, methods }: ClientRequirements,
): asserts client is object {
  const reject = (got: string): never => {
    throw new ConfigurationError(option, `must be ${expected}, got ${got}`)
  }
  if (typeof client !== 'object' || client === null) return reject(kindOf(client))
  const has = (method: string) => typeof Reflect.get(client, method) === 'function'
  if (has('then')) return reject('a promise; await it first')
  const missing = methods
    .map((alternatives) => (typeof alternatives === 'string' ? [alternatives] : alternatives))
    .filter((alternatives) => !alternatives.some(has))
    .map((alternatives) => alternatives.map((method) => `${method}()`).join(' or '))
  if (missing.length > 0) reject(`an object without ${missing.join(' and ')}`)
}

function kindOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'function' ? `a ${typeof value}` : String(value)
}
