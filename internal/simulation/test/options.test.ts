import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const PACKAGES = new URL('../../../packages/', import.meta.url)

type Options = Readonly<Record<string, unknown>>

interface Entry {
  /** Required options, with valid values. */
  readonly required?: Options
  /** An option with a value of a wrong type. */
  readonly mistyped: readonly [name: string, value: unknown]
  /** The arguments of the call. Default: the options alone. */
  readonly toArguments?: (options: unknown) => readonly unknown[]
}

const method = () => Promise.resolve(null)
const store = Object.fromEntries(
  ['create', 'find', 'rotate', 'revoke', 'list', 'purge', 'claimOnce'].map((name) => [name, method]),
)
const secrets = ['a secret of at least thirty-two bytes']
const after =
  (...first: unknown[]) =>
  (options: unknown) => [...first, options]

/** The functions that take options, by package and name. */
const WITH_OPTIONS: Readonly<Record<string, Entry>> = {
  'store-memory memoryStore': { mistyped: ['maxFamilies', 'many'] },
  'store-postgres postgresStore': { toArguments: after({ query: method }), mistyped: ['namedStatements', 'yes'] },
  'store-redis redisStore': {
    toArguments: after({ evalsha: method, eval: method, pipeline: method }),
    mistyped: ['prefix', 1],
  },
  'store-testkit tokenStoreCases': { toArguments: after(method), mistyped: ['deletion', 'never'] },
  'store-testkit linearizabilityCases': { toArguments: after(method), mistyped: ['callers', '2'] },
  'store-testkit modelCases': { toArguments: after(method), mistyped: ['runs', '30'] },
  'import sqlTokens': { required: { query: method, find: 'SELECT' }, mistyped: ['matches', '^a$'] },
  'import redisTokens': {
    required: { client: { get: method, del: method, pttl: method }, matches: /^[0-9a-f]{80}$/ },
    mistyped: ['moved', true],
  },
  'import jwtTokens': {
    required: { key: secrets[0], algorithms: ['HS256'], isRevoked: null },
    mistyped: ['algorithms', 'HS256'],
  },
  'import oidcProviderTokens': { required: { adapter: method }, mistyped: ['subject', 'sub'] },
  'console consoleEndpoint': {
    required: { authorize: method, log: { record: method, eventsOf: method, familiesOf: method, counts: method } },
    mistyped: ['trustProxy', true],
    toArguments: after({}),
  },
  'console memoryEventLog': { mistyped: ['maxFamilies', '1000'] },
  'opentelemetry eventMetrics': { mistyped: ['clientIds', 'web'] },
  'opentelemetry observedStore': { toArguments: after(store), mistyped: ['meterProvider', {}] },
  'opentelemetry observedEndpoint': { toArguments: after('token', method), mistyped: ['tracerProvider', {}] },
  'http rateLimits': { mistyped: ['points', '60'] },
  'http csrfGuard': { mistyped: ['trustProxy', true] },
  'core createSecondHolderDetector': { mistyped: ['generations', '3'] },
  'core createRefreshTokens': { required: { store, secrets }, mistyped: ['now', 1] },
}

/** The packages of which every function that takes options has an entry. */
const COMPLETE = [
  'console',
  'import',
  'opentelemetry',
  'store-memory',
  'store-postgres',
  'store-redis',
  'store-sqlite',
  'store-testkit',
]

/** Functions of these packages that take no options. */
const WITHOUT_OPTIONS = [
  'console historyOf',
  'store-postgres migrationSql',
  'store-sqlite sqliteStore',
  'store-testkit crashCases',
  'store-testkit describeHistory',
  'store-testkit isLinearizable',
  'store-testkit recorder',
  'store-testkit withChanges',
  'store-testkit familyOf',
  'store-testkit rotationOf',
  'store-testkit successorOf',
]

const loadPackage = async (name: string) =>
  (await import(new URL(`${name}/src/index.ts`, PACKAGES).pathname)) as Readonly<Record<string, unknown>>

const isClass = (value: unknown) => typeof value === 'function' && String(value).startsWith('class')

async function callOf(entry: string): Promise<(options: unknown) => Promise<unknown>> {
  const [packageName = '', name = ''] = entry.split(' ')
  const target = (await loadPackage(packageName))[name]
  if (typeof target !== 'function') throw new TypeError(`${entry} is not a function`)
  const { toArguments = (options: unknown) => [options] } = WITH_OPTIONS[entry] ?? {}
  return async (options) => Reflect.apply(target, undefined, toArguments(options)) as unknown
}

const withoutOption = (options: Options, name: string) =>
  Object.fromEntries(Object.entries(options).filter(([each]) => each !== name))

test.each(COMPLETE)('every function of %s has an entry here', async (packageName) => {
  const exported = Object.entries(await loadPackage(packageName))
    .filter(([, value]) => typeof value === 'function' && !isClass(value))
    .map(([name]) => `${packageName} ${name}`)
  const known = [...Object.keys(WITH_OPTIONS), ...WITHOUT_OPTIONS].filter((entry) =>
    entry.startsWith(`${packageName} `),
  )
  expect(known.sort()).toEqual(exported.sort())
})

test('every package with a main export is either complete or converted later', () => {
  const later = ['cli', 'client', 'core', 'express', 'fastify', 'hono', 'http', 'koa']
  const names = readdirSync(PACKAGES).filter((name) => {
    try {
      return Object.hasOwn(
        JSON.parse(readFileSync(new URL(`${name}/package.json`, PACKAGES), 'utf8')) as object,
        'exports',
      )
    } catch {
      return false
    }
  })
  expect([...COMPLETE, ...later].sort()).toEqual(names.sort())
})

describe.each(Object.entries(WITH_OPTIONS))('%s', (entry, { required = {}, mistyped: [name, value] }) => {
  test('rejects a misspelt option with the nearest known name', async () => {
    const call = await callOf(entry)
    await expect(call({ ...required, [`${name}x`]: 1 })).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringContaining(`option "${name}x" is not an option of `) as string,
    })
    await expect(call({ ...required, [`${name}x`]: 1 })).rejects.toThrow(`did you mean "${name}"?`)
  })

  test('rejects an option of a wrong type with its rule and value', async () => {
    const call = await callOf(entry)
    await expect(call({ ...required, [name]: value })).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(new RegExp(`^option "${name}[^"]*" must be .+, got `, 's')) as string,
    })
  })

  test.each(Object.keys(required))('rejects a call without the required option %s', async (missing) => {
    const call = await callOf(entry)
    await expect(call(withoutOption(required, missing))).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(new RegExp(`^option "${missing}" is missing; it must be `)) as string,
    })
  })
})
