import { ConfigurationError } from './model/errors.js'
import { parseScope } from './model/scope.js'
import { TEXT_LIMITS } from './model/text-limits.js'
import { describeValue, isText } from './model/validate.js'

export { describeValue }

/**
 * Declares the options of a function once: their types, names, defaults, checks and error messages.
 *
 * @example
 * ```ts
 * import { declareOptions, integer, oneOf, optional, type OptionsOf, required, text, withDefault } from '@baton/core/options'
 *
 * const limits = declareOptions({
 *   // The name of the bucket.
 *   name: required(text()),
 *   // Requests in one window.
 *   points: withDefault(integer({ min: 1, max: 1_000_000 }), 60),
 *   algorithm: optional(oneOf('fixed', 'sliding')),
 * })
 * type LimitOptions = OptionsOf<typeof limits>
 *
 * const { name, points } = limits.parse('createLimit', { name: 'login' } satisfies LimitOptions)
 * ```
 */
export function declareOptions<const Fields extends Declaration>(fields: Fields): Options<Fields> {
  const names = Object.keys(fields)
  const known = new Set(names)
  const declared = Object.entries(fields).map(([name, field]) => ({ name, ...field }))
  const isRequired = declared.some((field) => field.isRequired)
  const defaults = Object.fromEntries(declared.map(({ name, defaultValue }) => [name, defaultValue]))
  return {
    fields,
    names,
    parse(subject, given, path = '') {
      if (!isOptionsObject(given)) {
        if (given === undefined && !isRequired) return defaults as Resolved<Fields>
        throw new ConfigurationError(path === '' ? subject : path.slice(0, -1), broken('an object', given))
      }
      for (const name in given) {
        if (!known.has(name)) throw new ConfigurationError(path + name, unknownOption(name, { subject, names }))
      }
      const resolved = { ...defaults }
      for (const { name, rule, isRequired } of declared) {
        const value = given[name]
        if (value !== undefined) resolved[name] = rule.parse(value, path + name)
        else if (isRequired && rule.acceptsMissing !== true)
          throw new ConfigurationError(path + name, `is missing; it must be ${rule.expected}`)
      }
      return resolved as Resolved<Fields>
    },
    extend: (own) => declareOptions({ ...fields, ...own }),
    describe: (path = '') =>
      declared.map(({ name, rule, isRequired, defaultValue }) => {
        return { name: path + name, expected: rule.expected, isRequired, defaultValue }
      }),
  }
}

/** The declared options of one function. */
export interface Options<Fields extends Declaration> {
  readonly fields: Fields
  readonly names: readonly string[]
  /**
   * Returns the options with their defaults. If no option is required, the object may be missing. `subject` names the function in messages,
   * `path` is put before option names, such as `policy.`. Throws `ConfigurationError` for an unknown, missing or invalid option.
   */
  parse(subject: string, given: unknown, path?: string): Resolved<Fields>
  /** Declares these options and `own`, which win over options of the same name. */
  extend<const Own extends Declaration>(own: Own): Options<Omit<Fields, keyof Own> & Own>
  /** Returns one row for each option, for tables in documentation. */
  describe(path?: string): readonly OptionRow[]
}

export interface OptionRow {
  readonly name: string
  /** Completes "must be …". */
  readonly expected: string
  readonly isRequired: boolean
  readonly defaultValue: unknown
}

/** How one value is checked: `Input` is what a caller passes, `Output` what `parse` returns. */
export interface Rule<Input, Output = Input> {
  /** Completes "must be …". */
  readonly expected: string
  /** True if a required option may be missing: the function handles it. */
  readonly acceptsMissing?: boolean
  /** Returns the value, checked. Throws `ConfigurationError` that names `option`. */
  readonly parse: (value: unknown, option: string) => Output
  /** Exists in the type only. */
  readonly input?: Input
}

export interface Field<Input, Output, IsRequired extends boolean> {
  readonly rule: Rule<Input, Output>
  readonly isRequired: IsRequired
  readonly defaultValue: Output | undefined
}

