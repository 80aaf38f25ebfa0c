import { contractCases } from './contract.js'
import { listingCases } from './listing.js'
import { raceCases } from './races.js'
import { retentionCases } from './retention.js'
import type { OpenStore, StoreCase } from './store-case.js'

export type { OpenStore, StoreCase } from './store-case.js'

export interface TokenStoreCasesOptions {
  /**
   * Who deletes what has died. `purge` (default): only `purge` does, by the `now` that it is given. `engine`: the engine does by
   * its own clock, as Redis, and the cases that move `now` past the end of a key are left out.
   */
  readonly deletion?: 'purge' | 'engine'
}

/**
 * Everything that the `TokenStore` contract promises, as cases for any test runner: `for (const { name, run } of cases) test(name,
 * run)`. Each case opens a store of its own, takes its time from constants near the year 2027, and never sleeps.
 */
export function tokenStoreCases(
  openStore: OpenStore,
  { deletion = 'purge' }: TokenStoreCasesOptions = {},
): StoreCase[] {
  return [
    ...contractCases(openStore),
    ...raceCases(openStore),
    ...listingCases(openStore),
    ...retentionCases(openStore, deletion === 'purge'),
  ]
}
