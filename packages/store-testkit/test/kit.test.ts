import { runInNewContext } from 'node:vm'
import type { FamilyRecord, TokenStore } from '@baton/core'
import * as fastCheck from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import {
  crashCases,
  linearizabilityCases,
  modelCases,
  type OpenedStore,
  type StoreCase,
  tokenStoreCases,
} from '../src/index.js'
import { brokenEngines, brokenStores, type Engine, engineOn } from './broken-stores.js'
import { emptyShelf, type Shelf, soundStore } from './sound-store.js'

type Connect = (shelf: Shelf) => TokenStore

function opening(connect: Connect): () => OpenedStore {
  return () => {
    const shelf = emptyShelf()
    return { store: connect(shelf), another: () => connect(shelf) }
  }
}

function onTwoConnections(connect: Connect) {
  return () => {
    const shelf = emptyShelf()
    return { stores: [connect(shelf), connect(shelf)] }
  }
}

function crashing(start: () => Engine) {
  return () => {
    const { connect, kill, revive } = start()
    const reopen = () => {
      revive()
      return connect()
    }
    return { store: connect(), kill, reopen }
  }
}

async function failuresOf(cases: readonly StoreCase[]): Promise<string[]> {
  const failures: string[] = []
  for (const { name, run } of cases)
    await run().catch((error: unknown) => {
      failures.push(name)
      return error
    })
  return failures
}

describe('a sound store', () => {
  for (const { name, run } of tokenStoreCases(opening(soundStore))) test(name, run)
  for (const { name, run } of linearizabilityCases(onTwoConnections(soundStore))) test(name, run)
  for (const { name, run } of modelCases(opening(soundStore))) test(name, run)
  for (const { name, run } of modelCases(opening(soundStore), { deletion: 'engine', fastCheck })) test(name, run)
  for (const { name, run } of crashCases(crashing(engineOn))) test(name, run)
})

describe('a broken store that', () => {
  test.each(brokenStores.map((store) => [store.fault, store] as const))('%s', async (_fault, { caughtBy, connect }) => {
    const cases = tokenStoreCases(opening(connect))
    expect(cases.map(({ name }) => name)).toContain(caughtBy)
    expect(await failuresOf(cases)).toContain(caughtBy)
  })
})

describe('a store on an engine that', () => {
  test.each(brokenEngines.map((engine) => [engine.fault, engine] as const))(
    '%s',
    async (_fault, { caughtBy, start }) => {
      const cases = crashCases(crashing(start))
      expect(cases.map(({ name }) => name)).toContain(caughtBy)
      expect(await failuresOf(cases)).toContain(caughtBy)
    },
  )
})

describe('recorded histories', () => {
  const faults = [
    'compares, waits, and swaps',
    'writes the verifier first and the rest later',
    'returns the record from before the race to the loser',
    'lets a rotation under way undo a revocation',
    'checks an id, waits, and inserts',
    'checks a key, waits, and writes it',
    'reads from a replica that is one write behind',
  ]
  test.each(faults)('have no explanation where a store %s', async (fault) => {
    const { connect } = brokenStores.find((store) => store.fault === fault)!
    const [first] = linearizabilityCases(onTwoConnections(connect), { histories: 100 })
    await expect(first!.run()).rejects.toThrow(/no order of these calls|exactly one claim of a key wins/)
  })

  test('name the history that failed, and tell it', async () => {
    const { connect } = brokenStores.find(({ fault }) => fault === 'checks an id, waits, and inserts')!
    const [first] = linearizabilityCases(onTwoConnections(connect), { seed: 7, histories: 3 })
    await expect(first!.run()).rejects.toThrow(/\(history 7\/\d+, family 7\/\d+ [01]\):\n\d+–\d+ \w+ .* answered /)
  })

  test('make the same calls for the same seed, and others for another', async () => {
    const callsFor = async (seed: number) => {
      const calls: unknown[] = []
      const noting = (shelf: Shelf): TokenStore => {
        const sound = soundStore(shelf)
        return { ...sound, rotate: (command) => (calls.push(command), sound.rotate(command)) }
      }
      await linearizabilityCases(onTwoConnections(noting), { seed, histories: 5 })[0]!.run()
      return JSON.stringify(calls)
    }
    expect(await callsFor(3)).toBe(await callsFor(3))
    expect(await callsFor(3)).not.toBe(await callsFor(4))
  })

  test('come in cases of a hundred, as many as are asked for', () => {
    const cases = linearizabilityCases(onTwoConnections(soundStore), { histories: 250, seed: 2 })
    expect(cases.map(({ name }) => name)).toEqual([
      'linearizability: histories 1 to 100 of seed 2',
      'linearizability: histories 101 to 200 of seed 2',
      'linearizability: histories 201 to 250 of seed 2',
    ])
    for (const histories of [0, -1, 1.5, Number.NaN])
      expect(() => linearizabilityCases(onTwoConnections(soundStore), { histories })).toThrow(
        /^option "histories" must be an integer from 1/,
      )
  })

  test('as many as the environment asks for', () => {
    vi.stubEnv('BATON_HISTORIES', '201')
    expect(linearizabilityCases(onTwoConnections(soundStore))).toHaveLength(3)
    vi.stubEnv('BATON_HISTORIES', 'many')
    expect(() => linearizabilityCases(onTwoConnections(soundStore))).toThrow(
      /^option "BATON_HISTORIES" must be an integer .* got NaN/,
    )
    vi.unstubAllEnvs()
  })

  test('do not forgive a call that rejects', async () => {
    const failing = (shelf: Shelf): TokenStore => ({
      ...soundStore(shelf),
      revoke: () => Promise.reject(new Error('deadlock')),
    })
    await expect(linearizabilityCases(onTwoConnections(failing))[0]!.run()).rejects.toThrow('deadlock')
  })
})

