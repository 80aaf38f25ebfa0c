import { countMapIterations } from '@baton/test-servers'
import { ConfigurationError, type FamilyId, type RefreshEvent } from '@baton/core'
import { describe, expect, test, vi } from 'vitest'
import { memoryEventLog } from '../src/index.js'

const issued = (familyId: string, subject = 'alice', at = 0): RefreshEvent => ({
  type: 'issued',
  at,
  familyId: familyId as FamilyId,
  subject,
  clientId: 'web',
  offline: false,
})
const rotated = (familyId: string, generation: number): RefreshEvent => ({
  type: 'rotated',
  at: generation,
  familyId: familyId as FamilyId,
  subject: 'alice',
  clientId: 'web',
  generation,
})
const refused = (familyId: string | null): RefreshEvent => ({
  type: 'rejected',
  at: 0,
  reason: 'unknown',
  familyId: familyId as FamilyId | null,
  clientId: 'web',
})

describe('memoryEventLog', () => {
  test('returns the families of one subject only, newest first', async () => {
    const log = memoryEventLog()
    for (const event of [issued('a'), issued('b'), issued('c', 'bob'), rotated('a', 1)]) log.record(event)
    expect(await log.familiesOf('alice')).toEqual(['a', 'b'])
    expect(await log.eventsOf(['a', 'unknown'])).toEqual([issued('a'), rotated('a', 1)])
  })

  test('no more families than it may: the one that was silent for longest is forgotten', async () => {
    const log = memoryEventLog({ maxFamilies: 2 })
    for (const event of [issued('a'), issued('b'), rotated('a', 1), issued('c')]) log.record(event)
    expect(await log.familiesOf('alice')).toEqual(['c', 'a'])
    expect(await log.eventsOf(['b'])).toEqual([])
  })

  test('no more events than it may: the first one and the newest', async () => {
    const log = memoryEventLog({ maxEvents: 3 })
    log.record(issued('a'))
    for (const generation of [1, 2, 3, 4]) log.record(rotated('a', generation))
    expect(await log.eventsOf(['a'])).toEqual([issued('a'), rotated('a', 3), rotated('a', 4)])
  })

  test('rejected requests that name an unknown family remove no family', async () => {
    const log = memoryEventLog({ maxFamilies: 1 })
    log.record(issued('a'))
    for (const familyId of ['x', 'y', null]) log.record(refused(familyId))
    expect(await log.familiesOf('alice')).toEqual(['a'])
  })

  test('counts of everything, and of the last minute', async () => {
    let elapsed = 500
    const log = memoryEventLog({ now: () => 1_000_000, elapsed: () => elapsed })
    log.record(issued('a'))
    log.record(refused(null))
    elapsed += 59_000
    log.record(issued('b'))
    expect(await log.counts()).toEqual({
      since: 1_000_000,
      total: { issued: 2, rejected: 1 },
      lately: { issued: 2, rejected: 1 },
    })
    elapsed += 1_000
    expect((await log.counts()).lately).toEqual({ issued: 1 })
    elapsed += 3_600_000
    expect(await log.counts()).toMatchObject({ total: { issued: 2, rejected: 1 }, lately: {} })
  })
})

test('the last minute lasts a minute when the wall clock is set back', async () => {
  vi.useFakeTimers({ now: 7_200_000 })
  try {
    const log = memoryEventLog()
    log.record(issued('a'))
    vi.setSystemTime(3_600_000)
    vi.advanceTimersByTime(60_000)
    expect((await log.counts()).lately).toEqual({})
  } finally {
    vi.useRealTimers()
  }
})

test('the family to forget is not searched for', () => {
  const log = memoryEventLog({ maxFamilies: 100, elapsed: () => 0 })
  log.record(issued('first'))
  const iterations = countMapIterations(() => {
    for (let index = 0; index < 1000; index += 1) log.record(issued(`family ${String(index)}`))
  })
  // The counts of the last minute are searched at each event; there are at most sixty.
  expect(iterations).toBe(1000)
})

test.each([{ maxFamilies: 0 }, { maxEvents: 1 }, { maxEvents: 2.5 }])('rejects the options %j', (options) => {
  expect(() => memoryEventLog(options)).toThrow(ConfigurationError)
})
