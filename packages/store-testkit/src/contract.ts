import assert from 'node:assert/strict'
import type { RevocationReason } from '@baton/core'
import { assertEqual } from './equality.js'
import {
  DAY,
  type FamilyChanges,
  familyId,
  familyOf,
  hashOf,
  HOUR,
  NOW,
  renewalOf,
  revocationOf,
  rotated,
  rotationOf,
  successorOf,
  verifier,
} from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/**
 * The cases with one family and sequential calls. A new member of `current`, `grant` or `lifetime` needs no separate case: every record of
 * `familyOf` has it, and 'records: every member comes back as it went in' compares whole records.
 */
export function contractCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    ...creating,
    ...rotating,
    ...revoking,
    ...repeating,
    ...keeping,
  })
}

/** Those in which a single write is all that matters. */
export function writingCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, { ...creating, ...rotating, ...revoking })
}

const creating: Checks = {
  'create: stores the record and returns it': async (store) => {
    const record = familyOf('a')
    assertEqual(await store.create(record, NOW), record)
    assertEqual(await store.find(record.id), record)
  },
  'create: returns the stored record of an id that exists and leaves it unchanged': async (store) => {
    const first = familyOf('a')
    const second = familyOf('a', { verifier: verifier('other'), subject: 'user-2', metadata: {}, createdAt: NOW + 1 })
    await store.create(first, NOW)
    assertEqual(await store.create(second, NOW + 1), first)
    assertEqual(await store.find(first.id), first)
    assertEqual(await store.list({ subject: 'user-2', limit: 10, now: NOW + 1 }), { items: [], cursor: null })
  },
  'create: a dead family keeps its id': async (store) => {
    const record = familyOf('a', { keepUntil: NOW + 20 * DAY })
    await store.create(record, NOW)
    const dead = await store.revoke(record.id, revocationOf('a'))
    const again = familyOf('a', { verifier: verifier('other') })
    assertEqual(await store.create(again, NOW + HOUR), dead)
    assertEqual(await store.create(again, NOW + 15 * DAY), dead)
  },
  'create: never deletes other families': async (store) => {
    const records = Array.from({ length: 120 }, (_, index) => familyOf(String(index)))
    await Promise.all(records.map((record) => store.create(record, NOW)))
    for (const record of records) assertEqual(await store.find(record.id), record)
  },
  'find: knows nothing of other ids': async (store) => {
    await store.create(familyOf('a'), NOW)
    assert.equal(await store.find(familyId('b')), null)
  },
  'find: returns the dead as well': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const dead = await store.revoke(record.id, revocationOf('a'))
    assert.notEqual(dead, null)
    assertEqual(await store.find(record.id), dead)
  },
}

