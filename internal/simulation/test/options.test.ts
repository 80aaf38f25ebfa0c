import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CONTRACTS, type Options, UNCHECKED, WITH_OPTIONS, WITHOUT_OPTIONS } from './public-functions.js'

const PACKAGES = new URL('../../../packages/', import.meta.url)

/** The names of the modules that users import, such as `client` and `client/dpop`. */
const MODULES = readdirSync(PACKAGES).flatMap((packageName) => {
  const { exports = {} } = readManifest(packageName)
  const subpaths = Object.keys(exports).filter((subpath) => subpath !== './package.json')
  return subpaths.map((subpath) => packageName + subpath.slice(1))
})

function readManifest(packageName: string): { readonly exports?: object } {
  try {
    return JSON.parse(readFileSync(new URL(`${packageName}/package.json`, PACKAGES), 'utf8')) as object
  } catch {
    // A directory without a manifest is what a build of another commit has left.
    return {}
  }
}

async function loadModule(module: string): Promise<Options> {
  const [packageName = '', subpath = 'index'] = module.split('/')
  return (await import(new URL(`${packageName}/src/${subpath}.ts`, PACKAGES).pathname)) as Options
}

const isClass = (value: unknown) => typeof value === 'function' && String(value).startsWith('class')

/** Returns the names of the functions of an object. */
const functionNames = (object: object) =>
  Object.entries(object)
    .filter(([, value]) => typeof value === 'function' && !isClass(value))
    .map(([name]) => name)

/** Returns a public function, or a method of what a public function returns, that takes the options alone. */
async function callOf(entry: string): Promise<(options: unknown) => Promise<unknown>> {
  const [module = '', path = ''] = entry.split(' ')
  const [name = '', method] = path.split('.')
  const owner = method === undefined ? await loadModule(module) : await resultOf(`${module} ${name}`)
  const target: unknown = Reflect.get(Object(owner) as object, method ?? name)
  if (typeof target !== 'function') throw new TypeError(`${entry} is not a function`)
  const { toArguments = (options: unknown) => [options] } = WITH_OPTIONS[entry] ?? {}
  return async (options) => Reflect.apply(target, owner, toArguments(options)) as unknown
}

/** Calls a function with its required options. */
async function resultOf(entry: string): Promise<unknown> {
  const call = await callOf(entry)
  return call(WITH_OPTIONS[entry]?.required ?? {})
}

/** Returns the methods of what a function returns, which users call. */
async function methodsOf(entry: string): Promise<readonly string[]> {
  const result = await resultOf(entry).catch(() => null)
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return []
  const methods = functionNames(result)
  const [, contract = []] = Object.entries(CONTRACTS).find(([name]) => methods.includes(name)) ?? []
  return methods.filter((name) => !contract.includes(name)).map((name) => `${entry}.${name}`)
}

const isOf = (module: string) => (entry: string) => entry.startsWith(`${module} `)

const withoutOption = (options: Options, name: string) =>
  Object.fromEntries(Object.entries(options).filter(([each]) => each !== name))

test.each(MODULES)(
  'every public function of %s is listed as one with, without or with unchecked options',
  async (module) => {
    const functions = functionNames(await loadModule(module)).map((name) => `${module} ${name}`)
    const factories = Object.keys(WITH_OPTIONS)
      .filter(isOf(module))
      .filter((entry) => !entry.includes('.'))
    const methods = await Promise.all(factories.map(methodsOf))
    const listed = [...Object.keys(WITH_OPTIONS), ...WITHOUT_OPTIONS, ...Object.keys(UNCHECKED)].filter(isOf(module))
    expect(listed.sort()).toEqual([...functions, ...methods.flat()].sort())
  },
)

test('every listed function is one of a published module', () => {
  const listed = [...Object.keys(WITH_OPTIONS), ...WITHOUT_OPTIONS, ...Object.keys(UNCHECKED)]
  expect(listed.filter((entry) => !MODULES.some((module) => isOf(module)(entry)))).toEqual([])
})

/** The messages of a module. The client has no list of names that are similar, and its error names all options instead. */
const messagesOf = (entry: string) =>
  entry.startsWith('client')
    ? { unknown: 'must be removed or renamed to one of: ', missing: 'must be .+, got undefined' }
    : { unknown: 'is not an option of .+', missing: 'is missing; it must be ' }

const errorWith = (pattern: string) => ({
  name: 'ConfigurationError',
  message: expect.stringMatching(new RegExp(pattern, 's')) as string,
})

describe.each(Object.entries(WITH_OPTIONS))('%s', (entry, { required = {}, mistyped: [name, value] }) => {
  const { unknown, missing } = messagesOf(entry)

  test('accepts its required options', async () => {
    const error: unknown = await resultOf(entry).catch((thrown: unknown) => thrown)
    expect(error).not.toMatchObject({ name: 'ConfigurationError' })
  })

  test('rejects a misspelt option with the nearest name or all names', async () => {
    const call = await callOf(entry)
    const misspelt = call({ ...required, [`${name}x`]: 1 })
    await expect(misspelt).rejects.toMatchObject(errorWith(`^option "${name}x" ${unknown}`))
    const suggested = entry.startsWith('client') ? [...Object.keys(required), name] : [`did you mean "${name}"?`]
    for (const text of suggested) await expect(misspelt).rejects.toThrow(text)
  })

  test('rejects an option of a wrong type with its rule and value', async () => {
    const call = await callOf(entry)
    const wrong = call({ ...required, [name]: value })
    await expect(wrong).rejects.toMatchObject(errorWith(`^option "${name}[^"]*" must be .+, got `))
  })

  test.each(Object.keys(required))('rejects a call without the required option %s', async (absent) => {
    const call = await callOf(entry)
    const incomplete = call(withoutOption(required, absent))
    await expect(incomplete).rejects.toMatchObject(errorWith(`^option "${absent}" ${missing}`))
  })
})
