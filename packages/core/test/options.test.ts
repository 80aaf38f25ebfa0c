import { describe, expect, expectTypeOf, it } from 'vitest'
import { ConfigurationError } from '../src/index.js'
import {
  boolean,
  declareOptions,
  func,
  integer,
  listOf,
  literalOr,
  nested,
  nullable,
  objectWith,
  oneOf,
  type OptionsOf,
  optional,
  required,
  seconds,
  secretRing,
  text,
  withDefault,
} from '../src/options.js'

const inner = declareOptions({ idleSeconds: withDefault(nullable(seconds({ min: 1, max: 3600 })), 60) })
const declared = declareOptions({
  name: required(text()),
  points: withDefault(integer({ min: 1, max: 100, fix: 'use false for no limit' }), 60),
  mode: optional(oneOf('always', 'never')),
  onEvent: optional(func<(event: string) => unknown>()),
  limits: optional(nested(inner)),
  store: optional(objectWith<{ find(): void }>(['find'], 'a store', 'pass what memoryStore() returns')),
  tags: withDefault(listOf(text(), { max: 2 }), []),
  rate: optional(literalOr(false, integer({ min: 1, max: 9 }))),
  strict: withDefault(boolean(), false),
})
type Given = OptionsOf<typeof declared>

describe('declareOptions', () => {
  it('derives the type of the options and of what parse returns', () => {
    expectTypeOf<Given['name']>().toEqualTypeOf<string>()
    expectTypeOf<Given['points']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<Given['limits']>().toEqualTypeOf<{ readonly idleSeconds?: number | null | undefined } | undefined>()
    expectTypeOf<Given['rate']>().toEqualTypeOf<false | number | undefined>()
    const options = declared.parse('createLimit', { name: 'login' } satisfies Given)
    expectTypeOf(options.points).toEqualTypeOf<number>()
    expectTypeOf(options.mode).toEqualTypeOf<'always' | 'never' | undefined>()
    expectTypeOf(options.limits).toEqualTypeOf<{ readonly idleSeconds: number | null } | undefined>()
    expectTypeOf(options.onEvent).toEqualTypeOf<((event: string) => unknown) | undefined>()
  })

  it('fills in defaults, also in nested options and for undefined', () => {
    expect(declared.parse('createLimit', { name: 'login', points: undefined, limits: {} })).toEqual({
      name: 'login',
      points: 60,
      mode: undefined,
      onEvent: undefined,
      limits: { idleSeconds: 60 },
      store: undefined,
      tags: [],
      rate: undefined,
      strict: false,
    })
    expect(declared.parse('createLimit', { name: 'x', rate: false, limits: { idleSeconds: null } })).toMatchObject({
      rate: false,
      limits: { idleSeconds: null },
    })
  })

  it.each<[string, unknown, string]>([
    ['name', {}, 'option "name" is missing; it must be well-formed text of 1 to 1024 bytes without NUL'],
    [
      'point',
      { name: 'x', point: 1 },
      'option "point" is not an option of createLimit; did you mean "points"? (options: name, points, mode, onEvent, limits, store, tags, rate, strict)',
    ],
    [
      'points',
      { name: 'x', points: 0 },
      'option "points" must be an integer from 1 to 100, got 0; use false for no limit',
    ],
    [
      'points',
      { name: 'x', points: null },
      'option "points" must be an integer from 1 to 100, got null; use false for no limit',
    ],
    ['mode', { name: 'x', mode: 'sometimes' }, 'option "mode" must be "always" or "never", got "sometimes"'],
    ['onEvent', { name: 'x', onEvent: 'log' }, 'option "onEvent" must be a function, got "log"'],
    ['limits', { name: 'x', limits: [] }, 'option "limits" must be an object, got a list'],
    [
      'limits.idleSeconds',
      { name: 'x', limits: { idleSeconds: 60_000 } },
      'option "limits.idleSeconds" must be a whole number of seconds from 1 to 3600, got 60000; 60000 milliseconds are 60 seconds',
    ],
    [
      'store',
      { name: 'x', store: {} },
      'option "store" must be a store, got an object; pass what memoryStore() returns',
    ],
    [
      'tags[1]',
      { name: 'x', tags: ['a', ''] },
      'option "tags[1]" must be well-formed text of 1 to 1024 bytes without NUL, got ""',
    ],
    ['rate', { name: 'x', rate: true }, 'option "rate" must be an integer from 1 to 9, got true'],
    ['strict', { name: 'x', strict: 'yes' }, 'option "strict" must be true or false, got "yes"'],
    ['createLimit', 'x', 'option "createLimit" must be an object, got "x"'],
  ])('names option %s, its rule, the value and the fix', (option, given, message) => {
    const error = (() => {
      try {
        declared.parse('createLimit', given)
      } catch (thrown) {
        return thrown
      }
      return undefined
    })()
    expect(error).toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({ option, message })
  })

  it('does not repeat long text, which could be a secret, in a message', () => {
    const secret = 'a-secret-longer-than-sixteen-characters'
    expect(() => declared.parse('createLimit', { name: 'x', mode: secret })).toThrow(
      'option "mode" must be "always" or "never", got a string of 39 characters',
    )
  })

  it('extends a declaration by more options', () => {
    const extended = inner.extend({ graceSeconds: withDefault(seconds({ min: 0, max: 60 }), 30) })
    expectTypeOf<OptionsOf<typeof extended>>().toEqualTypeOf<{
      readonly idleSeconds?: number | null | undefined
      readonly graceSeconds?: number | undefined
    }>()
    expect(extended.parse('policy', { graceSeconds: 0 })).toEqual({ idleSeconds: 60, graceSeconds: 0 })
    expect(extended.names).toEqual(['idleSeconds', 'graceSeconds'])
  })

  it('describes each option for tables in documentation', () => {
    expect(declared.describe().slice(0, 2)).toEqual([
      {
        name: 'name',
        expected: 'well-formed text of 1 to 1024 bytes without NUL',
        isRequired: true,
        defaultValue: undefined,
      },
      { name: 'points', expected: 'an integer from 1 to 100', isRequired: false, defaultValue: 60 },
    ])
  })

  it.each<[string, unknown, string]>([
    [
      'keys',
      'one secret',
      'option "keys" must be a list [current, ...older] of secrets, each at least 32 random bytes, got a string; create one with: openssl rand -hex 32',
    ],
    [
      'keys',
      [],
      'option "keys" must be a list [current, ...older] of secrets, each at least 32 random bytes, got an empty list; create one with: openssl rand -hex 32',
    ],
    [
      'keys[0]',
      [undefined],
      'option "keys[0]" must be at least 32 random bytes, got undefined; create one with: openssl rand -hex 32',
    ],
    [
      'keys[1]',
      ['x'.repeat(32), 'short'],
      'option "keys[1]" must be at least 32 random bytes, got 5 bytes; create one with: openssl rand -hex 32',
    ],
  ])('does not repeat a secret in the message about option %s', (option, keys, message) => {
    const ring = declareOptions({ keys: required(secretRing()) })
    expect(() => ring.parse('seal', { keys })).toThrow(expect.objectContaining({ option, message }))
  })

  it('returns the bytes of secrets that are text', () => {
    const ring = declareOptions({ keys: required(secretRing()) })
    const secrets = ['ü'.repeat(16), new Uint8Array(32)] as const
    expect(ring.parse('seal', { keys: secrets }).keys).toEqual([Buffer.from(secrets[0]), secrets[1]])
  })
})
