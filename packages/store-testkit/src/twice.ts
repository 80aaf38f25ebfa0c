import type { TokenStore } from '@baton/core'
import { claimingCases } from './claims.js'
import { writingCases } from './contract.js'
import { raceCases } from './races.js'
import { type OpenStore, openedOf, type StoreCase } from './store-case.js'

/** Returns the cases about writes and races for a store whose driver executes every write twice. */
export function twiceCases(openStore: OpenStore): StoreCase[] {
  const openTwice: OpenStore = async () => {
    const { store, another, ...rest } = openedOf(await openStore())
    const opened = { ...rest, store: executingTwice(store) }
    return another === undefined ? opened : { ...opened, another: async () => executingTwice(await another()) }
  }
  const cases = [...writingCases(openTwice), ...claimingCases(openTwice), ...raceCases(openTwice)]
  return cases.map(({ name, run }) => ({ name: `every write executed twice, ${name}`, run }))
}

/** Executes every write twice and returns the second result, like a driver that retries after a lost response. */
function executingTwice(store: TokenStore): TokenStore {
  return {
    async create(record, now) {
      await store.create(record, now)
      return store.create(record, now)
    },
    async rotate(command) {
      await store.rotate(command)
      return store.rotate(command)
    },
    async revoke(id, revocation) {
      await store.revoke(id, revocation)
      return store.revoke(id, revocation)
    },
    find: (id) => store.find(id),
    list: (query) => store.list(query),
    listRevoked: (query) => store.listRevoked(query),
    async claimOnce(claim, now) {
      await store.claimOnce(claim, now)
      return store.claimOnce(claim, now)
    },
    // Executed once: a second call returns a smaller count, which is correct but not comparable.
    purge: (now, limit) => store.purge(now, limit),
  }
}
