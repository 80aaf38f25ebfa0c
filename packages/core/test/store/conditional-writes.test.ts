import { describe, expect, test, vi } from 'vitest'
import type { FamilyRecord, Revocation } from '../../src/index.js'
import { type ConditionalStatements, conditionalWrites } from '../../src/store.js'
import { NOW, recordAt, verifierOf } from './record.js'

const record = recordAt(NOW)
const revocation: Revocation = { id: 'r', at: NOW, reason: 'logout' }
const command = { id: record.id, expect: record.current.verifier, next: null, now: NOW }

/** An engine that applies no write. */
function engine(changes: Partial<ConditionalStatements> = {}) {
  const statements = {
    insert: vi.fn(async (): Promise<FamilyRecord | null> => null),
    rotate: vi.fn(async (): Promise<FamilyRecord | null> => null),
    revoke: vi.fn(async (): Promise<FamilyRecord | null> => null),
    find: vi.fn(async (): Promise<FamilyRecord | null> => null),
    caller: 'exampleStore',
    advice: 'is there a trigger?',
    ...changes,
  }
  const { create, rotate, revoke } = conditionalWrites(statements)
  const calls = {
    create: () => create(record),
    rotate: () => rotate(command),
    revoke: () => revoke(record.id, revocation),
  }
  return { statements, calls }
}

const contradicting: Record<'create' | 'rotate' | 'revoke', FamilyRecord | null> = {
  create: null,
  rotate: record,
  revoke: record,
}
const forbidding: ['create' | 'rotate' | 'revoke', FamilyRecord | null][] = [
  ['create', record],
  ['rotate', { ...record, current: { ...record.current, verifier: verifierOf('z') } }],
  ['rotate', { ...record, revocation }],
  ['rotate', { ...record, expiresAt: NOW }],
  ['rotate', null],
  ['revoke', { ...record, revocation }],
  ['revoke', null],
]
const methods = ['create', 'rotate', 'revoke'] as const
const statementOf = { create: 'insert', rotate: 'rotate', revoke: 'revoke' } as const

describe('conditionalWrites', () => {
  test.each(methods)('%s returns what the statement returned, without a read', async (method) => {
    const { statements, calls } = engine({ [statementOf[method]]: async () => record })
    expect(await calls[method]()).toBe(record)
    expect(statements.find).not.toHaveBeenCalled()
  })

  test.each(forbidding)('%s returns the stored record that forbids the write', async (method, stored) => {
    const { statements, calls } = engine({ find: async () => stored })
    expect(await calls[method]()).toBe(stored)
    expect(statements[statementOf[method]]).toHaveBeenCalledTimes(1)
  })

  test.each(methods)('%s writes again while the stored record contradicts the result', async (method) => {
    const replies = [null, null, record]
    const write = vi.fn(async () => replies.shift() ?? null)
    const { calls } = engine({ [statementOf[method]]: write, find: async () => contradicting[method] })
    expect(await calls[method]()).toBe(record)
    expect(write).toHaveBeenCalledTimes(3)
  })

  test('numbers the attempts of rotate', async () => {
    const attempts: number[] = []
    const { calls } = engine({
      async rotate(_command, attempt) {
        attempts.push(attempt)
        return attempt === 3 ? record : null
      },
      find: async () => record,
    })
    await calls.rotate()
    expect(attempts).toEqual([1, 2, 3])
  })

  test.each(methods)('%s rejects with the advice if the contradiction remains', async (method) => {
    const { statements, calls } = engine({ find: async () => contradicting[method] })
    await expect(calls[method]()).rejects.toThrow(
      'exampleStore: the engine finds the family and does not change it; is there a trigger?',
    )
    expect(statements[statementOf[method]]).toHaveBeenCalledTimes(10)
  })
})
