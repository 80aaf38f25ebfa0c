import { ConfigurationError } from './errors.js'
import { isObject } from './json.js'

/**
 * How an option is validated: by `typeof`, as a URL, as an object with a method (`.read`), or by a predicate whose text completes
 * "must be …".
 */
export type Rule =
  | 'string'
  | 'boolean'
  | 'function'
  | 'object'
  | 'URL'
  | `.${string}`
  | readonly [expected: string, isValid: (value: unknown) => boolean]

type RequiredName<Options> = {
  [Name in keyof Options]-?: object extends Pick<Options, Name> ? never : Name
}[keyof Options]
type Rules<Name extends PropertyKey> = { readonly [Key in Name]: Rule }

/**
 * Validates an options object or named arguments. Each table declares all names of `Options`, so a missing or surplus name does not
 * compile. Throws `ConfigurationError` for an unknown, missing or invalid option. Values of strings and objects are not repeated in
 * messages: they may be secret.
 *
 * @internal Exported for the other entry points of this package.
 */
export function checkOptions<Options extends object>(
  options: Options,
  required: Rules<RequiredName<Options>>,
  optional: Rules<Exclude<keyof Options, RequiredName<Options>>>,
): void {
  const given: unknown = options
  const rules: Readonly<Record<string, Rule>> = { ...required, ...optional }
  const names = Object.keys(rules)
  if (!isObject(given)) throw new ConfigurationError('options', `must be an object with ${names.join(', ')}`)
  for (const name of [...Object.keys(given), ...names]) {
    const rule = rules[name]
    const value = given[name]
    if (!rule) throw new ConfigurationError(name, `must be removed or renamed to one of: ${names.join(', ')}`)
    if (value === undefined && name in optional) continue
    const [expected, isValid] = toPredicate(rule)
    if (!isValid(value)) throw new ConfigurationError(name, `must be ${expected}, got ${describe(value)}`)
  }
}

function toPredicate(rule: Rule): Exclude<Rule, string> {
  if (typeof rule !== 'string') return rule
  const [, method] = rule.split('.')
  if (method) return [`an object with ${method}()`, (value) => isObject(value) && typeof value[method] === 'function']
  if (rule === 'URL') return ['a URL', (value) => (typeof value === 'string' && value !== '') || value instanceof URL]
  return [`of type ${rule}`, (value) => typeof value === rule && value !== '' && value !== null]
}

function describe(value: unknown): string {
  if (value === '') return 'an empty string'
  return typeof value === 'string' || typeof value === 'function' || isObject(value) ? typeof value : String(value)
}
