import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { FamilyRecord } from '../../src/index.js'
import { retryOnConflict, writeOrFind } from '../../src/store.js'
import { NOW, recordAt } from './record.js'

const CONFLICT = new Error('conflict')

describe('retryOnConflict', () => {
  const isConflict = (error: unknown) => error === CONFLICT

  test.each([0, 1, 2])('returns the result of the run after %d conflicts', async (conflicts) => {
    let runs = 0
    const result = retryOnConflict(
      () => {
        runs += 1
        if (runs <= conflicts) throw CONFLICT
        return `run ${String(runs)}`
      },
      { maxAttempts: 3, isConflict },
    )
    expect(await result).toBe(`run ${String(conflicts + 1)}`)
  })

  test('rejects with the conflict after the last attempt', async () => {
    const run = vi.fn(() => Promise.reject(CONFLICT))
    await expect(retryOnConflict(run, { maxAttempts: 3, isConflict })).rejects.toBe(CONFLICT)
    expect(run).toHaveBeenCalledTimes(3)
  })

  test('does not repeat a run that failed with another error', async () => {
    const run = vi.fn(() => Promise.reject(new Error('no connection')))
    await expect(retryOnConflict(run, { maxAttempts: 3, isConflict })).rejects.toThrow('no connection')
    expect(run).toHaveBeenCalledTimes(1)
  })

  test('runs again although an app under test has replaced its timers', async () => {
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers()
    const run = vi.fn().mockRejectedValueOnce(CONFLICT).mockResolvedValueOnce('done')
    expect(await retryOnConflict(run, { maxAttempts: 2, isConflict })).toBe('done')
  })
})

describe('writeOrFind', () => {
  const context = { caller: 'exampleStore', advice: 'is there a trigger?' }
  const [written, found] = [recordAt(NOW, 'a'), recordAt(NOW, 'b')]
  const never = vi.fn(() => Promise.resolve(found))

  test('returns what the write returned, without a read', async () => {
    const options = { write: async () => written, find: never, applies: () => true, ...context }
    expect(await writeOrFind(options)).toBe(written)
    expect(never).not.toHaveBeenCalled()
  })

  test.each([found, null])('returns what is stored if the write does not apply to it', async (stored) => {
    const write = vi.fn(async () => null)
    expect(await writeOrFind({ write, find: async () => stored, applies: () => false, ...context })).toBe(stored)
    expect(write).toHaveBeenCalledTimes(1)
  })

  test('writes again while the stored record contradicts the write, and numbers the attempts', async () => {
    const attempts: number[] = []
    const result = writeOrFind({
      async write(attempt): Promise<FamilyRecord | null> {
        attempts.push(attempt)
        return attempt === 3 ? written : null
      },
      find: async () => found,
      applies: (record) => record === found,
      ...context,
    })
    expect(await result).toBe(written)
    expect(attempts).toEqual([1, 2, 3])
  })

  test('rejects with the advice if the contradiction remains', async () => {
    const write = vi.fn(async () => null)
    const result = writeOrFind({ write, find: async () => found, applies: () => true, ...context })
    await expect(result).rejects.toThrow(
      'exampleStore: the engine finds the family and does not change it; is there a trigger?',
    )
    expect(write).toHaveBeenCalledTimes(10)
  })
})
