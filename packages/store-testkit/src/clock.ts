import assert from 'node:assert/strict'
import type { TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { claimOf, DAY, familyOf, HOUR, renewalOf, revocationOf, rotated, rotationOf } from './records.js'
import { casesOf, type OpenStore, type StoreCase } from './store-case.js'

/** A store that uses its own clock fails one of these cases, whatever the current year is. */
export function clockCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    'clock: only the given `now` counts, in the year 1990': (store) => checkAt(store, Date.UTC(1990, 5, 1)),
    'clock: only the given `now` counts, in the year 2190': (store) => checkAt(store, Date.UTC(2190, 5, 1)),
  })
}

async function checkAt(store: TokenStore, now: number): Promise<void> {
  const times = { rotatedAt: now, createdAt: now, keepUntil: now, absoluteExpiresAt: now + 10 * DAY }
  const record = familyOf('a', { ...times, expiresAt: now + DAY })
  const unlimited = familyOf('b', { ...times, createdAt: now - 1, idleMs: null, expiresAt: now + 10 * DAY })
  const listed = async (at: number) => (await store.list({ subject: 'user-1', limit: 10, now: at })).items

  assertEqual(await store.create(record, now), record)
  assertEqual(await store.create(unlimited, now), unlimited)
  assert.equal(await store.purge(now + HOUR, 10), 0)
  assertEqual(await listed(now + DAY - 1), [record, unlimited])
  assertEqual(await listed(now + DAY), [unlimited])
  assertEqual(await store.rotate(rotationOf(record, now + DAY)), record)

  const rotation = rotationOf(record, now + HOUR)
  const after = rotated(record, rotation)
  assertEqual(await store.rotate(rotation), after)
  assert.equal(after.expiresAt, now + HOUR + DAY)
  const renewal = renewalOf(after, now + HOUR + DAY - 1)
  assertEqual(await store.rotate(renewal), rotated(after, renewal))
  assertEqual(await store.rotate(rotationOf(unlimited, now + 10 * DAY)), unlimited)

  const revocation = revocationOf('b', { at: now + 2 * HOUR })
  assertEqual(await store.revoke(unlimited.id, revocation), { ...unlimited, revocation })
  const claim = claimOf('key', 'first', now + HOUR)
  assert.equal(await store.claimOnce(claim, now), claim.owner)
  assert.equal(await store.claimOnce(claimOf('key', 'second', now + 2 * HOUR), now + HOUR - 1), claim.owner)
}
