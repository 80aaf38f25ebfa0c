import { claimCases } from './claims.js'
import { clockCases } from './clock.js'
import { connectionCases } from './connections.js'
import { contractCases } from './contract.js'
import { listingCases } from './listing.js'
import { numberCases } from './numbers.js'
import { raceCases } from './races.js'
import { retentionCases } from './retention.js'
import { revocationCases } from './revocations.js'
import { type OpenStore, type StoreCase, tokenStoreCasesOptions } from './store-case.js'
import type { OptionsOf } from '@baton/core/options'
import { textCases } from './texts.js'
import { twiceCases } from './twice.js'

export type { OpenedStore, OpenStore, StoreCase } from './store-case.js'
export { type CrashableStore, crashCases } from './crash.js'
export { linearizabilityCases, type LinearizabilityOptions, type OpenedStores } from './histories.js'
export { describeHistory, isLinearizable, type Operation, recorder, type Recorder } from './linearizability.js'
export type { Call, State } from './model.js'
export { withChanges, familyOf, type FamilyChanges, rotationOf, successorOf } from './records.js'
export { modelCases, type ModelCasesOptions } from './model-runs.js'

export type TokenStoreCasesOptions = OptionsOf<typeof tokenStoreCasesOptions>

/**
 * Returns the cases of the `TokenStore` contract for any test runner. Each case opens a separate store, passes its own time, and never
 * sleeps. If `openStore` returns `another` connection, the cases about connections and races use both. Throws `ConfigurationError` for
 * unknown or invalid options.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { memoryStore } from '@baton/store-memory'
 * import { tokenStoreCases } from '@baton/store-testkit'
 *
 * for (const { name, run } of tokenStoreCases(() => memoryStore())) void test(name, run)
 * ```
 */
export function tokenStoreCases(openStore: OpenStore, options: TokenStoreCasesOptions = {}): StoreCase[] {
  const { deletion } = tokenStoreCasesOptions.parse('tokenStoreCases', options)
  const purges = deletion === 'purge'
  return [
    ...contractCases(openStore),
    ...raceCases(openStore),
    ...twiceCases(openStore),
    ...connectionCases(openStore, purges),
    ...listingCases(openStore),
    ...retentionCases(openStore, purges),
    ...claimCases(openStore, purges),
    ...revocationCases(openStore),
    ...clockCases(openStore),
    ...numberCases(openStore),
    ...textCases(openStore),
  ]
}
