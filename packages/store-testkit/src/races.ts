import assert from 'node:assert/strict'
import type { TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import {
  claimOf,
  DAY,
  familyOf,
  hashOf,
  HOUR,
  NOW,
  renewalOf,
  revocationOf,
  rotated,
  rotationOf,
  verifier,
} from './records.js'
import { casesOf, type OpenStore, type StoreCase } from './store-case.js'

const CROWD = Array.from({ length: 50 }, (_, index) => String(index))

/** Many calls at once, over two connections where there are two. */
export function raceCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    'races: of 50 rotations of one token one applies, and all see it': async (one, another) => {
      const store = alternating(one, await another())
      const record = familyOf('a')
      await store.create(record, NOW)
      const commands = CROWD.map((name) => rotationOf(record, NOW + HOUR, { verifier: verifier(name), nonce: name }))
      const answers = await Promise.all(commands.map((command) => store.rotate(command)))
      const winner = commands.find(({ next }) => next?.verifier === answers[0]?.current.verifier)
      assert.ok(winner)
      for (const answer of answers) assertEqual(answer, rotated(record, winner))
      assertEqual(await store.find(record.id), rotated(record, winner))
    },
    'races: of 50 creations of one id one stays, and all see it': async (one, another) => {
      const store = alternating(one, await another())
      const records = CROWD.map((name) => familyOf('a', { verifier: verifier(name), metadata: { name } }))
      const answers = await Promise.all(records.map((record) => store.create(record, NOW)))
      const winner = records.find((record) => record.current.verifier === answers[0]?.current.verifier)
      assert.ok(winner)
      for (const answer of answers) assertEqual(answer, winner)
      assertEqual((await store.list({ subject: winner.grant.subject, limit: 100, now: NOW })).items, [winner])
    },
    'races: of 50 revocations one stands, and all see it': async (one, another) => {
      const store = alternating(one, await another())
      const record = familyOf('a')
      await store.create(record, NOW)
      const revocations = CROWD.map((name) => revocationOf(name))
      const answers = await Promise.all(revocations.map((revocation) => store.revoke(record.id, revocation)))
      const winner = revocations.find(({ id }) => id === answers[0]?.revocation?.id)
      assert.ok(winner)
      for (const answer of answers) assertEqual(answer, { ...record, revocation: winner })
    },
    'races: exactly one of 50 claims of a key wins, and all of them return its owner': async (one, another) => {
      const store = alternating(one, await another())
      const claims = CROWD.map((name) => claimOf('key', name))
      const answers = await Promise.all(claims.map((claim) => store.claimOnce(claim, NOW)))
      assert.ok(claims.some(({ owner }) => owner === answers[0]))
      assert.equal(new Set(answers).size, 1)
    },
    'races: a revocation amid rotations is final, and no rotation comes after it': async (one, another) => {
      const store = alternating(one, await another())
      const record = familyOf('a')
      await store.create(record, NOW)
      const revocation = revocationOf('a')
      const rotations = CROWD.map((name) => rotationOf(record, NOW + HOUR, { verifier: verifier(name) }))
      const early = rotations.slice(0, 25).map((command) => store.rotate(command))
      const revoking = store.revoke(record.id, revocation)
      const late = rotations.slice(25).map((command) => store.rotate(command))
      const [revoked, ...answers] = await Promise.all([revoking, ...early, ...late])
      assertEqual(revoked?.revocation, revocation)
      const end = await store.find(record.id)
      assertEqual(end, revoked)
      for (const answer of answers) if (answer?.revocation) assertEqual(answer, end)
    },
    'races: a renewal never undoes a rotation': async (one, another) => {
      const store = alternating(one, await another())
      const record = familyOf('a')
      await store.create(record, NOW)
      const rotation = rotationOf(record, NOW + HOUR)
      await Promise.all([
        ...CROWD.map(() => store.rotate(renewalOf(record, NOW + 2 * HOUR))),
        store.rotate(rotation),
        ...CROWD.map(() => store.rotate(renewalOf(record, NOW + 2 * HOUR))),
      ])
      assertEqual(await store.find(record.id), rotated(record, rotation))
      assert.equal(rotated(record, rotation).expiresAt, NOW + HOUR + DAY)
    },
    'races: families do not disturb each other': async (one, another) => {
      const store = alternating(one, await another())
      const records = CROWD.map((name) => familyOf(name, { subject: hashOf(name) }))
      await Promise.all(records.map((record) => store.create(record, NOW)))
      const commands = records.map((record) => rotationOf(record, NOW + HOUR))
      const answers = await Promise.all(commands.map((command) => store.rotate(command)))
      const expected = records.map((record) => rotated(record, rotationOf(record, NOW + HOUR)))
      assertEqual(answers, expected)
    },
  })
}

/** Sends every other call to the other store. */
function alternating(one: TokenStore, other: TokenStore): TokenStore {
  let calls = 0
  const next = () => ((calls += 1) % 2 === 0 ? other : one)
  return {
    create: (record, now) => next().create(record, now),
    find: (id) => next().find(id),
    rotate: (command) => next().rotate(command),
    revoke: (id, revocation) => next().revoke(id, revocation),
    list: (query) => next().list(query),
    listRevoked: (query) => next().listRevoked(query),
    purge: (now, limit) => next().purge(now, limit),
    claimOnce: (claim, now) => next().claimOnce(claim, now),
  }
}
