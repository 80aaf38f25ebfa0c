import { ConfigurationError } from '@baton/core'
import type { FamilyRecord } from '@baton/core'
import { createRefreshTokens } from '@baton/core'
import { tokenStoreCases } from '@baton/store-testkit'
import { expect, test, vi } from 'vitest'
import { memoryStore } from '../src/index.js'

const SECRET = 'a secret of at least thirty-two bytes'
const DAY_SECONDS = 86_400

for (const { name, run } of tokenStoreCases(() => memoryStore())) test(name, run)

/** A store with core upon it and a clock in hand. */
function setUp(maxFamilies?: number) {
  const clock = { at: Date.UTC(2027, 0, 15) }
  const store = memoryStore(maxFamilies === undefined ? {} : { maxFamilies })
  const tokens = createRefreshTokens({
    store,
    secrets: [SECRET],
    policy: { idleSeconds: DAY_SECONDS, absoluteSeconds: 2 * DAY_SECONDS },
    now: () => clock.at,
  })
  return { clock, store, tokens }
}

test('a full store rejects a new family, says why, and keeps all it has', async () => {
  const { tokens } = setUp(2)
  const first = await tokens.issue({ subject: 'a' })
  await tokens.issue({ subject: 'b' })
  await expect(tokens.issue({ subject: 'c' })).rejects.toMatchObject({
    code: 'store_failed',
    cause: { message: expect.stringMatching(/full: it holds 2 families and evicts none/) },
  })
  expect(await tokens.rotate({ refreshToken: first.refreshToken })).toMatchObject({ ok: true })
})

test('purges expired families of all subjects when the store is full', async () => {
  const { clock, tokens } = setUp(50)
  const issued = []
  for (let count = 0; count < 50; count += 1) issued.push(await tokens.issue({ subject: 'a' }))
  for (const index of [49, 25, 0, 7, 48, 12, 31]) {
    await tokens.revoke({ familyId: issued[index]!.family.id })
    clock.at += 1
    await expect(tokens.issue({ subject: 'b' })).resolves.toBeDefined()
    await expect(tokens.issue({ subject: 'c' })).rejects.toMatchObject({ code: 'store_failed' })
  }
})

test('a full store does not search all families for each new one that it rejects', async () => {
  const { clock, tokens } = setUp(50)
  const issued = []
  for (let index = 0; index < 50; index += 1) issued.push(await tokens.issue({ subject: 'a' }))
  const values = vi.spyOn(Map.prototype, 'values')
  let rejected = 0
  for (let index = 0; index < 1000; index += 1)
    await tokens.issue({ subject: 'b' }).catch(() => {
      rejected += 1
    })
  const searches = values.mock.contexts.filter((map) => (map as ReadonlyMap<string, unknown>).size === 50).length
  values.mockRestore()
  expect(rejected).toBe(1000)
  expect(searches).toBeLessThanOrEqual(1)
  clock.at += DAY_SECONDS * 1000
  await expect(tokens.issue({ subject: 'b' })).resolves.toBeDefined()
})

test('a full store still answers a creation that came twice', async () => {
  const { clock, store, tokens } = setUp(1)
  const { family } = await tokens.issue({ subject: 'a' })
  const record = (await store.find(family.id)) as FamilyRecord
  expect(await store.create(record, clock.at)).toEqual(record)
})

test('a process that never purges does not fill up with dead families', async () => {
  const { clock, tokens } = setUp(100)
  // A hundred times what fits: each family dies before the fiftieth after it is made.
  for (let count = 0; count < 10_000; count += 1) {
    await tokens.issue({ subject: `user ${String(count % 7)}` })
    clock.at += (DAY_SECONDS * 1000) / 50
  }
  expect((await tokens.list({ subject: 'user 0', limit: 100 })).items.length).toBeLessThanOrEqual(8)
})

test('dead families go with new ones, long before the store is full', async () => {
  const { clock, store, tokens } = setUp()
  for (let count = 0; count < 1000; count += 1) await tokens.issue({ subject: 'old' })
  clock.at += DAY_SECONDS * 1000
  for (let count = 0; count < 1000; count += 1) await tokens.issue({ subject: 'new' })
  expect(await store.purge(clock.at, 10_000)).toBe(0)
})

test('forgotten keys go with new ones', async () => {
  const store = memoryStore()
  for (const [age, now, expiresAt] of [
    ['old', 0, 1000],
    ['new', 1000, 3000],
  ] as const)
    for (let count = 0; count < 1000; count += 1)
      await store.claimOnce({ key: `${age} ${String(count)}`, owner: age, expiresAt }, now)
  expect(await store.purge(2000, 10_000)).toBe(0)
  expect(await store.purge(3000, 10_000)).toBe(1000)
})

test('a purge of many lets others have their turn in between', async () => {
  const { clock, store, tokens } = setUp()
  await Promise.all(Array.from({ length: 5000 }, (_, index) => tokens.issue({ subject: String(index) })))
  clock.at += DAY_SECONDS * 1000
  let turns = 0
  let isOver = false
  const takeTurns = () => {
    turns += 1
    if (!isOver) setImmediate(takeTurns)
  }
  setImmediate(takeTurns)
  expect(await store.purge(clock.at, 1_000_000)).toBe(5000)
  isOver = true
  expect(turns).toBeGreaterThanOrEqual(4)
})

test('a subject is listed with what it has left, whichever of its families ends first', async () => {
  for (const gone of [0, 1, 2]) {
    const { clock, store, tokens } = setUp()
    const issued = []
    for (let count = 0; count < 3; count += 1) issued.push((await tokens.issue({ subject: 'a' })).family.id)
    for (const id of [...issued.slice(gone), ...issued.slice(0, gone)]) {
      await tokens.revoke({ familyId: id })
      clock.at += 1
      await store.purge(clock.at, 10)
      issued.splice(issued.indexOf(id), 1)
      const { items } = await tokens.list({ subject: 'a' })
      expect(items.map((family) => family.id).sort()).toEqual([...issued].sort())
    }
    await tokens.issue({ subject: 'a' })
    expect((await tokens.list({ subject: 'a' })).items).toHaveLength(1)
  }
})

test('rejects a cursor that list did not return', async () => {
  const store = memoryStore()
  for (const cursor of ['', 'x', '2', 'MTIz', 'MTIzLg', 'LmFiYw', 'MTIzLmFiYw=', 'MTIzLmFiYw==', 'bmV2ZXI.', '😀'])
    await expect(store.list({ subject: 'a', cursor, limit: 1, now: 0 })).rejects.toThrow(
      /^option "cursor" is not one that list/,
    )
  await expect(store.list({ subject: 'a', cursor: '-', limit: 1, now: 0 })).rejects.toBeInstanceOf(ConfigurationError)
})

test('rejects a maxFamilies that is not a positive integer at construction', () => {
  for (const maxFamilies of [0, -1, 1.5, Number.NaN, Infinity, '10' as unknown as number])
    expect(() => memoryStore({ maxFamilies })).toThrow(
      /^option "maxFamilies" must be an integer from 1 to 16777216, got /,
    )
})
