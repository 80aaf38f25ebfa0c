import type { FamilyId, RefreshEvent } from '@baton/core'
import { expect, test } from 'vitest'
import { historyOf } from '../src/index.js'

const of = { familyId: 'f'.repeat(22) as FamilyId, subject: 'alice', clientId: 'web' }
const issued: RefreshEvent = { ...of, type: 'issued', at: 1, offline: false }
const rotated = (generation: number, at: number): RefreshEvent => ({ ...of, type: 'rotated', generation, at })
const retried = (generation: number, at: number): RefreshEvent => ({
  ...of,
  type: 'retried',
  generation,
  at,
  by: 'grace',
  attempt: 'unknown',
})

test('generations stand in their order, with how often each was handed out again', () => {
  const history = historyOf([
    issued,
    rotated(1, 2),
    retried(1, 3),
    retried(1, 4),
    { ...of, type: 'healed', generation: 2, at: 5 },
  ])
  expect(history).toEqual({
    steps: [
      { generation: 0, at: 1, how: 'issued', retries: 0 },
      { generation: 1, at: 2, how: 'rotated', retries: 2 },
      { generation: 2, at: 5, how: 'healed', retries: 0 },
    ],
    theft: null,
    end: null,
  })
})

test('the order in which events were recorded makes no difference', () => {
  const events = [issued, rotated(1, 2), retried(1, 3), rotated(2, 4)]
  expect(historyOf([...events].reverse())).toEqual(historyOf(events))
})

test('reuse is theft and the end', () => {
  const reuse: RefreshEvent = { ...of, type: 'reuse', at: 9, generation: 2, presentedGeneration: 0 }
  expect(historyOf([issued, rotated(1, 2), rotated(2, 3), reuse])).toMatchObject({
    theft: { at: 9, presented: 0 },
    end: { at: 9, reason: 'reuse' },
  })
})

test('a revocation is an end without theft', () => {
  expect(historyOf([issued, { ...of, type: 'revoked', at: 4, reason: 'logout' }])).toMatchObject({
    theft: null,
    end: { at: 4, reason: 'logout' },
  })
})

test('what happened before the log began is left out', () => {
  expect(historyOf([retried(7, 3)]).steps).toEqual([{ generation: 7, at: 3, how: 'rotated', retries: 1 }])
})
