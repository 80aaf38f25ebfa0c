import { describe, expect, it } from 'vitest'
import { type Instant, millisecondsOf } from '../src/instants.js'

const NOON = Date.UTC(2030, 0, 1, 12)

describe('millisecondsOf', () => {
  it.each([
    ['a Date', new Date(NOON), NOON],
    ['milliseconds', NOON, NOON],
    ['milliseconds as a bigint', BigInt(NOON), NOON],
    ['milliseconds as text, as pg gives a bigint', String(NOON), NOON],
    ['seconds', NOON / 1000, NOON],
    ['seconds as text', String(NOON / 1000), NOON],
    ['seconds with a fraction', NOON / 1000 + 0.5, NOON + 500],
    ['ISO 8601 with a zone', '2030-01-01T13:00:00+01:00', NOON],
    ['ISO 8601 in UTC', '2030-01-01T12:00:00.000Z', NOON],
    ['CURRENT_TIMESTAMP of SQLite', '2030-01-01 12:00:00', NOON],
    ['the same with a T and without seconds', '2030-01-01T12:00', NOON],
  ] satisfies [string, Instant, number][])('reads %s', (_name, instant, expected) => {
    expect(millisecondsOf('expiresAt', instant)).toBe(expected)
  })

  it.each(['', 'soon', 'infinity', Number.NaN, new Date(Number.NaN), {}, true])('rejects %s', (instant) => {
    expect(() => millisecondsOf('expiresAt', instant as Instant)).toThrow(/^expiresAt: expected a Date/)
  })

  it('does not depend on the time zone of the machine', () => {
    const before = process.env['TZ']
    try {
      process.env['TZ'] = 'Pacific/Auckland'
      expect(millisecondsOf('createdAt', '2030-01-01 12:00:00')).toBe(NOON)
    } finally {
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  })
})
