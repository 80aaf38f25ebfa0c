import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../src/index.js'
import {
  compareNewestFirst,
  decodeCursor,
  encodeCursor,
  type ListPosition,
  pageOf,
  positionOf,
  toPage,
} from '../../src/store.js'
import { HOUR, idOf, NOW, recordAt } from './record.js'

const position = (createdAt: number, letter = 'a'): ListPosition => ({ createdAt, id: idOf(letter) })

describe('compareNewestFirst', () => {
  test('sorts newest first and positions of one instant by id', () => {
    const sorted = [position(2), position(1, 'a'), position(1, 'b'), position(0), position(-1)]
    expect([...sorted].reverse().sort(compareNewestFirst)).toEqual(sorted)
    expect(compareNewestFirst(position(1), position(1))).toBe(0)
  })
})

describe('cursors', () => {
  test.each([0, 1, -1, Date.UTC(2027, 0, 1), 8.64e15, -8.64e15])(
    'decodes a cursor to the position that was encoded at %d',
    (createdAt) => {
      const before = position(createdAt, '-')
      expect(decodeCursor(encodeCursor(before))).toEqual(before)
    },
  )

  const id = 'a'.repeat(22)
  const otherKeyToken = ['', `1${id}`, `.${id}`, `1.${id}a`, '1.a', '1.', `01.${id}`, `-0.${id}`, `1e3.${id}`]
    .concat([`1.5.${id}`, ` 1.${id}`, `1.${id}\n`, `1.${'a'.repeat(21)}\0`, `9999999999999999.${id}`])
    .map((text) => Buffer.from(text).toString('base64url'))
    .concat(['not a cursor', '😀', `${encodeCursor(position(1))}=`, `${encodeCursor(position(1))}!`])
  test.each(otherKeyToken)('rejects the unknown cursor %j with a ConfigurationError', (cursor) => {
    expect(() => decodeCursor(cursor)).toThrow(/^option "cursor" is not one that list returned/)
    expect(() => decodeCursor(cursor)).toThrow(expect.objectContaining({ name: 'ConfigurationError' }))
  })
})

describe('toPage', () => {
  const items = [recordAt(3), recordAt(2), recordAt(1)]

  test('keeps `limit` items and returns the cursor of the last one if more follow', () => {
    expect(toPage(items, 2)).toEqual({ items: items.slice(0, 2), cursor: encodeCursor(positionOf(items[1]!)) })
  })

  test.each([3, 4])('returns no cursor with the last page, of at most %d items', (limit) => {
    expect(toPage(items, limit)).toEqual({ items, cursor: null })
  })

  test('returns an empty page without a cursor', () => {
    expect(toPage([], 2)).toEqual({ items: [], cursor: null })
  })
})

describe('pageOf', () => {
  const sorted = [recordAt(3), recordAt(2, 'a'), recordAt(2, 'b'), recordAt(1), recordAt(-1)]

  test.each([1, 2, 3, 5, 6])('returns all records in list order, in pages of %d', (limit) => {
    const listed = []
    let cursor: string | null | undefined
    for (let pages = 0; cursor !== null && pages < 6; pages += 1) {
      const page = pageOf([...sorted].reverse(), { ...(cursor === undefined ? {} : { cursor }), limit, now: NOW })
      expect(page.items.length).toBeLessThanOrEqual(limit)
      listed.push(...page.items)
      cursor = page.cursor
    }
    expect(listed).toEqual(sorted)
  })

  test('continues after a record that was deleted', () => {
    const { cursor } = pageOf(sorted, { limit: 2, now: NOW })
    const remaining = sorted.filter((record) => record !== sorted[1])
    expect(pageOf(remaining, { cursor: cursor ?? '', limit: 10, now: NOW }).items).toEqual(sorted.slice(2))
  })

  test('omits records that are revoked or expired', () => {
    const revoked = { ...recordAt(2), revocation: { id: 'r', at: NOW, reason: 'logout' as const } }
    expect(pageOf([recordAt(3), revoked], { limit: 2, now: NOW }).items).toEqual([recordAt(3)])
    expect(pageOf([recordAt(3)], { limit: 2, now: NOW + HOUR }).items).toEqual([])
  })

  test('rejects an unknown cursor', () => {
    expect(() => pageOf(sorted, { cursor: 'foreign', limit: 2, now: NOW })).toThrow(ConfigurationError)
  })
})
