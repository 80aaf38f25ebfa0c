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
import { type Command, type Input, type Surroundings, UsageError } from './command.js'
import { type OpenStore, openUrl } from './store-url.js'

/** What `baton.config.js` may export by default, besides what `createRefreshTokens` takes. */
export interface Config {
  readonly store?: TokenStore
  readonly secrets?: readonly (string | Uint8Array | undefined)[]
  readonly policy?: PolicyOptions
  readonly legacyTokens?: LegacyTokenSource
  readonly tokenPrefix?: string
  /** Closes what the store stands on, so that the command can end. */
  readonly close?: () => unknown
}

/** Of every command that needs the store. */
export const STORE_OPTIONS: Command['options'] = {
  store: {
    type: 'string',
    value: 'url',
    about: 'sqlite:file.db, redis://… or postgres://…; default: BATON_STORE, else the config',
  },
  prefix: { type: 'string', value: 'text', about: 'how keys begin in Redis; default baton:' },
  schema: { type: 'string', value: 'name', about: 'where the tables are in PostgreSQL; default baton' },
  config: {
    type: 'string',
    value: 'file',
    about: 'a module that exports { store, secrets, policy, legacyTokens, close }; default baton.config.js',
  },
}

export interface Opened extends OpenStore {
  readonly tokens: RefreshTokens
  readonly config: Config
  readonly secrets: Config['secrets']
}

/** Opens the store and the refresh tokens over it, hands them to `use`, and closes them whatever happens. */
export async function withStore<Answer>(
  input: Input,
  use: (opened: Opened) => Promise<Answer>,
  { mayCreate = false }: { readonly mayCreate?: boolean } = {},
): Promise<Answer> {
  const { around } = input
  const config = await configOf(input)
  const url = input.text('store') ?? (config.store === undefined ? around.env['BATON_STORE'] : undefined)
  const open = await openStore(url, config, { input, mayCreate })
  try {
    const secrets = config.secrets ?? secretsOf(around)
    const { policy, legacyTokens, tokenPrefix } = config
    const tokens = createRefreshTokens({
      store: open.store,
      // What these commands do needs no secret, except where they say so.
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
    return openUrl(url, { prefix: input.text('prefix'), schema: input.text('schema'), mayCreate }, input.around)
  }
  if (store === undefined)
    throw new UsageError(
      'which store? give --store sqlite:file.db, redis://… or postgres://…, set BATON_STORE, or write a baton.config.js',
    )
  return {
    store,
    kind: 'own',
    async close() {
      await close?.()
    },
  }
}

/** Reads a list of secrets from the environment, separated by commas as the examples and scaffolds read it. */
export function secretsOf({ env }: Surroundings, name = 'BATON_SECRET'): readonly string[] | undefined {
  const text = env[name] ?? ''
  return text === '' ? undefined : text.split(',').map((secret) => secret.trim())
}

const CONFIG_FILES = ['baton.config.js', 'baton.config.mjs', 'baton.config.cjs']

/** Empty where there is none. */
export async function configOf(input: Pick<Input, 'text' | 'around'>): Promise<Config> {
  const { cwd } = input.around
  const named = input.text('config')
  const file = named ?? CONFIG_FILES.find((name) => existsSync(resolve(cwd, name)))
  if (file === undefined) return {}
  const path = resolve(cwd, file)
  if (!existsSync(path)) throw new UsageError(`there is no file ${file}`)
  const { default: config } = (await import(pathToFileURL(path).href)) as { default?: unknown }
  if (typeof config !== 'object' || config === null)
    throw new UsageError(`${file} exports no object by default; write: export default { store, secrets }`)
  return config
}
