import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { errorCode, errorMessage, retryOnConflict } from '../../src/store.js'

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

  test('rejects with the first conflict if the error that follows is its consequence', async () => {
    const run = vi.fn().mockRejectedValueOnce(CONFLICT).mockRejectedValue('aborted')
    const isConsequence = (error: unknown) => error === 'aborted'
    await expect(retryOnConflict(run, { maxAttempts: 3, isConflict, isConsequence })).rejects.toBe(CONFLICT)
    await expect(retryOnConflict(run, { maxAttempts: 3, isConflict, isConsequence })).rejects.toBe('aborted')
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

test('errorMessage returns the message of an error and the text of any other value', () => {
  expect([new Error('no connection'), 'text', null].map(errorMessage)).toEqual(['no connection', 'text', 'null'])
})

test('errorCode returns the code of an error, and an empty string for all else', () => {
  expect(errorCode(Object.assign(new Error('conflict'), { code: '40001' }))).toBe('40001')
  expect(
    [new Error('no code'), Object.assign(new Error('number'), { code: 5 }), { code: '40001' }, null].map(errorCode),
  ).toEqual(['', '', '', ''])
})
