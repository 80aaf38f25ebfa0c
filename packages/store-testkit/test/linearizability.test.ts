import type { FamilyRecord } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { describeHistory, isLinearizable, type Operation, recorder } from '../src/index.js'
import {
  DAY,
  familyOf,
  HOUR,
  NOW,
  renewalOf,
  revocationOf,
  rotated,
  rotationOf,
  verifier,
  withChanges,
} from '../src/records.js'

const A = familyOf('a')
const TO_B = rotationOf(A, NOW + 1, { verifier: verifier('b') })
const TO_C = rotationOf(A, NOW + 1, { verifier: verifier('c') })
const B = rotated(A, TO_B)
const C = rotated(A, TO_C)
const B_TO_D = rotationOf(B, NOW + 2, { verifier: verifier('d') })
const D = rotated(B, B_TO_D)
const REVOCATION = revocationOf('r')
const dead = (record: FamilyRecord): FamilyRecord => ({ ...record, revocation: REVOCATION })

type Answer = FamilyRecord | null

function at(begin: number, end: number, call: Operation['call'], answer: Answer): Operation {
  return { begin, end, call, answer }
}
function lost(begin: number, call: Operation['call']): Operation {
  return { begin, end: null, call, answer: null }
}
const create = { method: 'create', record: A } as const
const find = { method: 'find' } as const
const toB = { method: 'rotate', command: TO_B } as const
const toC = { method: 'rotate', command: TO_C } as const
const bToD = { method: 'rotate', command: B_TO_D } as const
const revoke = { method: 'revoke', revocation: REVOCATION } as const

const explained: Record<string, Operation[]> = {
  'nothing at all': [],
  'calls one after another': [at(1, 2, create, A), at(3, 4, toB, B), at(5, 6, bToD, D), at(7, 8, find, D)],
  'a read during a write that sees it': [at(1, 2, create, A), at(3, 6, toB, B), at(4, 5, find, B)],
  'a read during a write that does not': [at(1, 2, create, A), at(3, 6, toB, B), at(4, 5, find, A)],
  'two reads during a write, the later one sees it': [
    at(1, 2, create, A),
    at(3, 8, toB, B),
    at(4, 5, find, A),
    at(6, 7, find, B),
  ],
  'a race with one winner whom the loser sees': [at(1, 2, create, A), at(3, 6, toB, B), at(4, 5, toC, B)],
  'a race won by the one that began last': [at(1, 2, create, A), at(3, 6, toB, C), at(4, 5, toC, C)],
  'a race of creations': [
    at(1, 4, create, A),
    at(2, 3, { method: 'create', record: withChanges(A, { verifier: verifier('z') }) }, A),
  ],
  'a lost call that took effect': [at(1, 2, create, A), lost(3, toB), at(4, 5, find, B)],
  'a lost call that took none': [at(1, 2, create, A), lost(3, toB), at(4, 5, find, A)],
  'a lost call that took effect late': [at(1, 2, create, A), lost(3, toB), at(4, 5, find, A), at(6, 7, find, B)],
  'a lost call that others built upon': [at(1, 2, create, A), lost(3, toB), at(4, 5, bToD, D)],
  'a lost creation': [lost(1, create), at(2, 3, find, null), at(4, 5, find, A)],
  'two lost calls of which one won': [at(1, 2, create, A), lost(3, toB), lost(4, toC), at(5, 6, find, C)],
  'a revocation that ends it': [at(1, 2, create, A), at(3, 4, revoke, dead(A)), at(5, 6, toB, dead(A))],
  'a list during a creation': [at(1, 4, create, A), at(2, 3, { method: 'list', now: NOW }, null)],
  'a list at the end of a family': [at(1, 2, create, A), at(3, 4, { method: 'list', now: NOW + DAY }, null)],
  'a rotation at the end of a family': [
    at(1, 2, create, A),
    at(3, 4, { method: 'rotate', command: rotationOf(A, NOW + DAY) }, A),
  ],
  'a renewal': [
    at(1, 2, create, A),
    at(3, 4, { method: 'rotate', command: renewalOf(A, NOW + HOUR) }, { ...A, expiresAt: NOW + HOUR + DAY }),
  ],
}