type Declaration = Readonly<Record<string, Field<unknown, unknown, boolean>>>

type InputOf<Item> = Item extends Field<infer Input, unknown, boolean> ? Input : never
type OutputOf<Item> = Item extends { readonly rule: Rule<unknown, infer Output>; readonly defaultValue: infer Default }
  ? Item extends Field<unknown, unknown, true>
    ? Output
    : undefined extends Default
      ? Output | undefined
      : Output
  : never

/** What a caller passes: required options, and the others, which may be missing or undefined. */
export type OptionsOf<Declared extends Options<Declaration>> = Flat<
  {
    readonly [
      Name in keyof Declared['fields'] as Declared['fields'][Name] extends Field<unknown, unknown, true> ? Name : never
    ]: InputOf<Declared['fields'][Name]>
  } & {
    readonly [
      Name in keyof Declared['fields'] as Declared['fields'][Name] extends Field<unknown, unknown, true> ? never : Name
    ]?: InputOf<Declared['fields'][Name]> | undefined
  }
>

/** One object type in the place of an intersection; doc comments stay. */
type Flat<Type> = { [Name in keyof Type]: Type[Name] }

/** What `parse` returns. */
export type Resolved<Fields extends Declaration> = { readonly [Name in keyof Fields]: OutputOf<Fields[Name]> }

/** What `parse` of these options returns. */
export type ParsedOptions<Declared extends Options<Declaration>> = Resolved<Declared['fields']>

/** An option that must be given. */
export function required<Input, Output>(rule: Rule<Input, Output>): Field<Input, Output, true> {
  return { rule, isRequired: true, defaultValue: undefined }
}

/** An option that may be missing. */
export function optional<Input, Output>(
  rule: Rule<Input, Output>,
): Field<Input, Output, false> & { readonly defaultValue: undefined } {
  return { rule, isRequired: false, defaultValue: undefined }
}

/** An option with a default value. */
export function withDefault<Input, Output>(
  rule: Rule<Input, Output>,
  defaultValue: NoInfer<Output>,
): Field<Input, Output, false> & { readonly defaultValue: Output } {
  return { rule, isRequired: false, defaultValue }
}

/** A rule from a predicate. `expected` completes "must be …", `fix` says what to do about a value that fails. */
export function rule<Value>(
  expected: string,
  accepts: (value: unknown) => boolean,
  fix?: string | ((value: unknown) => string | undefined),
): Rule<Value> {
  return {
    expected,
    parse(value, option) {
      if (accepts(value)) return value as Value
      throw new ConfigurationError(option, broken(expected, value, typeof fix === 'function' ? fix(value) : fix))
    },
  }
}

/** True or false. */
export const boolean = (): Rule<boolean> => rule('true or false', (value) => typeof value === 'boolean')

/** A function of the type `Signature`, which is not checked at run time. */
export const func = <Signature extends (...args: never[]) => unknown>(): Rule<Signature> =>
  rule('a function', (value) => typeof value === 'function')

/** One of these values. */
export function oneOf<const Values extends readonly (string | boolean | null)[]>(
  ...values: Values
): Rule<Values[number]> {
  const expected = values.map((value) => JSON.stringify(value)).join(' or ')
  return rule(expected, (value) => (values as readonly unknown[]).includes(value))
}

export interface IntegerLimits {
  readonly min: number
  readonly max: number
  readonly fix?: string
}

/** An integer from `min` to `max`. `fix` completes the error message: what to do about another value. */
export function integer({ min, max, fix }: IntegerLimits): Rule<number> {
  return rule(`an integer from ${String(min)} to ${String(max)}`, isIntegerWithin(min, max), fix)
}

