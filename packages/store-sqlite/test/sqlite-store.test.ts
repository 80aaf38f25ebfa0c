import { tokenStoreCases } from '@baton/store-testkit'
import { afterEach, describe, test } from 'vitest'
import { sqliteStore } from '../src/index.js'
import { closeAll, drivers } from './drivers.js'

afterEach(closeAll)

for (const driver of drivers) {
  describe(`${driver.name}, in memory`, () => {
    for (const { name, run } of tokenStoreCases(() => sqliteStore(driver.inMemory()))) test(name, run)
  })

  describe(`${driver.name}, on disk`, () => {
    for (const { name, run } of tokenStoreCases(() => sqliteStore(driver.onDisk()))) test(name, run)
  })
}
