import { describe, expect, test } from 'vitest'
import { purgeInSteps, type TableRange } from '../../src/store.js'

const NOW = 1000

/** A table whose rows become deletable at given instants, in ranges of ten positions. */
function table(rows: (number | null)[]) {
  const visited: number[] = []
  const limits: number[] = []
  const indexed = { rows: 0 }
  async function* ranges(from: number): AsyncGenerator<TableRange> {
    for (let start = from; start < rows.length; start += 10) {
      visited.push(start)
      yield { from: start, to: start + 10 }
    }
  }
  const purge = purgeInSteps({
    maxRows: 4,
    deleteByIndex: [
      async (_now, limit) => {
        const deleted = Math.min(limit, indexed.rows)
        indexed.rows -= deleted
        return deleted
      },
    ],
    ranges,
    async deleteInRange({ from, to }, now, limit) {
      limits.push(limit)
      let deleted = 0
      for (let position = from; position < to && deleted < limit; position += 1) {
        const row = rows[position]
        if (row === null || row === undefined || row > now) continue
        rows[position] = null
        deleted += 1
      }
      return deleted
    },
  })
  return { purge, visited, limits, indexed, left: () => rows.filter((row) => row !== null).length }
}

const expired = (count: number) => Array.from({ length: count }, () => 0)
const active = (count: number) => Array.from({ length: count }, () => Infinity)

describe('purgeInSteps', () => {
  test('deletes every deletable row, at most maxRows in one statement', async () => {
    const { purge, limits, left, indexed } = table([...expired(23), ...active(7)])
    indexed.rows = 9
    expect(await purge(NOW, 100)).toBe(32)
    expect([left(), indexed.rows]).toEqual([7, 0])
    expect(Math.max(...limits)).toBe(4)
  })

  test('deletes exactly `limit` rows if there are more, by index first', async () => {
    const { purge, indexed, left } = table(expired(30))
    indexed.rows = 3
    expect(await purge(NOW, 5)).toBe(5)
    expect([indexed.rows, left()]).toEqual([0, 28])
  })

  test('continues where the previous call stopped, and reads every range once in a round', async () => {
    const { purge, visited } = table([...active(10), ...expired(20), ...active(10)])
    expect(await purge(NOW, 15)).toBe(15)
    expect(visited).toEqual([0, 10, 20])
    visited.length = 0
    expect(await purge(NOW, 15)).toBe(5)
    expect(visited).toEqual([20, 30, 0, 10, 20])
    visited.length = 0
    expect(await purge(NOW, 15)).toBe(0)
    expect(visited).toEqual([0, 10, 20, 30])
  })

  test('deletes rows that became deletable behind the position', async () => {
    const rows: (number | null)[] = [...active(10), ...expired(10)]
    const { purge } = table(rows)
    expect(await purge(NOW, 5)).toBe(5)
    rows[2] = 0
    expect(await purge(NOW, 100)).toBe(6)
  })

  test('rejects with the error of a statement', async () => {
    const purge = purgeInSteps({
      maxRows: 4,
      deleteByIndex: [() => Promise.reject(new Error('no connection'))],
      ranges: () => {
        throw new Error('not reached')
      },
      deleteInRange: () => Promise.resolve(0),
    })
    await expect(purge(NOW, 1)).rejects.toThrow('no connection')
  })
})
