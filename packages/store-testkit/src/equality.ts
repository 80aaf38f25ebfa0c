import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

/** Claims that both are the same, down to the last field; wherever their plain objects and arrays come from. */
export function isEqual(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(withLocalPrototypes(one), withLocalPrototypes(other))
}

/** Throws an `AssertionError` with the difference unless `isEqual`. */
export function assertEqual<Expected>(actual: unknown, expected: Expected): asserts actual is Expected {
  assert.deepEqual(withLocalPrototypes(actual), withLocalPrototypes(expected))
}

/** jest runs tests in a separate realm, where the values that `structuredClone` and drivers return have prototypes of another realm. */
function withLocalPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, withLocalPrototypes)
  if (typeof value !== 'object' || value === null || !isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withLocalPrototypes(part)]))
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype !== null && Object.getPrototypeOf(prototype) === null
}
