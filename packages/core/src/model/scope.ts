/** One or more of the characters that RFC 6749 section 3.3 allows in a scope token. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Splits a scope by the grammar of RFC 6749 section 3.3 and removes duplicates. Returns null for a syntax error. Empty is valid. */
export function parseScope(scope: unknown): string[] | null {
  if (typeof scope !== 'string') return null
  if (scope === '') return []
  const tokens = scope.split(' ')
  return tokens.every((token) => SCOPE_TOKEN.test(token)) ? [...new Set(tokens)] : null
}

/** Returns true if every requested item is granted. */
export function isWithin(requested: readonly string[], granted: readonly string[]): boolean {
  return requested.every((item) => granted.includes(item))
}
