import { describe, expect, test } from 'vitest'
import type { Revocation, RotateCommand } from '../../src/index.js'
import { applyRevocation, applyRotation, deletableAt, expiryAt, isAlive, rotationApplies } from '../../src/store.js'
import { HOUR, NOW, recordAt, verifierOf } from './record.js'

const record = recordAt(NOW)
const revocation: Revocation = { id: 'r', at: NOW, reason: 'logout' }
const revoked = { ...record, revocation }
const next = {
  generation: 1,
  verifier: verifierOf('b'),
  nonce: 'other nonce',
  keyId: 'other key',
  rotatedAt: NOW + 1,
  retryKey: 'retry key',
}
const rotation: RotateCommand = { id: record.id, expect: record.current.verifier, next, now: NOW + 1 }

describe('applyRotation', () => {
  test('replaces the current token and moves expiresAt', () => {
    expect(applyRotation(record, rotation)).toEqual({ ...record, current: next, expiresAt: NOW + 1 + HOUR })
  })

  test('shares no part with the command', () => {
    expect(applyRotation(record, rotation).current).not.toBe(next)
  })

  test('only moves expiresAt if the command renews', () => {
    expect(applyRotation(record, { ...rotation, next: null })).toEqual({ ...record, expiresAt: NOW + 1 + HOUR })
  })

  const superseded = {
    'of another verifier': [record, { ...rotation, expect: verifierOf('z') }],
    'of a revoked family': [revoked, rotation],
    'at the instant of expiry': [record, { ...rotation, now: record.expiresAt }],
  } as const
  test.each(Object.entries(superseded))('returns the record itself for a command %s', (_which, [before, command]) => {
    expect(applyRotation(before, command)).toBe(before)
    expect(rotationApplies(before, command)).toBe(false)
  })

  test('applies until the last millisecond', () => {
    const command = { ...rotation, now: record.expiresAt - 1 }
    expect(rotationApplies(record, command)).toBe(true)
    expect(applyRotation(record, command)).toMatchObject({ current: { generation: 1 } })
  })

  test('does not apply to a missing record', () => {
    expect(rotationApplies(null, rotation)).toBe(false)
  })
})

describe('applyRevocation', () => {
  test('sets the revocation', () => {
    expect(applyRevocation(record, revocation)).toEqual(revoked)
  })

  test('returns the record itself if it is revoked already', () => {
    expect(applyRevocation(revoked, { ...revocation, id: 'another' })).toBe(revoked)
  })
})

test.each([
  [{ idleMs: 10, absoluteExpiresAt: 200 }, 110],
  [{ idleMs: 100, absoluteExpiresAt: 200 }, 200],
  [{ idleMs: 101, absoluteExpiresAt: 200 }, 200],
  [{ idleMs: null, absoluteExpiresAt: 200 }, 200],
])('expiryAt is the earlier of the idle and the absolute limit: %j at 100 gives %d', (lifetime, expiresAt) => {
  expect(expiryAt(100, lifetime)).toBe(expiresAt)
})

test('a family is alive until it is revoked or expires', () => {
  expect(isAlive(record, record.expiresAt - 1)).toBe(true)
  expect(isAlive(record, record.expiresAt)).toBe(false)
  expect(isAlive(revoked, NOW)).toBe(false)
})

test('a record is deletable once the family is dead and keepUntil has passed', () => {
  expect(deletableAt(record)).toBe(record.expiresAt)
  expect(deletableAt({ ...record, lifetime: { ...record.lifetime, keepUntil: record.expiresAt + 1 } })).toBe(
    record.expiresAt + 1,
  )
  expect(deletableAt(revoked)).toBe(revoked.lifetime.keepUntil)
  expect(deletableAt({ ...revoked, lifetime: { ...revoked.lifetime, keepUntil: NOW + 5 } })).toBe(NOW + 5)
})
