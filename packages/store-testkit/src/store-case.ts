import type { TokenStore } from '@baton/core'

/** Opens an empty store that shares nothing with any other. Whoever opens it closes it. */
export type OpenStore = () => TokenStore | Promise<TokenStore>

/** One promise of the contract. `run` rejects with an AssertionError where the store breaks it. */
export interface StoreCase {
  readonly name: string
  readonly run: () => Promise<void>
}

/** Turns `{ name: check }` into cases that open a store each. */
export function casesOf(
  openStore: OpenStore,
  checks: Readonly<Record<string, (store: TokenStore) => Promise<void>>>,
): StoreCase[] {
  return Object.entries(checks).map(([name, check]) => ({ name, run: async () => check(await openStore()) }))
}
