import { expect, onTestFinished, test, vi } from 'vitest'
import { inGroups } from '../src/groups.js'

test('all are answered although an app under test has replaced its timers', async () => {
  onTestFinished(() => {
    vi.useRealTimers()
  })
  vi.useFakeTimers()
  const double = inGroups(async (group: readonly number[]) => group.map((asked) => 2 * asked))
  expect(await double(1)).toBe(2)
  expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6])
})
