import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Windows, windowsOf } from '../src/windows.js'
import { MINUTE, SECOND, START } from './wire.js'

let windows: Windows

beforeEach(() => {
  vi.useFakeTimers({ now: START })
  windows = windowsOf(MINUTE)
})
afterEach(() => {
  vi.useRealTimers()
})

function countAll(...keys: string[]): void {
  for (const key of keys) windows.count(key)
}

/** Those of `keys` whose window is open. */
function open(...keys: string[]): string[] {
  return keys.filter((key) => windows.look(key) !== null)
}

describe('a window', () => {
  test('begins with its first request, and counts each one until its end', () => {
    expect(windows.count('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    vi.advanceTimersByTime(SECOND)
    expect(windows.count('a')).toEqual({ consumedPoints: 2, msBeforeNext: MINUTE - SECOND })
    expect(windows.count('b')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
    vi.advanceTimersByTime(MINUTE - SECOND - 1)
    expect(windows.count('a')).toEqual({ consumedPoints: 3, msBeforeNext: 1 })
    vi.advanceTimersByTime(1)
    expect(windows.count('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE })
  })

  test('looking counts nothing, and begins none', () => {
    expect(windows.look('a')).toBeNull()
    expect(windows.size()).toBe(0)
    windows.count('a')
    vi.advanceTimersByTime(SECOND)
    expect(windows.look('a')).toEqual({ consumedPoints: 1, msBeforeNext: MINUTE - SECOND })
    expect(windows.look('a')?.consumedPoints).toBe(1)
    vi.advanceTimersByTime(MINUTE - SECOND)
    expect(windows.look('a')).toBeNull()
  })
})

describe('what is remembered', () => {
  test('a new key takes two along whose windows are over, and never more', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    vi.advanceTimersByTime(MINUTE)
    const sizes = ['v', 'w', 'x', 'y'].map((key) => {
      windows.count(key)
      return windows.size()
    })
    expect(sizes).toEqual([4, 3, 3, 4])
  })

  test('so that those which are over do not gather, however many come', () => {
    for (let round = 0; round < 1000; round += 1) {
      windows.count(`of round ${String(round)}`)
      vi.advanceTimersByTime(SECOND)
    }
    expect(windows.size()).toBe(60)
  })

  test('one whose window is open goes with none of them', () => {
    countAll('a')
    vi.advanceTimersByTime(SECOND)
    countAll('b', 'c')
    vi.advanceTimersByTime(MINUTE - SECOND)
    windows.count('d')
    expect(windows.size()).toBe(3)
    expect(open('b', 'c', 'd')).toEqual(['b', 'c', 'd'])
  })

  test('one that begins anew does not stand before those that are over', () => {
    countAll('a', 'b', 'c', 'd', 'e')
    vi.advanceTimersByTime(MINUTE)
    countAll('c', 'f')
    expect(windows.size()).toBe(2)
  })

  test('of too many, the one whose window ends next is forgotten, and no other', () => {
    const first = ['a', 'b', 'c']
    countAll(...first)
    vi.advanceTimersByTime(1)
    for (let index = 3; index < 100_000; index += 1) windows.count(String(index))
    expect(open(...first)).toEqual(first)
    windows.count('one too many')
    expect(open(...first, '3', 'one too many')).toEqual(['b', 'c', '3', 'one too many'])
    expect(windows.size()).toBe(100_000)
  })
})
