import { claimCases } from './claims.js'
import { clockCases } from './clock.js'
import { connectionCases } from './connections.js'
import { contractCases } from './contract.js'
import { listingCases } from './listing.js'
import { numberCases } from './numbers.js'
import { raceCases } from './races.js'
import { retentionCases } from './retention.js'
import type { OpenStore, StoreCase } from './store-case.js'
import { textCases } from './texts.js'
import { twiceCases } from './twice.js'

export type { OpenedStore, OpenStore, StoreCase } from './store-case.js'
export { type CrashableStore, crashCases } from './crash.js'
export { linearizabilityCases, type LinearizabilityOptions, type OpenedStores } from './histories.js'
export { describeHistory, isLinearizable, type Operation, recorder, type Recorder } from './linearizability.js'
export type { Call, State } from './model.js'
export { withChanges, familyOf, type FamilyChanges, rotationOf, successorOf } from './records.js'
export { modelCases, type ModelCasesOptions } from './model-runs.js'

export interface TokenStoreCasesOptions {
  /**
   * Who deletes what has died. `purge` (default): only `purge` does, by the `now` that it is given. `engine`: the engine does by
   * its own clock, as Redis, and the cases that move `now` past the end of a key are left out.
   */
  readonly deletion?: 'purge' | 'engine'
}

/**
 * Everything that the `TokenStore` contract promises, as cases for any test runner: `for (const { name, run } of cases) test(name,
 * run)`. Each case opens a store of its own, brings its own time, and never sleeps. If `openStore` offers `another` connection,
 * the cases about connections and races use both.
 */
export function tokenStoreCases(
  openStore: OpenStore,
  { deletion = 'purge' }: TokenStoreCasesOptions = {},
): StoreCase[] {
  const purges = deletion === 'purge'
  return [
    ...contractCases(openStore),
    ...raceCases(openStore),
    ...twiceCases(openStore),
    ...connectionCases(openStore, purges),
    ...listingCases(openStore),
    ...retentionCases(openStore, purges),
    ...claimCases(openStore, purges),
    ...clockCases(openStore),
    ...numberCases(openStore),
    ...textCases(openStore),
  ]
}
