import { test } from 'node:test'
import { crashCases, linearizabilityCases, modelCases, tokenStoreCases } from '../src/index.js'
import { brokenStores, engineOn } from './broken-stores.js'
import { emptyShelf, soundStore } from './sound-store.js'

const engine = () => {
  const { connect, kill, revive } = engineOn()
  return { store: connect(), kill, reopen: () => (revive(), connect()) }
}

const cases = [
  ...tokenStoreCases(() => soundStore()),
  ...linearizabilityCases(() => ({ stores: [soundStore()] })),
  ...crashCases(engine),
  ...modelCases(() => soundStore()),
  ...tokenStoreCases(() => brokenStores[0]!.connect(emptyShelf())).filter(
    ({ name }) => name === brokenStores[0]!.caughtBy,
  ),
]
for (const { name, run } of cases) void test(name, run)
