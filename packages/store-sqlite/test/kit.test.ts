import { crashCases, linearizabilityCases, tokenStoreCases } from '@baton/store-testkit'
import { type BuiltProgram, buildWorker, remoteStore, startWorker, type Worker } from '@baton/test-processes'
import type BetterSqlite3 from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, describe, test } from 'vitest'
import { sqliteStore } from '../src/index.js'
import { closeAll, drivers, freshPath } from './drivers.js'
import type { Settings } from './worker.js'

let built: BuiltProgram
let others: Worker[]

beforeAll(async () => {
  built = await buildWorker(import.meta.url, ['better-sqlite3'])
  others = [startWorker(built.path), startWorker(built.path)]
})
afterEach(closeAll)
afterAll(async () => {
  await Promise.all(others.map((other) => other.kill()))
  built.remove()
})

describe.each(drivers.map((driver) => [driver.name, driver] as const))('%s', (driverName, driver) => {
  async function openIn(worker: Worker, path: string) {
    await worker.open({ driver: driverName, path, now: 0 } satisfies Settings)
    return remoteStore(worker)
  }

  describe('in memory', () => {
    for (const { name, run } of tokenStoreCases(() => sqliteStore(driver.inMemory()))) test(name, run)
  })

  describe('on disk, in two processes', () => {
    const openStore = () => {
      const path = freshPath()
      return { store: sqliteStore(driver.open(path)), another: () => openIn(others[0]!, path) }
    }
    for (const { name, run } of tokenStoreCases(openStore)) test(name, run)
  })

  describe('on disk, in three processes', () => {
    const openStores = async () => {
      const path = freshPath()
      const here = sqliteStore(driver.open(path))
      const elsewhere = await Promise.all(others.map((other) => openIn(other, path)))
      return { stores: [here, ...elsewhere] }
    }
    for (const { name, run } of linearizabilityCases(openStores)) test(name, run)
  })

  describe('kill -9 of the process', () => {
    const openCrashable = async () => {
      const path = freshPath()
      let running: Worker
      const reopen = () => {
        running = startWorker(built.path)
        return openIn(running, path)
      }
      const store = await reopen()
      return { store, kill: () => running.kill(), reopen, close: () => running.kill() }
    }
    for (const { name, run } of crashCases(openCrashable)) test(name, run)
  })
})

describe('better-sqlite3 with integers as bigints', () => {
  const openStore = () => {
    const db = drivers[0]!.inMemory() as unknown as BetterSqlite3.Database
    return sqliteStore(db.defaultSafeIntegers(true))
  }
  for (const { name, run } of tokenStoreCases(openStore)) test(name, run)
})