const rotating: Checks = {
  'rotate: applies the succession and moves the idle end': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const command = rotationOf(record, NOW + HOUR, { retryKey: hashOf('retry') })
    const after = await store.rotate(command)
    assertEqual(after, rotated(record, command))
    assert.equal(after.expiresAt, NOW + HOUR + DAY)
    assertEqual(await store.find(record.id), after)
  },
  'rotate: leaves everything immutable as it was, over many generations': async (store) => {
    let record = familyOf('a', { confirmation: { jkt: 'abc' }, offline: true, keepUntil: NOW + 3 * DAY })
    await store.create(record, NOW)
    for (let step = 1; step <= 20; step += 1) {
      const command = rotationOf(record, NOW + step * HOUR, { retryKey: step % 2 === 0 ? hashOf(String(step)) : null })
      record = rotated(record, command)
      assertEqual(await store.rotate(command), record)
    }
    assertEqual(await store.find(record.id), record)
    assert.equal(record.current.generation, 20)
  },
  'rotate: the idle end never passes the absolute end': async (store) => {
    const record = familyOf('a', { absoluteExpiresAt: NOW + DAY + HOUR })
    await store.create(record, NOW)
    const after = await store.rotate(rotationOf(record, NOW + 2 * HOUR))
    assert.equal(after?.expiresAt, NOW + DAY + HOUR)
    assert.equal(after.lifetime.absoluteExpiresAt, NOW + DAY + HOUR)
  },
  'rotate: without an idle limit the end is the absolute one': async (store) => {
    const record = familyOf('a', { idleMs: null, expiresAt: NOW + 10 * DAY })
    await store.create(record, NOW)
    const command = rotationOf(record, NOW + 9 * DAY)
    const after = await store.rotate(command)
    assertEqual(after, rotated(record, command))
    assert.equal(after.expiresAt, NOW + 10 * DAY)
  },
  'rotate: renewing moves only expiresAt': async (store) => {
    const record = familyOf('a', { generation: 7, retryKey: hashOf('retry') })
    await store.create(record, NOW)
    const renewed = { ...record, expiresAt: NOW + HOUR + DAY }
    assertEqual(await store.rotate(renewalOf(record, NOW + HOUR)), renewed)
    assertEqual(await store.find(record.id), renewed)
  },
  'rotate: renewing never passes the absolute end, nor needs an idle limit': async (store) => {
    const near = familyOf('near', { absoluteExpiresAt: NOW + DAY + HOUR })
    const idle = familyOf('idle', { idleMs: null, expiresAt: NOW + 10 * DAY })
    await store.create(near, NOW)
    await store.create(idle, NOW)
    assert.equal((await store.rotate(renewalOf(near, NOW + 2 * HOUR)))?.expiresAt, NOW + DAY + HOUR)
    assertEqual(await store.rotate(renewalOf(idle, NOW + 2 * HOUR)), idle)
  },
  'rotate: another verifier changes nothing and gets the record': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const { next, ...rest } = rotationOf(record, NOW + HOUR)
    const expect = verifier('wrong')
    assertEqual(await store.rotate({ ...rest, next, expect }), record)
    assertEqual(await store.rotate({ ...rest, next: null, expect }), record)
    assertEqual(await store.find(record.id), record)
  },
  'rotate: an unknown id gets null, and nothing comes into being': async (store) => {
    const record = familyOf('a')
    assert.equal(await store.rotate(rotationOf(record, NOW)), null)
    assert.equal(await store.rotate(renewalOf(record, NOW)), null)
    assert.equal(await store.find(record.id), null)
  },
  'rotate: leaves a revoked family unchanged': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const dead = await store.revoke(record.id, revocationOf('a'))
    assertEqual(await store.rotate(rotationOf(record, NOW + HOUR)), dead)
    assertEqual(await store.rotate(renewalOf(record, NOW + HOUR)), dead)
    assertEqual(await store.find(record.id), dead)
  },
  'rotate: changes nothing from the millisecond of the expiry on': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    assertEqual(await store.rotate(rotationOf(record, NOW + DAY)), record)
    assertEqual(await store.rotate(renewalOf(record, NOW + DAY)), record)
    assertEqual(await store.rotate(rotationOf(record, NOW + DAY + 1)), record)
    const command = rotationOf(record, NOW + DAY - 1)
    assertEqual(await store.rotate(command), rotated(record, command))
  },
  'rotate: changes nothing after the absolute expiry, however recent the last rotation is': async (store) => {
    // keepUntil is later than the expiry: otherwise an engine that deletes by its own clock could delete the record between two calls.
    const record = familyOf('a', { absoluteExpiresAt: NOW + DAY + HOUR, keepUntil: NOW + 2 * DAY })
    await store.create(record, NOW)
    const busy = await store.rotate(rotationOf(record, NOW + DAY - 1))
    assert.notEqual(busy, null)
    if (busy === null) return
    assertEqual(await store.rotate(rotationOf(busy, NOW + DAY + HOUR)), busy)
    const last = rotationOf(busy, NOW + DAY + HOUR - 1)
    assertEqual(await store.rotate(last), rotated(busy, last))
  },
}

const REASONS: readonly RevocationReason[] = [
  'logout',
  'client_request',
  'subject_request',
  'replaced',
  'reuse',
  'rollback',
]