const unexplained: Record<string, Operation[]> = {
  'a family out of nothing': [at(1, 2, find, A)],
  'a stale read after a write': [at(1, 2, create, A), at(3, 4, toB, B), at(5, 6, find, A)],
  'two reads during a write, the earlier one sees it': [
    at(1, 2, create, A),
    at(3, 8, toB, B),
    at(4, 5, find, B),
    at(6, 7, find, A),
  ],
  'two winners': [at(1, 2, create, A), at(3, 6, toB, B), at(4, 5, toC, C)],
  'a loser that sees the snapshot from before': [at(1, 2, create, A), at(3, 4, toB, B), at(5, 6, toC, A)],
  'a race whose loser reads a record that no call wrote': [at(1, 2, create, A), at(3, 6, toB, B), at(4, 5, toC, A)],
  'an acknowledged write that is lost': [at(1, 2, create, A), at(3, 4, toB, B), lost(5, toC), at(6, 7, find, C)],
  'a lost call that took effect before it began': [at(1, 2, create, A), at(3, 4, find, B), lost(5, toB)],
  'a lost call whose effect comes and goes': [at(1, 2, create, A), lost(3, toB), at(4, 5, find, B), at(6, 7, find, A)],
  'two lost calls that both won': [
    at(1, 2, create, A),
    lost(3, toB),
    lost(4, toC),
    at(5, 6, find, B),
    at(7, 8, find, C),
  ],
  'a torn record': [
    at(1, 2, create, A),
    at(3, 6, toB, B),
    at(4, 5, find, withChanges(A, { verifier: B.current.verifier })),
  ],
  'a revocation undone': [at(1, 2, create, A), at(3, 4, revoke, dead(A)), at(5, 6, find, A)],
  'a rotation after the revocation': [at(1, 2, create, A), at(3, 4, revoke, dead(A)), at(5, 6, toB, B)],
  'a created family that is not listed': [at(1, 2, create, A), at(3, 4, { method: 'list', now: NOW }, null)],
  'a dead family that is listed': [at(1, 2, create, A), at(3, 4, { method: 'list', now: NOW + DAY }, A)],
  'an end beyond the absolute end': [
    at(1, 2, create, A),
    at(3, 4, { method: 'rotate', command: renewalOf(A, NOW + HOUR) }, { ...A, expiresAt: NOW + 11 * DAY }),
  ],
}

describe('some order explains', () => {
  test.each(Object.entries(explained))('%s', (_name, history) => {
    expect(isLinearizable(history)).toBe(true)
    expect(isLinearizable([...history].reverse())).toBe(true)
  })
})

describe('no order explains', () => {
  test.each(Object.entries(unexplained))('%s', (_name, history) => {
    expect(isLinearizable(history)).toBe(false)
    expect(isLinearizable([...history].reverse())).toBe(false)
  })
})

test('a history may begin with a family that exists', () => {
  expect(isLinearizable([at(1, 2, toB, B)], A)).toBe(true)
  expect(isLinearizable([at(1, 2, toB, B)], C)).toBe(false)
})

test('forty calls at once are judged in no time, explained or not', () => {
  const calls = Array.from({ length: 40 }, (_, index) => lost(index + 2, toB))
  const readers = Array.from({ length: 20 }, (_, index) => at(100 + index, 200 + index, find, B))
  expect(isLinearizable([at(0, 1, create, A), ...calls, ...readers])).toBe(true)
  const racers = Array.from({ length: 14 }, (_, index) => at(2 + index, 100 + index, toB, B))
  expect(isLinearizable([at(0, 1, create, A), ...racers, at(300, 301, find, A)])).toBe(false)
})

test('a recorder notes begin and end of each call, and no end where one rejects', async () => {
  const { operations, record } = recorder()
  let answer: (record: FamilyRecord) => void = () => undefined
  const slow = record(create, () => new Promise<FamilyRecord>((resolve) => (answer = resolve)))
  await record(find, async () => null)
  await expect(record(toB, () => Promise.reject(new Error('cut')))).rejects.toThrow('cut')
  answer(A)
  await slow
  expect(operations).toEqual([at(2, 3, find, null), lost(4, toB), at(1, 5, create, A)])
  expect(describeHistory(operations).split('\n')).toEqual([
    expect.stringMatching(/^1–5 create \S+ answered \S+ \(generation 0, until \d+\)$/),
    '2–3 find answered nothing',
    expect.stringMatching(/^4–\? rotate \S+ to \S+ at \d+ never answered$/),
  ])
})
