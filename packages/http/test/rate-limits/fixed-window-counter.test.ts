import { beforeEach, describe, expect, test } from 'vitest'
import { type FixedWindowCounter, fixedWindowCounter } from '../../src/rate-limits/fixed-window-counter.js'
import { MINUTE, SECOND } from '../wire.js'

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

/** How far a key is, as one further request finds it. */
function stateOf(key: string) {
  const { consumedPoints, msBeforeNext } = counter.count(key)
  return { consumedPoints, msBeforeNext }
}

/** Those of `keys` that have been counted before in a window that has not ended. */
function open(...keys: string[]): string[] {
  return keys.filter((key) => stateOf(key).consumedPoints > 1)
}

describe('a window', () => {
  test('begins with the first request of its key and counts each request until it ends', () => {
    expect(stateOf('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    advance(SECOND)
    expect(stateOf('a')).toEqual({ consumedPoints: 2, msBeforeNext: MINUTE - SECOND })
    expect(stateOf('b')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    advance(MINUTE - SECOND - 1)
    expect(stateOf('a')).toEqual({ consumedPoints: 3, msBeforeNext: 1 })
    advance(1)
    expect(stateOf('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
  })

  test('takes back a count, but not from the window after it', () => {
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
  test('a new key removes two windows that have ended, and no more', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    advance(MINUTE)
    const sizes = ['v', 'w', 'x', 'y'].map((key) => {
      counter.count(key)
      return counter.size()
    })
    expect(sizes).toEqual([4, 3, 3, 4])
  })

  test('windows that have ended do not accumulate, however many keys come', () => {
    for (let round = 0; round < 1000; round += 1) {
      counter.count(`of round ${String(round)}`)
      advance(SECOND)
    }
    expect(counter.size()).toBe(60)
  })

  test('a window that has not ended is not removed with those that have', () => {
    countAll('a')
    advance(SECOND)
    countAll('b', 'c')
    advance(MINUTE - SECOND)
    counter.count('d')
    expect(counter.size()).toBe(3)
    expect(open('b', 'c', 'd')).toEqual(['b', 'c', 'd'])
  })

  test('a key that begins again does not keep the windows behind it from being removed', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    advance(MINUTE)
    countAll('c', 'f')
    expect(counter.size()).toBe(2)
  })

  test('beyond 100 000 keys, the window that ends first is forgotten and no other', () => {
    const first = ['a', 'b', 'c']
    countAll(...first)
    advance(1)
    for (let index = 3; index < 100_000; index += 1) counter.count(String(index))
    counter.count('one too many')
    expect(counter.size()).toBe(100_000)
    expect(open('b', 'c', '3', 'one too many')).toEqual(['b', 'c', '3', 'one too many'])
    expect(open('a')).toEqual([])
  })

  test('a new key costs a constant time with 100 000 keys remembered', () => {
    const KEYS = 100_000
    const fastest = (count: (key: string) => void): number => {
      let next = 0
      const round = (keys: number): number => {
        const startedAt = performance.now()
        for (let index = 0; index < keys; index += 1) count(`key ${String((next += 1))}`)
        return performance.now() - startedAt
      }
      round(KEYS)
      advance(MINUTE)
      return Math.min(...Array.from({ length: 5 }, () => round(KEYS / 10)))
    }
    // The least that a bounded memory costs: one key goes in, and one that is known goes out.
    const plain = new Map<string, number>()
    const least = fastest((key) => {
      plain.set(key, 0)
      plain.delete(`key ${String(Number(key.slice(4)) - KEYS)}`)
    })
    // A sweep that looks for the oldest key from the front of a Map costs more than a hundred times as much.
    expect(fastest((key) => counter.count(key))).toBeLessThan(20 * least)
  })
})