describe('arbitrary sequences of calls', () => {
  const faults = [
    'rotates without comparing the verifier',
    'treats families as expired a second early',
    'rotates a family in the millisecond of its expiry',
    'moves the idle end beyond the absolute one',
    'lets the last revocation stand',
    'overwrites a family that exists',
    'lists the dead',
    'purges before keepUntil',
    'never deletes a key',
  ]
  test.each(faults)('find a store that %s', async (fault) => {
    const { connect } = brokenStores.find((store) => store.fault === fault)!
    const [first] = modelCases(opening(connect), { seed: 1, runs: 100 })
    await expect(first!.run()).rejects.toThrow(/Property failed after/)
  })

  test('reject another module than fast-check', () => {
    expect(() => modelCases(opening(soundStore), { fastCheck: {} })).toThrow(
      /^option "fastCheck" must be the module fast-check/,
    )
  })
})

describe('a case', () => {
  test('closes what it opened, whatever came of it', async () => {
    for (const store of [soundStore(), { ...soundStore(), find: () => Promise.reject(new Error('no')) }]) {
      const close = vi.fn()
      await failuresOf(tokenStoreCases(() => ({ store, close })).slice(0, 1))
      expect(close).toHaveBeenCalledOnce()
    }
  })

  test('tells what it has found, not what the closing complains about', async () => {
    const store = { ...soundStore(), create: () => Promise.reject(new Error('found')) }
    const [first] = tokenStoreCases(() => ({ store, close: () => Promise.reject(new Error('complaint')) }))
    await expect(first!.run()).rejects.toThrow('found')
    const [fine] = tokenStoreCases(() => ({ store: soundStore(), close: () => Promise.reject(new Error('complaint')) }))
    await expect(fine!.run()).rejects.toThrow('complaint')
  })

  test('takes the objects of another realm for what they are, and classes for something else', async () => {
    const foreign = runInNewContext('JSON') as JSON
    const answering = (shape: (record: FamilyRecord) => FamilyRecord) => () => {
      const sound = soundStore()
      const find: TokenStore['find'] = async (id) => {
        const record = await sound.find(id)
        return record && shape(record)
      }
      return { ...sound, find }
    }
    class Row extends Object {}
    const abroad = answering((record) => foreign.parse(JSON.stringify(record)))
    expect(await failuresOf(tokenStoreCases(abroad))).toEqual([])
    const rows = answering((record) => Object.assign(new Row(), record))
    expect(await failuresOf(tokenStoreCases(rows))).toContain('create: stores the record and returns it')
  })

  test('has a unique name', () => {
    const names = tokenStoreCases(opening(soundStore)).map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(tokenStoreCases(opening(soundStore), { deletion: 'engine' }).length).toBeLessThan(names.length)
  })
})