/** A duration in whole seconds. A value that looks like milliseconds gets a hint. */
export function seconds({ min, max, fix }: IntegerLimits): Rule<number> {
  const hint = (value: unknown) =>
    typeof value === 'number' && value >= 1000 && value % 1000 === 0
      ? `${String(value)} milliseconds are ${String(value / 1000)} seconds`
      : fix
  return rule(`a whole number of seconds from ${String(min)} to ${String(max)}`, isIntegerWithin(min, max), hint)
}

/** Text that every engine stores unchanged: not empty, bounded, no NUL, no unpaired surrogate. */
export function text({
  maxBytes = TEXT_LIMITS.nameBytes,
  fix,
}: { readonly maxBytes?: number; readonly fix?: string } = {}): Rule<string> {
  const length = (value: unknown) =>
    typeof value === 'string' && Buffer.byteLength(value) > maxBytes
      ? `it is ${String(Buffer.byteLength(value))} bytes long`
      : undefined
  return rule(
    `well-formed text of 1 to ${String(maxBytes)} bytes without NUL`,
    (value) => isText(value, maxBytes),
    (value) => fix ?? length(value),
  )
}

/** A string that matches the pattern. `expected` completes "must be …". */
export const matching = (pattern: RegExp, expected: string, fix?: string): Rule<string> =>
  rule(expected, (value) => typeof value === 'string' && pattern.test(value), fix)

/** Scope tokens of RFC 6749 section 3.3, separated by single spaces; empty for none. */
export const scopeText = (): Rule<string> =>
  rule(
    'scope tokens separated by single spaces',
    (value) => typeof value === 'string' && parseScope(value) !== null,
    'see RFC 6749 section 3.3 for the characters of a scope token',
  )

/** A plain object, such as metadata or claims. */
export const plainObject = (): Rule<Readonly<Record<string, unknown>>> =>
  rule('an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value))

const MIN_SECRET_BYTES = 32
const SECRET_FIX = 'create one with: openssl rand -hex 32'

/** A secret of at least 32 bytes. Messages contain its type and length, never its text. */
export function secret(): Rule<string | Uint8Array | undefined, Uint8Array> {
  const expected = `at least ${String(MIN_SECRET_BYTES)} random bytes`
  return {
    expected,
    parse(value, option) {
      const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
      if (bytes instanceof Uint8Array && bytes.length >= MIN_SECRET_BYTES) return bytes
      const got = bytes instanceof Uint8Array ? `${String(bytes.length)} bytes` : describeValue(value)
      throw new ConfigurationError(option, `must be ${expected}, got ${got}; ${SECRET_FIX}`)
    },
  }
}

/** `[current, ...older]`, at least 32 bytes each. `undefined`, as of an unset environment variable, compiles and throws. */
export type Secrets = readonly (string | Uint8Array | undefined)[]

/** A secret ring: the first secret is used for new values, all of them for verification. */
export function secretRing(): Rule<Secrets, readonly [Uint8Array, ...Uint8Array[]]> {
  const expected = `a list [current, ...older] of secrets, each ${secret().expected}`
  return {
    expected,
    parse(value, option) {
      const given: readonly unknown[] = Array.isArray(value) ? value : []
      const [current, ...older] = given.map((each, index) => secret().parse(each, `${option}[${String(index)}]`))
      if (current !== undefined) return [current, ...older]
      const got = Array.isArray(value) ? 'an empty list' : typeof value === 'string' ? 'a string' : describeValue(value)
      throw new ConfigurationError(option, `must be ${expected}, got ${got}; ${SECRET_FIX}`)
    },
  }
}

/** An object with these methods, such as what a factory of this library returns. */
export const objectWith = <Value>(methods: readonly string[], expected: string, fix?: string): Rule<Value> =>
  rule(
    expected,
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === 'function'),
    fix,
  )

