import { declareOptions, oneOf, withDefault } from '@baton/core/options'
import type { TokenStore } from '@baton/core'

export const tokenStoreCasesOptions = declareOptions({
  /**
   * `purge` (default): only `purge` deletes, by the `now` of the call. `engine`: the engine deletes by its own clock, such as Redis, and
   * the cases that move `now` past the expiry of a key are left out.
   */
  deletion: withDefault(oneOf('purge', 'engine'), 'purge'),
})

/** An empty store with optional functions for further connections and for cleaning up. */
export interface OpenedStore {
  readonly store: TokenStore
  /** Opens another connection to the same families, as another process has it. Default: the cases use `store` for both. */
  readonly another?: () => TokenStore | Promise<TokenStore>
  /** Called when the case has ended, also after a failure. */
  readonly close?: () => unknown
}

/** Opens an empty store that shares no data with any other. The kit closes it only through `close`. */
export type OpenStore = () => TokenStore | OpenedStore | Promise<TokenStore | OpenedStore>

/** One rule of the contract. `run` rejects with an AssertionError if the store breaks it. */
export interface StoreCase {
  readonly name: string
  readonly run: () => Promise<void>
}

/** `another` resolves to a second connection, or to the store itself if there is none. */
type Check = (store: TokenStore, another: () => Promise<TokenStore>) => Promise<void>
export type Checks = Readonly<Record<string, Check>>

/** Turns `{ name: check }` into cases that open a store each. */
export function casesOf(openStore: OpenStore, checks: Checks): StoreCase[] {
  return Object.entries(checks).map(([name, check]) => ({
    name,
    run: () => withStore(openStore, ({ store, another }) => check(store, async () => another?.() ?? store)),
  }))
}

/** Opens the store, runs the case and closes the store. An error of `close` never replaces an error of the case. */
export async function withStore(openStore: OpenStore, run: (opened: OpenedStore) => Promise<void>): Promise<void> {
  const opened = openedOf(await openStore())
  await closing(opened, () => run(opened))
}

export async function closing({ close }: { close?: () => unknown }, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    await Promise.resolve(close?.()).catch(() => undefined)
    throw error
  }
  await close?.()
}

export function openedOf(opened: TokenStore | OpenedStore): OpenedStore {
  return isStore(opened) ? { store: opened } : opened
}

function isStore(opened: TokenStore | OpenedStore): opened is TokenStore {
  return 'rotate' in opened
}
