import assert from 'node:assert/strict'
import type { FamilyRecord, TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { claimOf, DAY, familyOf, HOUR, NOW, revocationOf, rotationOf, verifier, withChanges } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** What stays, what goes, and when. */
export function retentionCases(openStore: OpenStore, purges: boolean): StoreCase[] {
  return [...casesOf(openStore, staying), ...(purges ? casesOf(openStore, going) : [])]
}

const staying: Checks = {
  'purge: leaves the living alone': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    assert.equal(await store.purge(NOW + DAY - 1, 100), 0)
    assertEqual(await store.find(record.id), record)
  },
  'purge: leaves the dead alone until keepUntil': async (store) => {
    const expired = familyOf('expired', { keepUntil: NOW + 5 * DAY })
    const revoked = familyOf('revoked', { keepUntil: NOW + 5 * DAY })
    await store.create(expired, NOW)
    await store.create(revoked, NOW)
    await store.revoke(revoked.id, revocationOf('a'))
    assert.equal(await store.purge(NOW + 5 * DAY - 1, 100), 0)
    assertEqual(await store.find(expired.id), expired)
    assert.notEqual(await store.find(revoked.id), null)
  },
  'purge: an empty store has nothing to delete': async (store) => {
    assert.equal(await store.purge(NOW, 100), 0)
  },
}

const going: Checks = {
  'purge: deletes the expired and the revoked from keepUntil on': async (store) => {
    const keepUntil = NOW + 2 * DAY
    const expired = familyOf('expired', { keepUntil })
    const revoked = familyOf('revoked', { keepUntil, idleMs: 5 * DAY, expiresAt: NOW + 5 * DAY })
    const alive = familyOf('alive', { keepUntil, idleMs: 5 * DAY, expiresAt: NOW + 5 * DAY })
    await createAll(store, [expired, revoked, alive])
    await store.revoke(revoked.id, revocationOf('a'))
    assert.equal(await store.purge(keepUntil - 1, 100), 0)
    assert.equal(await store.purge(keepUntil, 100), 2)
    assert.equal(await store.find(expired.id), null)
    assert.equal(await store.find(revoked.id), null)
    assertEqual(await store.find(alive.id), alive)
  },
  'purge: deletes an expired family at its very end': async (store) => {
    const idle = familyOf('idle')
    const absolute = familyOf('absolute', { idleMs: null, expiresAt: NOW + 10 * DAY })
    await createAll(store, [idle, absolute])
    assert.equal(await store.purge(NOW + DAY - 1, 100), 0)
    assert.equal(await store.purge(NOW + DAY, 100), 1)
    assert.equal(await store.find(idle.id), null)
    assert.equal(await store.purge(NOW + 10 * DAY - 1, 100), 0)
    assert.equal(await store.purge(NOW + 10 * DAY, 100), 1)
    assert.equal(await store.find(absolute.id), null)
  },
  'purge: a rotation saves a family from it': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const after = await store.rotate(rotationOf(record, NOW + DAY - 1))
    assert.equal(await store.purge(NOW + DAY, 100), 0)
    assertEqual(await store.find(record.id), after)
  },
  'purge: deletes no more than the limit, and fewer only when nothing is left': async (store) => {
    const dead = Array.from({ length: 7 }, (_, index) => familyOf(`dead ${String(index)}`))
    const alive = Array.from({ length: 7 }, (_, index) => longLived(`alive ${String(index)}`))
    await createAll(
      store,
      dead.flatMap((record, index) => [record, alive[index] ?? record]),
    )
    const counts = []
    for (let call = 0; call < 4; call += 1) counts.push(await store.purge(NOW + DAY, 3))
    assertEqual(counts, [3, 3, 1, 0])
    for (const record of alive) assertEqual(await store.find(record.id), record)
    for (const record of dead) assert.equal(await store.find(record.id), null)
  },
  'purge: finds what died after an earlier call passed it by': async (store) => {
    const records = Array.from({ length: 6 }, (_, index) => longLived(String(index)))
    await createAll(store, records)
    for (const record of records.slice(3)) await store.revoke(record.id, revocationOf('a'))
    assert.equal(await store.purge(NOW + HOUR, 2), 2)
    for (const record of records.slice(0, 3)) await store.revoke(record.id, revocationOf('a'))
    assert.equal(await store.purge(NOW + HOUR, 100), 4)
    assert.equal(await store.purge(NOW + HOUR, 100), 0)
  },
  'purge: deletes hundreds at once': async (store) => {
    const records = Array.from({ length: 700 }, (_, index) => familyOf(String(index)))
    await Promise.all(records.map((record) => store.create(record, NOW)))
    assert.equal(await store.purge(NOW + DAY, 1000), 700)
    assert.equal(await store.purge(NOW + DAY, 1000), 0)
  },
  'purge: counts families and remembered keys alike': async (store) => {
    for (const name of ['a', 'b', 'c']) {
      await store.create(familyOf(name), NOW)
      await store.claimOnce(claimOf(name, name), NOW)
    }
    assert.equal(await store.purge(NOW + DAY, 4), 4)
    assert.equal(await store.purge(NOW + DAY, 4), 2)
    assert.equal(await store.purge(NOW + DAY, 4), 0)
  },
  'purge: what it deleted may come again': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    await store.purge(NOW + DAY, 100)
    assertEqual((await store.list({ subject: record.grant.subject, limit: 10, now: NOW })).items, [])
    const other = withChanges(record, { verifier: verifier('other') })
    assertEqual(await store.create(other, NOW), other)
    assertEqual((await store.list({ subject: record.grant.subject, limit: 10, now: NOW })).items, [other])
  },
  'purge: what it deleted is gone from the list of its subject, also when the id comes again for another': async (
    store,
  ) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    await store.purge(NOW + DAY, 100)
    await store.create(withChanges(record, { subject: 'user-2' }), NOW)
    assertEqual(await store.list({ subject: record.grant.subject, limit: 10, now: NOW }), { items: [], cursor: null })
  },
  'purge: deletes a remembered key at its very end': async (store) => {
    await store.claimOnce(claimOf('key', 'a'), NOW)
    assert.equal(await store.purge(NOW + HOUR - 1, 100), 0)
    assert.equal(await store.purge(NOW + HOUR, 100), 1)
  },
}

/** Lives as long as it may without being used. */
function longLived(name: string): FamilyRecord {
  return familyOf(name, { idleMs: null, expiresAt: NOW + 10 * DAY })
}

async function createAll(store: TokenStore, records: readonly FamilyRecord[]): Promise<void> {
  for (const record of records) await store.create(record, NOW)
}
