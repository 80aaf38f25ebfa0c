import { expect, test } from 'vitest'
import { FAMILY_COLUMNS, fromRow, toCurrentColumns, toRow, toValues } from '../../src/store.js'
import { NOW, recordAt } from './record.js'

const record = recordAt(NOW)
const revoked = { ...record, revocation: { id: 'r', at: NOW, reason: 'logout' } as const }
const withoutIdleLimit = { ...record, lifetime: { ...record.lifetime, idleMs: null } }

test.each([record, revoked, withoutIdleLimit])('fromRow returns the record that toRow wrote', (before) => {
  expect(fromRow(toRow(before))).toEqual(before)
})

test('fromRow accepts integers as drivers return them: text or bigint', () => {
  const row = toRow(record)
  const changed = { created_at: String(NOW), keep_until: BigInt(record.lifetime.keepUntil), idle_ms: '3600000' }
  expect(fromRow({ ...row, ...changed })).toEqual(record)
})

test('FAMILY_COLUMNS names every column of a row', () => {
  expect(Object.keys(toRow(record)).sort()).toEqual([...FAMILY_COLUMNS].sort())
})

test('toValues returns the values of the columns in their order', () => {
  const row = toRow(record)
  expect(toValues(record)).toEqual(FAMILY_COLUMNS.map((name) => row[name]))
})

test('toCurrentColumns returns the columns of the current token', () => {
  expect(toRow(record)).toMatchObject(toCurrentColumns(record.current))
})
