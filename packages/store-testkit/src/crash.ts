import assert from 'node:assert/strict'
import type { FamilyRecord, TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { describeHistory, isLinearizable, recorder } from './linearizability.js'
import { REVOCATION_RETENTION_MS } from '@baton/core/store'
import { claimOf, familyOf, HOUR, NOW, revocationOf, rotated, rotationOf } from './records.js'
import { closing, type StoreCase } from './store-case.js'

/** An empty store on an engine that the author can kill and bring back, as often as the cases ask for it. */
export interface CrashableStore {
  readonly store: TokenStore
  /**
   * Takes the engine away, or the process that works for the store, without a chance to finish anything: `kill -9`. Calls under
   * way may answer or reject; calls on the store that come later must reject. Must not wait for calls under way.
   */
  readonly kill: () => unknown
  /** Brings the engine back with what it has kept, and gives a store on it that works from the first call on. */
  readonly reopen: () => TokenStore | Promise<TokenStore>
  readonly close?: () => unknown
}

type OpenCrashable = () => CrashableStore | Promise<CrashableStore>
type CrashCheck = (crashable: CrashableStore) => Promise<void>

const ROUNDS = 8
const FAMILIES = Array.from({ length: 6 }, (_, index) => `family ${String(index)}`)

/**
 * Returns cases that kill the engine and check which writes it has kept, for any test runner. Each call must reject before the time limit of
 * the test runner while the engine is down.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { type CrashableStore, crashCases } from '@baton/store-testkit'
 *
 * declare function openCrashable(): Promise<CrashableStore>
 *
 * for (const { name, run } of crashCases(openCrashable)) void test(name, run)
 * ```
 */
export function crashCases(open: OpenCrashable): StoreCase[] {
  return Object.entries(checks).map(([name, check]) => ({
    name,
    async run() {
      const crashable = await open()
      await closing(crashable, () => check(crashable))
    },
  }))
}

const checks: Readonly<Record<string, CrashCheck>> = {
  'crash: what was answered is there afterwards': async ({ store: first, kill, reopen }) => {
    let store = first
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = String(round)
      const record = familyOf(`a ${name}`, { subject: name })
      const command = rotationOf(record, NOW + HOUR)
      const doomed = familyOf(`b ${name}`, { subject: name })
      await store.create(doomed, NOW)
      const expected = [record, rotated(record, command), { ...doomed, revocation: revocationOf(name) }]
      const writes = [
        () => store.create(record, NOW),
        () => store.rotate(command),
        () => store.revoke(doomed.id, revocationOf(name)),
        () => store.claimOnce(claimOf(name, 'before'), NOW),
      ]
      // Each kind of write is the last one in its turn: engines that are late with one write are never late with two.
      for (const write of writes.slice(0, 1 + (round % writes.length))) await write()
      await kill()
      store = await reopen()
      const done = round % writes.length
      assertEqual(await store.find(record.id), expected[done === 0 ? 0 : 1])
      assertEqual(await store.find(doomed.id), done >= 2 ? expected[2] : doomed)
      const again = claimOf(name, 'after')
      assert.equal(await store.claimOnce(again, NOW), done < 3 ? again.owner : claimOf(name, 'before').owner)
      const { items } = await store.list({ subject: name, limit: 10, now: NOW })
      assert.equal(items.length, done >= 2 ? 1 : 2)
      const revoked = await store.listRevoked({ since: NOW - REVOCATION_RETENTION_MS, limit: 100 })
      assert.equal(
        revoked.items.some(({ id }) => id === doomed.id),
        done >= 2,
      )
    }
  },
  'crash: amid rotations and revocations, each is there wholly or not at all, and what was answered is': async (
    crashable,
  ) => {
    const { kill, reopen } = crashable
    let { store } = crashable
    for (let round = 1; round <= ROUNDS; round += 1) {
      const { histories, left } = await untilKilled(store, kill, round)
      assert.ok(left === 0, 'the calls before the crash must be answered')
      store = await reopen()
      for (const [id, history] of histories) {
        await history.record({ method: 'find' }, () => store.find(id))
        assert.ok(
          isLinearizable(history.operations),
          `no order of these calls explains what is left:\n${describeHistory(history.operations)}`,
        )
      }
    }
  },
  'crash: after a crash during creations, every family that find returns is listed, and vice versa': async (
    crashable,
  ) => {
    const { kill, reopen } = crashable
    let { store } = crashable
    for (let round = 1; round <= ROUNDS; round += 1) {
      const subject = `subject ${String(round)}`
      const records = Array.from({ length: 60 }, (_, index) => familyOf(`${subject} ${String(index)}`, { subject }))
      const answered = new Set<FamilyRecord>()
      let killed: unknown = null
      await settled(
        records.map(async (record) => {
          await store.create(record, NOW)
          answered.add(record)
          if (answered.size === round * 3) killed = kill()
        }),
      )
      await (killed ?? kill())
      store = await reopen()
      const { items } = await store.list({ subject, limit: 100, now: NOW })
      for (const record of records) {
        const found = await store.find(record.id)
        if (found !== null || answered.has(record)) assertEqual(found, record)
        assertEqual(
          items.filter(({ id }) => id === record.id),
          found === null ? [] : [record],
        )
        // A driver, or a person, will try again.
        assertEqual(await store.create(record, NOW), record)
      }
      assert.equal((await store.list({ subject, limit: 100, now: NOW })).items.length, records.length)
    }
  },
  'crash: while it is down every call rejects, and nothing is made up': async ({ store, kill, reopen }) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    await kill()
    const calls: Record<string, () => Promise<unknown>> = {
      create: () => store.create(familyOf('b'), NOW),
      find: () => store.find(record.id),
      rotate: () => store.rotate(rotationOf(record, NOW + HOUR)),
      revoke: () => store.revoke(record.id, revocationOf('a')),
      list: () => store.list({ subject: record.grant.subject, limit: 10, now: NOW }),
      purge: () => store.purge(NOW, 10),
      claimOnce: () => store.claimOnce(claimOf('key', 'a'), NOW),
    }
    for (const [method, call] of Object.entries(calls))
      await assert.rejects(call, `${method} must reject while the engine is down`)
    const again = await reopen()
    assertEqual(await again.find(record.id), record)
  },
}

/** Rotates six families at once, one of which is revoked in the end, and kills after so many answers. */
async function untilKilled(store: TokenStore, kill: () => unknown, round: number) {
  let left = 5 * round
  let killed: unknown = null
  const answered = () => {
    left -= 1
    if (left === 0) killed = kill()
  }
  const histories = new Map(FAMILIES.map((name) => [familyOf(`${name} of round ${String(round)}`).id, recorder()]))
  await settled(
    FAMILIES.map(async (name) => {
      let record: FamilyRecord = familyOf(`${name} of round ${String(round)}`)
      const { record: note } = histories.get(record.id) ?? recorder()
      const create = { method: 'create', record } as const
      await note(create, () => store.create(create.record, NOW))
      for (let step = 1; left > 0; step += 1) {
        const command = rotationOf(record, NOW + step)
        await note({ method: 'rotate', command }, () => store.rotate(command))
        record = rotated(record, command)
        answered()
        if (step % 7 !== 0) continue
        const revocation = revocationOf(`${name} ${String(step)}`)
        await note({ method: 'revoke', revocation }, () => store.revoke(record.id, revocation))
        return
      }
    }),
  )
  await killed
  return { histories, left: Math.max(left, 0) }
}

/** Rejections are what a crash is made of. */
async function settled(calls: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(calls)
}
