import type { TokenStore } from '@baton/core'
import { claimingCases } from './claims.js'
import { writingCases } from './contract.js'
import { raceCases } from './races.js'
import { type OpenStore, openedOf, type StoreCase } from './store-case.js'

/** What holds for a store holds as well where the driver sends again every command that was committed already. */
export function twiceCases(openStore: OpenStore): StoreCase[] {
  const openTwice: OpenStore = async () => {
    const { store, another, ...rest } = openedOf(await openStore())
    const opened = { ...rest, store: executingTwice(store) }
    return another === undefined ? opened : { ...opened, another: async () => executingTwice(await another()) }
  }
  const cases = [...writingCases(openTwice), ...claimingCases(openTwice), ...raceCases(openTwice)]
  return cases.map(({ name, run }) => ({ name: `every write executed twice, ${name}`, run }))
}

/** Answers as a driver does whose first answer was lost. */
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
    // The second answer is a smaller count, which is harmless.
    purge: (now, limit) => store.purge(now, limit),
  }
}
