import { MisuseError } from '../errors.js'

export interface ClientRequirements {
  /** The function that received the client, for messages. */
  readonly caller: string
  /** The methods that the client must have. Of methods in an inner list one is enough. */
  readonly methods: readonly (string | readonly string[])[]
  /** Completes the message, such as `give a pg Pool`. */
  readonly advice: string
}

/**
 * Asserts that a value is a database client with these methods. Throws `MisuseError` that says what the value is instead: a URL, a class,
 * a promise of a client, or an object that lacks a method. Messages do not contain the value, which may be a URL with a password.
 */
export function assertClient(
  client: unknown,
  { caller, methods, advice }: ClientRequirements,
): asserts client is object {
  if (typeof client !== 'object' || client === null) throw new MisuseError(caller, `got ${kindOf(client)}; ${advice}`)
  const has = (method: string) => typeof Reflect.get(client, method) === 'function'
  if (has('then')) throw new MisuseError(caller, `got a promise; await it, and ${advice}`)
  const missing = methods
    .map((alternatives) => (typeof alternatives === 'string' ? [alternatives] : alternatives))
    .filter((alternatives) => !alternatives.some(has))
    .map((alternatives) => alternatives.map((method) => `${method}()`).join(' or '))
  if (missing.length > 0) throw new MisuseError(caller, `got an object without ${missing.join(' and ')}; ${advice}`)
}

function kindOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'function' ? `a ${typeof value}` : String(value)
}
