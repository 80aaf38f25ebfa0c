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
  'remember: a key is the first claimant’s, and later ones are told whose': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.remember(first, NOW), first.by)
    assert.equal(await store.remember(claimOf('key', 'second'), NOW), first.by)
    assert.equal(await store.remember(claimOf('key', 'third', NOW + 2 * HOUR), NOW + HOUR - 1), first.by)
  },
  'remember: a claim that comes again gets itself back, also after another was turned away': async (store) => {
    const first = claimOf('key', 'first')
    assert.equal(await store.remember(first, NOW), first.by)
    assert.equal(await store.remember(first, NOW), first.by)
    assert.equal(await store.remember(claimOf('key', 'second'), NOW), first.by)
    assert.equal(await store.remember(first, NOW), first.by)
  },
}

const keeping: Checks = {
  'remember: makes no room by forgetting others': async (store) => {
    const claims = Array.from({ length: 120 }, (_, index) => claimOf(`key ${String(index)}`, String(index)))
    const owners = claims.map(({ by }) => by)
    assertEqual(await Promise.all(claims.map((claim) => store.remember(claim, NOW))), owners)
    const later = claims.map(({ key }) => claimOf(key, 'later'))
    assertEqual(await Promise.all(later.map((claim) => store.remember(claim, NOW))), owners)
  },
  'remember: keys are exact': async (store) => {
    for (const key of ['a', 'A', 'a ', 'á', `'"\\\``, '😀', '__proto__', 'x'.repeat(1024), '%', '0', '00']) {
      const claim = claimOf(key, key)
      assert.equal(await store.remember(claim, NOW), claim.by)
    }
  },
  'remember: is no family': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const claim = claimOf(record.id, 'a')
    assert.equal(await store.remember(claim, NOW), claim.by)
    assertEqual(await store.find(record.id), record)
  },
  'remember: purge leaves what is not over': async (store) => {
    const claim = claimOf('key', 'first')
    await store.remember(claim, NOW)
    await store.purge(NOW + HOUR - 1, 100)
    assert.equal(await store.remember(claimOf('key', 'second'), NOW + HOUR - 1), claim.by)
  },
}

const ending: Checks = {
  'remember: forgets a key at its end and may remember it anew': async (store) => {
    // A store may clean up a few keys at every call; these are in its way.
    for (let count = 0; count < 50; count += 1)
      await store.remember(claimOf(`other ${String(count)}`, 'other', NOW + DAY), NOW)
    const [first, second, third] = [1, 2, 3].map((hours) => claimOf('key', String(hours), NOW + hours * HOUR))
    assert.ok(first && second && third)
    assert.equal(await store.remember(first, NOW), first.by)
    assert.equal(await store.remember(second, NOW + HOUR), second.by)
    assert.equal(await store.remember(third, NOW + 2 * HOUR - 1), second.by)
    assert.equal(await store.remember(third, NOW + 2 * HOUR), third.by)
  },
}
