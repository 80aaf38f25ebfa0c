import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

/** Claims that both are the same, down to the last field; wherever their plain objects and arrays come from. */
export function isEqual(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(atHome(one), atHome(other))
}

/** Throws an `AssertionError` with the difference unless `isEqual`. */
export function assertEqual<Expected>(actual: unknown, expected: Expected): asserts actual is Expected {
  assert.deepEqual(atHome(actual), atHome(expected))
}

/** jest runs tests in a realm of their own, in which what `structuredClone` and drivers return has foreign prototypes. */
function atHome(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, atHome)
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, atHome(part)]))
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype !== null && Object.getPrototypeOf(prototype) === null
}
