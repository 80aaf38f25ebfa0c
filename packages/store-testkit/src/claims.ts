import assert from 'node:assert/strict'
import { assertEqual } from './equality.js'
import { claimOf, DAY, familyOf, HOUR, NOW } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** The cases about one-time keys. */
export function claimCases(openStore: OpenStore, purges: boolean): StoreCase[] {
  return [...claimingCases(openStore), ...casesOf(openStore, keeping), ...(purges ? casesOf(openStore, ending) : [])]
}

/** The cases that hold without expiry and deletion. */
export function claimingCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, claiming)
}

const claiming: Checks = {
  'claimOnce: returns the owner of the first claim to every later claim of the same key': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'third', NOW + 2 * HOUR), NOW + HOUR - 1), first.owner)
  },
  'claimOnce: returns the owner of a repeated claim, also after another claim lost': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW), first.owner)
    assert.equal(await store.claimOnce(first, NOW), first.owner)
  },
}

const keeping: Checks = {
  'claimOnce: never deletes other keys': async (store) => {
    const claims = Array.from({ length: 120 }, (_, index) => claimOf(`key ${String(index)}`, String(index)))
    const owners = claims.map(({ owner }) => owner)
    assertEqual(await Promise.all(claims.map((claim) => store.claimOnce(claim, NOW))), owners)
    const later = claims.map(({ key }) => claimOf(key, 'later'))
    assertEqual(await Promise.all(later.map((claim) => store.claimOnce(claim, NOW))), owners)
  },
  'claimOnce: compares keys exactly': async (store) => {
    for (const key of ['a', 'A', 'a ', 'á', `'"\\\``, '😀', '__proto__', 'x'.repeat(1024), '%', '0', '00']) {
      const claim = claimOf(key, key)
      assert.equal(await store.claimOnce(claim, NOW), claim.owner)
    }
  },
  'claimOnce: keeps keys apart from families with the same id': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const claim = claimOf(record.id, 'a')
    assert.equal(await store.claimOnce(claim, NOW), claim.owner)
    assertEqual(await store.find(record.id), record)
  },
  'claimOnce: purge leaves keys that have not expired': async (store) => {
    const claim = claimOf('key', 'first')
    await store.claimOnce(claim, NOW)
    await store.purge(NOW + HOUR - 1, 100)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW + HOUR - 1), claim.owner)
  },
}

const ending: Checks = {
  'claimOnce: deletes a key when it expires, after which it can be claimed again': async (store) => {
    // A store may delete a few expired keys in every call. These keys come first.
    for (let count = 0; count < 50; count += 1)
      await store.claimOnce(claimOf(`other ${String(count)}`, 'other', NOW + DAY), NOW)
    const [first, second, third] = [1, 2, 3].map((hours) => claimOf('key', String(hours), NOW + hours * HOUR))
    assert.ok(first && second && third)
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(second, NOW + HOUR), second.owner)
    assert.equal(await store.claimOnce(third, NOW + 2 * HOUR - 1), second.owner)
    assert.equal(await store.claimOnce(third, NOW + 2 * HOUR), third.owner)
  },
}
