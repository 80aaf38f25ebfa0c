import assert from 'node:assert/strict'
import { setImmediate as aMoment } from 'node:timers/promises'
import type { FamilyRecord, TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { claimOf, DAY, familyOf, HOUR, NOW, renewalOf, revocationOf, rotated, rotationOf, verifier } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** The cases about what one connection writes and another one reads. */
export function connectionCases(openStore: OpenStore, purges: boolean): StoreCase[] {
  return [
    ...casesOf(openStore, staleReads),
    ...(purges ? casesOf(openStore, stalePurges) : []),
    ...casesOf(openStore, tornWrites),
  ]
}

const staleReads: Checks = {
  'connections: a new family is found and listed through the other at once': async (one, another) => {
    const other = await another()
    for (let round = 0; round < 10; round += 1) {
      const record = familyOf(String(round), { subject: `user-${String(round)}` })
      // A connection must not cache that the family does not exist.
      assert.equal(await other.find(record.id), null)
      assertEqual(await listed(other, record), [])
      await one.create(record, NOW)
      assertEqual(await other.find(record.id), record)
      assertEqual(await listed(other, record), [record])
    }
  },
  'connections: every write through one is read through the other at once': async (one, another) => {
    const other = await another()
    let record = familyOf('a', { idleMs: 5 * DAY, expiresAt: NOW + 5 * DAY })
    await one.create(record, NOW)
    for (let step = 1; step <= 20; step += 1) {
      const [writer, reader] = step % 2 === 0 ? [one, other] : [other, one]
      const at = NOW + step * HOUR
      assertEqual(await reader.find(record.id), record)
      const command = step % 5 === 0 ? renewalOf(record, at) : rotationOf(record, at)
      record = rotated(record, command)
      await writer.rotate(command)
      assertEqual(await reader.find(record.id), record)
      assertEqual(await listed(reader, record, at), [record])
    }
    const revocation = revocationOf('a')
    await one.revoke(record.id, revocation)
    assertEqual(await other.find(record.id), { ...record, revocation })
    assertEqual(await listed(other, record), [])
  },
  'connections: a write that comes too late gets what the other wrote': async (one, another) => {
    const other = await another()
    const record = familyOf('a')
    await one.create(record, NOW)
    assertEqual(await other.find(record.id), record)
    const winner = rotationOf(record, NOW + HOUR)
    const loser = rotationOf(record, NOW + HOUR, { verifier: verifier('loser') })
    const after = await one.rotate(winner)
    assertEqual(await other.rotate(loser), after)
    assertEqual(await other.create(record, NOW + HOUR), after)
    const dead = await one.revoke(record.id, revocationOf('first'))
    assertEqual(await other.revoke(record.id, revocationOf('second')), dead)
    assertEqual(await other.rotate(rotationOf(rotated(record, winner), NOW + HOUR)), dead)
  },
  'connections: a key remembered through one is known to the other': async (one, another) => {
    const other = await another()
    for (const [key, first, second] of [
      ['key', one, other],
      ['other key', other, one],
    ] as const) {
      const claim = claimOf(key, 'first')
      assert.equal(await first.claimOnce(claim, NOW), claim.owner)
      assert.equal(await second.claimOnce(claimOf(key, 'second'), NOW), claim.owner)
    }
  },
}

const stalePurges: Checks = {
  'connections: what one has purged is gone for the other': async (one, another) => {
    const other = await another()
    const record = familyOf('a')
    await one.create(record, NOW)
    assertEqual(await other.find(record.id), record)
    assert.equal(await one.purge(NOW + DAY, 10), 1)
    assert.equal(await other.find(record.id), null)
    assert.equal(await other.rotate(rotationOf(record, NOW)), null)
    assert.equal(await other.revoke(record.id, revocationOf('a')), null)
  },
}

const tornWrites: Checks = {
  'torn writes: a reader during rotations gets complete records, and never an older one after a newer one': async (
    one,
    another,
  ) => {
    const other = await another()
    const generations = chainOf(familyOf('a'), 40)
    const [first, ...successors] = generations
    assert.ok(first)
    await one.create(first, NOW)
    await amid(
      async () => {
        for (const [index, { expiresAt }] of successors.entries()) {
          const record = generations[index]
          assert.ok(record)
          await one.rotate(rotationOf(record, expiresAt - DAY))
        }
      },
      readerOf(generations, async () => other.find(first.id)),
      readerOf(generations, async () => (await listed(other, first))[0]),
    )
    assertEqual(await other.find(first.id), generations.at(-1))
  },
  'torn writes: a reader during creations gets a complete family or none': async (one, another) => {
    const other = await another()
    const records = Array.from({ length: 40 }, (_, index) => familyOf(String(index)))
    let turn = 0
    await amid(
      async () => {
        for (const record of records) await one.create(record, NOW)
      },
      async () => {
        const record = records[(turn += 1) % records.length]
        assert.ok(record)
        const found = await other.find(record.id)
        if (found !== null) assertEqual(found, record)
      },
      async () => {
        for (const item of await listed(other, familyOf('a')))
          assertEqual(
            item,
            records.find(({ id }) => id === item.id),
          )
      },
    )
    assert.equal((await listed(other, familyOf('a'))).length, records.length)
  },
  'torn writes: a revocation is read completely, and by every later read': async (one, another) => {
    const other = await another()
    const records = Array.from({ length: 20 }, (_, index) => familyOf(String(index)))
    for (const record of records) await one.create(record, NOW)
    const dead = new Set<string>()
    let turn = 0
    await amid(
      async () => {
        for (const record of records) await one.revoke(record.id, revocationOf(record.id))
      },
      async () => {
        const record = records[(turn += 1) % records.length]
        assert.ok(record)
        const found = await other.find(record.id)
        if (found?.revocation === null) assert.ok(!dead.has(record.id))
        else dead.add(record.id)
        assertEqual(found, { ...record, revocation: found?.revocation === null ? null : revocationOf(record.id) })
      },
    )
  },
}

/** The record and its successors; each carries its generation in every field that a rotation writes. */
function chainOf(first: FamilyRecord, length: number): FamilyRecord[] {
  const chain = [first]
  for (let step = 1; step <= length; step += 1) {
    const last = chain[step - 1]
    assert.ok(last)
    chain.push(rotated(last, rotationOf(last, NOW + step)))
  }
  return chain
}

function readerOf(generations: readonly FamilyRecord[], read: () => Promise<FamilyRecord | null | undefined>) {
  let newest = 0
  return async () => {
    const record = await read()
    assert.ok(record)
    const { generation } = record.current
    assertEqual(record, generations[generation])
    assert.ok(generation >= newest, 'a reader must not see an older generation after a newer one')
    newest = generation
  }
}

/** Runs all readers repeatedly until the writer has finished, and once more afterwards. */
async function amid(write: () => Promise<void>, ...readers: (() => Promise<void>)[]): Promise<void> {
  let writing = true
  const keepReading = async (read: () => Promise<void>) => {
    while (writing) {
      await read()
      // A store in memory does no I/O: without this pause, the readers would block the event loop.
      await aMoment()
    }
    await read()
  }
  const written = write().finally(() => {
    writing = false
  })
  await Promise.all([written, ...readers.map(keepReading)])
}

async function listed(store: TokenStore, { grant }: FamilyRecord, now = NOW): Promise<readonly FamilyRecord[]> {
  return (await store.list({ subject: grant.subject, limit: 100, now })).items
}
