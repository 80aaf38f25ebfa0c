import { describe, expect, test } from 'vitest'
import type { FamilyId } from '../../src/index.js'
import { compareNewestFirst, decodeCursor, encodeCursor, type ListPosition, toPage } from '../../src/store.js'

const position = (createdAt: number, letter = 'a'): ListPosition => ({
  createdAt,
  id: letter.repeat(22) as FamilyId,
})

describe('compareNewestFirst', () => {
  test('sorts newest first and positions of one instant by id', () => {
    const sorted = [position(2), position(1, 'a'), position(1, 'b'), position(0), position(-1)]
    expect([...sorted].reverse().sort(compareNewestFirst)).toEqual(sorted)
    expect(compareNewestFirst(position(1), position(1))).toBe(0)
  })
})

describe('cursors', () => {
  test.each([0, 1, -1, Date.UTC(2027, 0, 1), 8.64e15, -8.64e15])(
    'decode to the position encoded, at %d',
    (createdAt) => {
      const before = position(createdAt, '-')
      expect(decodeCursor(encodeCursor(before))).toEqual(before)
    },
  )

  const id = 'a'.repeat(22)
  const foreign = ['', `1${id}`, `.${id}`, `1.${id}a`, '1.a', '1.', `01.${id}`, `-0.${id}`, `1e3.${id}`]
    .concat([`1.5.${id}`, ` 1.${id}`, `1.${id}\n`, `1.${'a'.repeat(21)}\0`, `9999999999999999.${id}`])
    .map((text) => Buffer.from(text).toString('base64url'))
    .concat(['not a cursor', '😀', `${encodeCursor(position(1))}=`, `${encodeCursor(position(1))}!`])
  test.each(foreign)('reject the foreign cursor %j with a TypeError', (cursor) => {
    expect(() => decodeCursor(cursor)).toThrow(/^cursor: not one that list returned/)
    expect(() => decodeCursor(cursor)).toThrow(expect.objectContaining({ name: 'TypeError' }))
  })
})

describe('toPage', () => {
  const items = [position(3), position(2), position(1)]

  test('keeps `limit` items and returns the cursor of the last one if more follow', () => {
    expect(toPage(items, 2)).toEqual({ items: items.slice(0, 2), cursor: encodeCursor(items[1]!) })
  })

  test.each([3, 4])('returns no cursor with the last page, of at most %d items', (limit) => {
    expect(toPage(items, limit)).toEqual({ items, cursor: null })
  })

  test('returns an empty page without a cursor', () => {
    expect(toPage([], 2)).toEqual({ items: [], cursor: null })
  })
})
