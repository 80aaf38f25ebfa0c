import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  createRefreshTokens,
  type LegacyTokenSource,
  type PolicyOptions,
  type RefreshTokens,
  type TokenStore,
} from '@baton/core'
import { type Command, type Input, type CommandContext, UsageError } from './command.js'
import { type OpenStore, openUrl } from './store-url.js'

/** The default export of `baton.config.js`. */
export interface Config {
  readonly store?: TokenStore
  readonly secrets?: readonly (string | Uint8Array | undefined)[]
  readonly policy?: PolicyOptions
  readonly legacyTokens?: LegacyTokenSource
  readonly tokenPrefix?: string
  /** Closes the connections of the store, so that the process exits. */
  readonly close?: () => unknown
}

/** The options of every command that opens the store. */
export const STORE_OPTIONS: Command['options'] = {
  store: {
    type: 'string',
    value: 'url',
    description: 'sqlite:file.db, redis://… or postgres://…; default: BATON_STORE or the config',
  },
  prefix: { type: 'string', value: 'text', description: 'prefix of the keys in Redis; default baton:' },
  schema: { type: 'string', value: 'name', description: 'schema of the tables in PostgreSQL; default baton' },
  config: {
    type: 'string',
    value: 'file',
    description: 'a module that exports { store, secrets, policy, legacyTokens, close }; default baton.config.js',
  },
}

export interface OpenedStore extends OpenStore {
  readonly tokens: RefreshTokens
  readonly config: Config
  readonly secrets: Config['secrets']
}

/** Opens the store, calls `use` with it, and closes it in any case. */
export async function withStore<Result>(
  input: Input,
  use: (opened: OpenedStore) => Promise<Result>,
  { mayCreate = false }: { readonly mayCreate?: boolean } = {},
): Promise<Result> {
  const { context } = input
  const config = await loadConfig(input)
  const url = input.text('store') ?? (config.store === undefined ? context.env['BATON_STORE'] : undefined)
  const open = await openStore(url, config, { input, mayCreate })
  try {
    const secrets = config.secrets ?? readSecrets(context)
    const { policy, legacyTokens, tokenPrefix } = config
    const tokens = createRefreshTokens({
      store: open.store,
      // Most commands need no secret.
      secrets: secrets ?? [randomBytes(32)],
      ...(policy === undefined ? {} : { policy }),
      ...(legacyTokens === undefined ? {} : { legacyTokens }),
      ...(tokenPrefix === undefined ? {} : { tokenPrefix }),
    })
    return await use({ ...open, tokens, config, secrets })
  } finally {
    await open.close()
  }
}

async function openStore(
  url: string | undefined,
  config: Config,
  { input, mayCreate }: { readonly input: Input; readonly mayCreate: boolean },
): Promise<OpenStore> {
  const { store, close } = config
  if (url !== undefined) {
    await close?.()
    return openUrl(url, { prefix: input.text('prefix'), schema: input.text('schema'), mayCreate }, input.context)
  }
  if (store === undefined)
    throw new UsageError(
      'no store: pass --store sqlite:file.db, redis://… or postgres://…, set BATON_STORE, or write a baton.config.js',
    )
  return {
    store,
    kind: 'custom',
    async close() {
      await close?.()
    },
  }
}

/** Reads a comma-separated list of secrets from the environment; undefined if the variable is missing or empty. */
export function readSecrets({ env }: CommandContext, name = 'BATON_SECRET'): readonly string[] | undefined {
  const text = env[name] ?? ''
  return text === '' ? undefined : text.split(',').map((secret) => secret.trim())
}

const CONFIG_FILES = ['baton.config.js', 'baton.config.mjs', 'baton.config.cjs']

/** Loads the config file. Returns an empty config if there is none. Throws `UsageError` for a file that is missing or invalid. */
export async function loadConfig(input: Pick<Input, 'text' | 'context'>): Promise<Config> {
  const { cwd } = input.context
  const named = input.text('config')
  const file = named ?? CONFIG_FILES.find((name) => existsSync(resolve(cwd, name)))
  if (file === undefined) return {}
  const path = resolve(cwd, file)
  if (!existsSync(path)) throw new UsageError(`the file ${file} does not exist`)
  const { default: config } = (await import(pathToFileURL(path).href)) as { default?: unknown }
  if (typeof config !== 'object' || config === null)
    throw new UsageError(`${file} has no default export that is an object; write: export default { store, secrets }`)
  return config
}
