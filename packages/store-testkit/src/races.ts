import assert from 'node:assert/strict'
import { DAY, familyOf, hashOf, HOUR, NOW, renewalOf, revocationOf, rotated, rotationOf, verifier } from './records.js'
import { casesOf, type OpenStore, type StoreCase } from './store-case.js'

const CROWD = Array.from({ length: 50 }, (_, index) => String(index))

/** Many calls at once on one store. */
export function raceCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    'races: of 50 rotations of one token one applies, and all see it': async (store) => {
      const record = familyOf('a')
      await store.create(record, NOW)
      const commands = CROWD.map((name) => rotationOf(record, NOW + HOUR, { verifier: verifier(name), nonce: name }))
      const answers = await Promise.all(commands.map((command) => store.rotate(command)))
      const winner = commands.find(({ next }) => next?.verifier === answers[0]?.verifier)
      assert.ok(winner)
      for (const answer of answers) assert.deepEqual(answer, rotated(record, winner))
      assert.deepEqual(await store.find(record.id), rotated(record, winner))
    },
    'races: of 50 creations of one id one stays, and all see it': async (store) => {
      const records = CROWD.map((name) => familyOf('a', { verifier: verifier(name), metadata: { name } }))
      const answers = await Promise.all(records.map((record) => store.create(record, NOW)))
      const winner = records.find((record) => record.verifier === answers[0]?.verifier)
      assert.ok(winner)
      for (const answer of answers) assert.deepEqual(answer, winner)
      assert.deepEqual((await store.list({ subject: winner.subject, limit: 100, now: NOW })).items, [winner])
    },
    'races: of 50 revocations one stands, and all see it': async (store) => {
      const record = familyOf('a')
      await store.create(record, NOW)
      const revocations = CROWD.map((name) => revocationOf(name))
      const answers = await Promise.all(revocations.map((revocation) => store.revoke(record.id, revocation)))
      const winner = revocations.find(({ id }) => id === answers[0]?.revocation?.id)
      assert.ok(winner)
      for (const answer of answers) assert.deepEqual(answer, { ...record, revocation: winner })
    },
    'races: of 50 that remember a key one is the first': async (store) => {
      const answers = await Promise.all(CROWD.map(() => store.remember('key', NOW + HOUR, NOW)))
      assert.equal(answers.filter(Boolean).length, 1)
    },
    'races: a revocation amid rotations is final, and no rotation comes after it': async (store) => {
      const record = familyOf('a')
      await store.create(record, NOW)
      const revocation = revocationOf('a')
      const rotations = CROWD.map((name) => rotationOf(record, NOW + HOUR, { verifier: verifier(name) }))
      const [revoked, ...answers] = await Promise.all([
        store.revoke(record.id, revocation),
        ...rotations.map((command) => store.rotate(command)),
      ])
      assert.deepEqual(revoked?.revocation, revocation)
      const end = await store.find(record.id)
      assert.deepEqual(end, revoked)
      for (const answer of answers) if (answer?.revocation) assert.deepEqual(answer, end)
    },
    'races: a renewal never undoes a rotation': async (store) => {
      const record = familyOf('a')
      await store.create(record, NOW)
      const rotation = rotationOf(record, NOW + HOUR)
      await Promise.all([
        ...CROWD.map(() => store.rotate(renewalOf(record, NOW + 2 * HOUR))),
        store.rotate(rotation),
        ...CROWD.map(() => store.rotate(renewalOf(record, NOW + 2 * HOUR))),
      ])
      assert.deepEqual(await store.find(record.id), rotated(record, rotation))
      assert.equal(rotated(record, rotation).expiresAt, NOW + HOUR + DAY)
    },
    'races: families do not disturb each other': async (store) => {
      const records = CROWD.map((name) => familyOf(name, { subject: hashOf(name) }))
      await Promise.all(records.map((record) => store.create(record, NOW)))
      const commands = records.map((record) => rotationOf(record, NOW + HOUR))
      const answers = await Promise.all(commands.map((command) => store.rotate(command)))
      const expected = records.map((record) => rotated(record, rotationOf(record, NOW + HOUR)))
      assert.deepEqual(answers, expected)
    },
  })
}
