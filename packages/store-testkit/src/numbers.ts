import assert from 'node:assert/strict'
import { createRefreshTokens, type TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { claimOf, familyOf, HOUR, NOW, revocationOf, rotated, rotationOf } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** Core makes integers of all numbers. Nothing else does, and a store may be called by something else. */
const ODD_NUMBERS: Readonly<Record<string, number>> = {
  'a fraction': NOW + 1000.1234,
  'beyond every integer': 1e300,
  'far below zero': -1e300,
  infinite: Infinity,
  'not a number': NaN,
}

/** What becomes of numbers that are no integers, and of the calls that wait together with theirs. */
export function numberCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    'numbers: calls from core succeed, whatever its clock and its callers count in': fromCore,
    ...Object.fromEntries(
      Object.entries(ODD_NUMBERS).map(([name, odd]): [string, Checks[string]] => [
        `numbers: one bad command in a batch does not fail its neighbours: a number that is ${name}`,
        (store) => amongNeighbours(store, odd),
      ]),
    ),
  })
}

async function fromCore(store: TokenStore): Promise<void> {
  const tokens = createRefreshTokens({
    store,
    secrets: ['a secret of the test kit, of 32 bytes or more'],
    now: () => NOW + 0.123,
  })
  const { refreshToken, family } = await tokens.issue({ subject: 'fractions' })
  const outcome = await tokens.rotate({ refreshToken })
  assert.equal(outcome.ok && outcome.outcome, 'rotated')
  for (const expiresAt of [NOW + 1000.1234, NOW + 0.5, 1e20, Number.MAX_VALUE]) {
    const request = { purpose: 'test', key: String(expiresAt), expiresAt }
    assert.equal(await tokens.consumeOnce(request), true)
    assert.equal(await tokens.consumeOnce(request), false)
  }
  const { items } = await tokens.list({ subject: 'fractions' })
  assertEqual(
    items.map(({ id, createdAt }) => ({ id, createdAt })),
    [{ id: family.id, createdAt: NOW }],
  )
  assert.equal(await tokens.revokeSubject('fractions'), 1)
  await tokens.purge()
}

async function amongNeighbours(store: TokenStore, odd: number): Promise<void> {
  const good = ['a', 'b', 'c', 'd'].map((name) => familyOf(`good ${name}`, { subject: `good ${name}` }))
  const bad = ['a', 'b', 'c'].map((name) => familyOf(`bad ${name}`, { subject: 'bad' }))
  for (const record of [...good, ...bad]) await store.create(record, NOW)
  const [first, second, third, revoked] = good
  const [rotatedAt, rotatedBy, ended] = bad
  assert.ok(first && second && third && revoked && rotatedAt && rotatedBy && ended)
  const created = familyOf('good e')
  const claim = claimOf('good', 'first')
  const revocation = revocationOf('good')
  const rotations = [first, second, third].map((record) => rotationOf(record, NOW + HOUR))
  const turns = [
    store.rotate(rotationOf(rotatedAt, NOW + HOUR, { rotatedAt: odd })),
    ...rotations.map((command) => store.rotate(command)),
    store.rotate({ ...rotationOf(rotatedBy, NOW + HOUR), now: odd }),
    store.revoke(ended.id, revocationOf('bad', { at: odd })),
    store.revoke(revoked.id, revocation),
    store.create(familyOf('bad d', { expiresAt: odd, absoluteExpiresAt: odd, keepUntil: odd }), NOW),
    store.create(created, NOW),
    store.claimOnce(claimOf('bad', 'first', odd), NOW),
    store.claimOnce(claim, NOW),
  ]
  // Each bad one may be rejected or stored; the next version of a store may know better.
  const settled: PromiseSettledResult<unknown>[] = await Promise.allSettled(turns)
  const answers = [1, 2, 3, 6, 8, 10].map((index) => settled[index])
  const expected = [
    ...[first, second, third].map((record, index) => rotated(record, rotations[index] ?? rotationOf(record, NOW))),
    { ...revoked, revocation },
    created,
    claim.owner,
  ]
  assertEqual(
    answers,
    expected.map((value) => ({ status: 'fulfilled', value })),
  )
  for (const { id } of [...good, ...bad, familyOf('bad d')]) await store.find(id)
  await store.list({ subject: 'bad', limit: 10, now: NOW })
}