/** An array of `min` to `max` items, each of which the rule `item` accepts. Default: 0 to 1000 items. */
export function listOf<Input, Output>(
  item: Rule<Input, Output>,
  { min = 0, max = 1000 }: { readonly min?: number; readonly max?: number } = {},
): Rule<readonly Input[], readonly Output[]> {
  const expected = `a list of ${String(min)} to ${String(max)} items, each ${item.expected}`
  const list = rule<readonly unknown[]>(
    expected,
    (value) => Array.isArray(value) && value.length >= min && value.length <= max,
  )
  return {
    expected,
    parse: (value, option) =>
      list.parse(value, option).map((each, index) => item.parse(each, `${option}[${String(index)}]`)),
  }
}

/** A value that the rule accepts, or null. */
export function nullable<Input, Output>({ expected, parse }: Rule<Input, Output>): Rule<Input | null, Output | null> {
  return { expected: `${expected} or null`, parse: (value, option) => (value === null ? null : parse(value, option)) }
}

/** Exactly `literal`, or what `other` accepts. */
export function literalOr<const Literal extends boolean | string, Input, Output>(
  literal: Literal,
  other: Rule<Input, Output>,
): Rule<Input | Literal, Output | Literal> {
  return {
    expected: `${JSON.stringify(literal)} or ${other.expected}`,
    parse: (value, option) => (value === literal ? literal : other.parse(value, option)),
  }
}

/** An options object inside another one. */
export function nested<Fields extends Declaration>(
  options: Options<Fields>,
): Rule<OptionsOf<Options<Fields>>, Resolved<Fields>> {
  return { expected: 'an object', parse: (value, option) => options.parse(option, value, `${option}.`) }
}

/**
 * A value that a client sent. It may be of any type, also missing: the function rejects the request and does not throw. `Value` is the
 * type in the declaration.
 */
export const untrusted = <Value>(): Rule<Value, unknown> => ({
  expected: 'a value that the client sent',
  acceptsMissing: true,
  parse: (value) => value,
})

/** An instant in epoch milliseconds. NaN is rejected because every comparison with it is false. */
export const instant = (): Rule<number> =>
  rule('a finite number of epoch milliseconds', (value) => Number.isFinite(value), 'call getTime() on a Date')

/** An object that is used unchanged, with its prototype. Its members are checked like options. */
export function checkedObject<Fields extends Declaration>(options: Options<Fields>): Rule<OptionsOf<Options<Fields>>> {
  return {
    expected: 'an object',
    parse(value, option) {
      options.parse(option, value, `${option}.`)
      return value as OptionsOf<Options<Fields>>
    },
  }
}

function isOptionsObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isIntegerWithin(min: number, max: number): (value: unknown) => boolean {
  return (value) => typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

function broken(expected: string, value: unknown, fix?: string): string {
  return `must be ${expected}, got ${describeValue(value)}${fix === undefined ? '' : `; ${fix}`}`
}

function unknownOption(
  name: string,
  { subject, names }: { readonly subject: string; readonly names: readonly string[] },
) {
  const similar = nearestName(name, names)
  const suggestion = similar === null ? '' : `; did you mean "${similar}"?`
  return `is not an option of ${subject}${suggestion} (options: ${names.join(', ')})`
}

const MAX_TYPOS = 2

/**
 * Returns the name that was probably meant, or null.
 *
 * @example
 * ```ts
 * import { nearestName } from '@baton/core/options'
 *
 * nearestName('graceSecond', ['graceSeconds', 'reuse']) // 'graceSeconds'
 * ```
 */
export function nearestName(word: string, names: readonly string[]): string | null {
  const [best] = names
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((one, other) => one.distance - other.distance)
  return best !== undefined && best.distance <= MAX_TYPOS && best.distance < best.name.length ? best.name : null
}

/** The number of characters to insert, delete or replace. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [index, character] of Array.from(one).entries()) {
    const next = [index + 1]
    for (const [at, otherCharacter] of Array.from(other).entries()) {
      const [left = 0, above = 0, diagonal = 0] = [next[at], row[at + 1], row[at]]
      next.push(Math.min(left + 1, above + 1, diagonal + (character === otherCharacter ? 0 : 1)))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
