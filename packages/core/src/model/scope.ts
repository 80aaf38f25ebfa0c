/** One or more of the characters that RFC 6749 section 3.3 allows in a scope token. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/**
 * Splits a scope by the grammar of [RFC 6749 section 3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3) and removes duplicates.
 * Returns null for a syntax error. Empty is valid.
 *
 * @example
 * ```ts
 * import { parseScope } from '@baton/core'
 *
 * parseScope('orders:read orders:write') // ['orders:read', 'orders:write']
 * parseScope('orders:read  orders:write') // null, because of two spaces
 * ```
 */
export function parseScope(scope: unknown): string[] | null {
  if (typeof scope !== 'string') return null
  if (scope === '') return []
  const tokens = scope.split(' ')
  return tokens.every((token) => SCOPE_TOKEN.test(token)) ? [...new Set(tokens)] : null
}

/**
 * Returns true if every requested item is granted.
 *
 * @example
 * ```ts
 * import { isWithin, parseScope } from '@baton/core'
 *
 * const granted = parseScope('orders:read orders:write') ?? []
 * isWithin(['orders:read'], granted) // true
 * ```
 */
export function isWithin(requested: readonly string[], granted: readonly string[]): boolean {
  return requested.every((item) => granted.includes(item))
}
