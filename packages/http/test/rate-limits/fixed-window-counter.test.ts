import { countMapIterations } from '@baton/test-servers'
import { beforeEach, describe, expect, test } from 'vitest'
import { type FixedWindowCounter, fixedWindowCounter } from '../../src/rate-limits/fixed-window-counter.js'
import { MINUTE, SECOND } from '../setup.js'

let counter: FixedWindowCounter
let now: number

beforeEach(() => {
  now = 0
  counter = fixedWindowCounter({ windowMs: MINUTE, elapsed: () => now })
})

function advance(ms: number): void {
  now += ms
}

function countAll(...keys: string[]): void {
  for (const key of keys) counter.count(key)
}

/** Returns the count of a key after one more request. */
function stateOf(key: string) {
  const { consumedPoints, msBeforeNext } = counter.count(key)
  return { consumedPoints, msBeforeNext }
}

/** Returns those of `keys` that have an active window. */
function open(...keys: string[]): string[] {
  return keys.filter((key) => stateOf(key).consumedPoints > 1)
}

describe('windows', () => {
  test('starts a window with the first request of a key and counts each request until it ends', () => {
    expect(stateOf('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    advance(SECOND)
    expect(stateOf('a')).toEqual({ consumedPoints: 2, msBeforeNext: MINUTE - SECOND })
    expect(stateOf('b')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    advance(MINUTE - SECOND - 1)
    expect(stateOf('a')).toEqual({ consumedPoints: 3, msBeforeNext: 1 })
    advance(1)
    expect(stateOf('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
  })

  test('takes back a count only in the same window', () => {
    const first = counter.count('a')
    const second = counter.count('a')
    first.giveBack()
    expect(stateOf('a').consumedPoints).toBe(2)
    advance(MINUTE)
    expect(stateOf('a').consumedPoints).toBe(1)
    second.giveBack()
    expect(stateOf('a').consumedPoints).toBe(2)
  })
})

describe('memory', () => {
  test('removes at most two ended windows for a new key', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    advance(MINUTE)
    const sizes = ['v', 'w', 'x', 'y'].map((key) => {
      counter.count(key)
      return counter.size()
    })
    expect(sizes).toEqual([4, 3, 3, 4])
  })

  test('does not accumulate ended windows for many keys', () => {
    for (let round = 0; round < 1000; round += 1) {
      counter.count(`of round ${String(round)}`)
      advance(SECOND)
    }
    expect(counter.size()).toBe(60)
  })

  test('does not remove a window that has not ended', () => {
    countAll('a')
    advance(SECOND)
    countAll('b', 'c')
    advance(MINUTE - SECOND)
    counter.count('d')
    expect(counter.size()).toBe(3)
    expect(open('b', 'c', 'd')).toEqual(['b', 'c', 'd'])
  })

  test('removes the windows behind a key that starts again', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    advance(MINUTE)
    countAll('c', 'f')
    expect(counter.size()).toBe(2)
  })

  test('forgets the window that ends first beyond 100 000 keys', () => {
    const first = ['a', 'b', 'c']
    countAll(...first)
    advance(1)
    for (let index = 3; index < 100_000; index += 1) counter.count(String(index))
    counter.count('one too many')
    expect(counter.size()).toBe(100_000)
    expect(open('b', 'c', '3', 'one too many')).toEqual(['b', 'c', '3', 'one too many'])
    expect(open('a')).toEqual([])
  })

  test('finds the windows to remove without a search', () => {
    const iterations = countMapIterations(() => {
      for (let round = 0; round < 3; round += 1) {
        for (let index = 0; index < 5000; index += 1) counter.count(`key ${String(index)} of round ${String(round)}`)
        advance(MINUTE)
      }
    })
    expect(iterations).toBe(0)
    expect(counter.size()).toBe(5000)
  })
})
