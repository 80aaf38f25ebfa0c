import assert from 'node:assert/strict'
import { assertEqual } from './equality.js'
import { claimOf, DAY, familyOf, HOUR, NOW } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** Whose a key is. */
export function claimCases(openStore: OpenStore, purges: boolean): StoreCase[] {
  return [...claimingCases(openStore), ...casesOf(openStore, keeping), ...(purges ? casesOf(openStore, ending) : [])]
}

/** Those in which a single claim is all that matters. */
export function claimingCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, claiming)
}

const claiming: Checks = {
  'claimOnce: a key is the first claimant’s, and later ones are told whose': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'third', NOW + 2 * HOUR), NOW + HOUR - 1), first.owner)
  },
  'claimOnce: a claim that comes again gets itself back, also after another was turned away': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(first, NOW), first.owner)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW), first.owner)
    assert.equal(await store.claimOnce(first, NOW), first.owner)
  },
}

const keeping: Checks = {
  'claimOnce: makes no room by forgetting others': async (store) => {
    const claims = Array.from({ length: 120 }, (_, index) => claimOf(`key ${String(index)}`, String(index)))
    const owners = claims.map(({ owner }) => owner)
    assertEqual(await Promise.all(claims.map((claim) => store.claimOnce(claim, NOW))), owners)
    const later = claims.map(({ key }) => claimOf(key, 'later'))
    assertEqual(await Promise.all(later.map((claim) => store.claimOnce(claim, NOW))), owners)
  },
  'claimOnce: keys are exact': async (store) => {
    for (const key of ['a', 'A', 'a ', 'á', `'"\\\``, '😀', '__proto__', 'x'.repeat(1024), '%', '0', '00']) {
      const claim = claimOf(key, key)
      assert.equal(await store.claimOnce(claim, NOW), claim.owner)
    }
  },
  'claimOnce: is no family': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const claim = claimOf(record.id, 'a')
    assert.equal(await store.claimOnce(claim, NOW), claim.owner)
    assertEqual(await store.find(record.id), record)
  },
  'claimOnce: purge leaves what is not over': async (store) => {
    const claim = claimOf('key', 'first')
    await store.claimOnce(claim, NOW)
    await store.purge(NOW + HOUR - 1, 100)
    assert.equal(await store.claimOnce(claimOf('key', 'second'), NOW + HOUR - 1), claim.owner)
  },
}

const ending: Checks = {
  'claimOnce: forgets a key at its end and may remember it anew': async (store) => {
    // A store may clean up a few keys at every call; these are in its way.
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