const revoking: Checks = {
  'revoke: sets the revocation and nothing else': async (store) => {
    for (const reason of REASONS) {
      const record = familyOf(reason, { generation: 3, retryKey: hashOf('retry') })
      await store.create(record, NOW)
      const revocation = revocationOf(reason, { reason })
      assertEqual(await store.revoke(record.id, revocation), { ...record, revocation })
      assertEqual(await store.find(record.id), { ...record, revocation })
    }
  },
  'revoke: the first one stands': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const first = revocationOf('first', { reason: 'reuse' })
    await store.revoke(record.id, first)
    const later = revocationOf('second', { at: NOW + 2 * HOUR })
    assertEqual(await store.revoke(record.id, later), { ...record, revocation: first })
    assertEqual(await store.find(record.id), { ...record, revocation: first })
  },
  'revoke: an unknown id gets null': async (store) => {
    assert.equal(await store.revoke(familyId('a'), revocationOf('a')), null)
    assert.equal(await store.find(familyId('a')), null)
  },
  'revoke: touches no other family': async (store) => {
    const [one, other] = [familyOf('a'), familyOf('b')]
    await store.create(one, NOW)
    await store.create(other, NOW)
    await store.revoke(one.id, revocationOf('a'))
    assertEqual(await store.find(other.id), other)
  },
}

/** A driver that lost a connection may send again what was committed already. */
const repeating: Checks = {
  'create, committed and executed again: returns the record': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    assertEqual(await store.create(record, NOW), record)
    assertEqual((await store.list({ subject: record.grant.subject, limit: 10, now: NOW })).items, [record])
  },
  'create, committed and executed again after a rotation: returns what stands': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const after = await store.rotate(rotationOf(record, NOW + HOUR))
    assertEqual(await store.create(record, NOW), after)
    assertEqual(await store.find(record.id), after)
  },
  'rotate, committed and executed again: returns its own write': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const command = rotationOf(record, NOW + HOUR)
    await store.rotate(command)
    assertEqual(await store.rotate(command), rotated(record, command))
    assertEqual(await store.find(record.id), rotated(record, command))
  },
  'rotate, committed and executed again after the next rotation: returns what stands': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const first = rotationOf(record, NOW + HOUR)
    const second = rotationOf(rotated(record, first), NOW + 2 * HOUR)
    await store.rotate(first)
    const after = await store.rotate(second)
    assert.equal(after?.current.generation, 2)
    assertEqual(await store.rotate(first), after)
  },
  'rotate, committed and executed again after a revocation: returns what stands': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const command = rotationOf(record, NOW + HOUR)
    await store.rotate(command)
    const dead = await store.revoke(record.id, revocationOf('a'))
    assertEqual(await store.rotate(command), dead)
  },
  'a renewal, committed and executed again: changes nothing more': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const renewed = await store.rotate(renewalOf(record, NOW + HOUR))
    assert.equal(renewed?.expiresAt, NOW + HOUR + DAY)
    assertEqual(await store.rotate(renewalOf(record, NOW + HOUR)), renewed)
  },
  'revoke, committed and executed again: returns its own write': async (store) => {
    const record = familyOf('a')
    await store.create(record, NOW)
    const revocation = revocationOf('a')
    await store.revoke(record.id, revocation)
    assertEqual(await store.revoke(record.id, revocation), { ...record, revocation })
  },
}

const A_KILOBYTE = 1024

const keeping: Checks = {
  'records: every member comes back as it went in': async (store) => {
    const changes: FamilyChanges[] = [
      { scope: '', audience: [], metadata: {} },
      {
        idleMs: null,
        expiresAt: NOW + 10 * DAY,
        confirmation: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' },
      },
      { offline: true, generation: 2 ** 32 - 1, retryKey: hashOf('retry') },
      { clientId: 'https://client.example/?a=b&c=d#e', keepUntil: NOW + 1, createdAt: NOW - 999 },
      { absoluteExpiresAt: Date.UTC(2999, 11, 31), expiresAt: Date.UTC(2998, 0, 1) + 1, keepUntil: 0, createdAt: 0 },
      { revocation: revocationOf('born dead') },
    ]
    for (const [index, change] of changes.entries()) {
      const record = familyOf(String(index), change)
      assertEqual(await store.create(record, NOW), record)
      assertEqual(await store.find(record.id), record)
    }
  },
  'records: members of current and grant that a store does not use come back too': async (store) => {
    const record = familyOf('a')
    const { current, grant } = record
    const later = { text: 'later', list: [1, null, { deep: true }] }
    const extended = { ...record, current: { ...current, later }, grant: { ...grant, later } }
    assertEqual(await store.create(extended, NOW), extended)
    assertEqual(await store.find(record.id), extended)
    const command = rotationOf(record, NOW + HOUR)
    const next = { ...successorOf(record, NOW + HOUR), later: 'too' }
    const after = rotated(extended, { ...command, next })
    assertEqual(await store.rotate({ ...command, next }), after)
    assertEqual(await store.find(record.id), after)
    // The next rotation replaces the part as a whole: what it does not have is gone.
    const plain = rotationOf(after, NOW + 2 * HOUR)
    assertEqual(await store.rotate(plain), rotated(after, plain))
  },
  'records: instants stay exact far into the future': async (store) => {
    const record = familyOf('a', { idleMs: 900 * 365 * DAY + 1, absoluteExpiresAt: Date.UTC(2999, 11, 31) + 7 })
    await store.create(record, NOW)
    const command = rotationOf(record, NOW + 13)
    assertEqual(await store.rotate(command), rotated(record, command))
  },
  'records: quotes, emoji, separators and a kilobyte come back unharmed': async (store) => {
    const texts = [
      `'; DROP TABLE baton_families; --`,
      '"quoted" \\back\\slash `tick` ${dollar} %s ?1 $1 :name @x',
      '😀 e\u0301 é ä 日本語 \u202eright to left\u202c \ufeff',
      'line\nfeed\r\ttab\u2028 |{}[]()<>,;:*%_',
      ' leading and trailing ',
      'x'.repeat(A_KILOBYTE),
      '😀'.repeat(A_KILOBYTE / 4),
      '__proto__',
      '0123',
      '1e3',
      'null',
    ]
    for (const [index, text] of texts.entries()) {
      const record = familyOf(`text ${String(index)}`, {
        subject: text,
        clientId: text,
        scope: text,
        audience: [text, 'https://api.example', text],
        confirmation: { jkt: text },
        metadata: { [text]: text, list: [text] },
      })
      assertEqual(await store.create(record, NOW), record)
      const command = rotationOf(record, NOW + 1)
      assertEqual(await store.rotate(command), rotated(record, command))
      const { items } = await store.list({ subject: text, limit: 10, now: NOW + 1 })
      assertEqual(items, [rotated(record, command)])
    }
  },
  'records: metadata comes back as the JSON that it was': async (store) => {
    const json = `{"__proto__":{"admin":true},"constructor":1,"nested":{"a":[{"b":[[],{},null,true,false]}]},"numbers":[0.1,
      -1.5e-7,1e21,9007199254740991,-1],"empty":"","nul":"\\u0000","text":"\\"\\\\\\n😀","1":"a numeric key","long":"${'x'.repeat(3500)}"}`
    const record = familyOf('a', { metadata: JSON.parse(json) as Record<string, unknown> })
    assertEqual(await store.create(record, NOW), record)
    const command = rotationOf(record, NOW + 1)
    const after = await store.rotate(command)
    assertEqual(after, rotated(record, command))
    assert.equal(JSON.stringify(after.grant.metadata), JSON.stringify(record.grant.metadata))
  },
  'records: changing an object that was passed in or returned changes nothing stored': async (store) => {
    const record = familyOf('a')
    const given = structuredClone(record)
    const returned = await store.create(given, NOW)
    deface(given)
    deface(returned)
    const found = await store.find(record.id)
    assertEqual(found, record)
    deface(found)
    deface((await store.list({ subject: record.grant.subject, limit: 1, now: NOW })).items[0])
    deface(await store.rotate(renewalOf(record, NOW)))
    assertEqual(await store.find(record.id), record)
  },
}

function deface(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const part of Object.values(value)) deface(part)
  // A store may freeze what it returns; then this says false and changes nothing.
  for (const key of Object.keys(value)) Reflect.set(value, key, 'defaced')
}
