import { AsyncLocalStorage } from 'node:async_hooks'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { batchCalls, type CallResult, nextBatch } from '../../src/store.js'

const fulfilled = <Value>(value: Value) => ({ status: 'fulfilled', value }) as const
const rejected = (message: string) => ({ status: 'rejected', reason: new Error(message) }) as const

/** Doubles numbers, and records the batches and the calls that run alone. */
function recorded() {
  const batches: (readonly number[])[] = []
  const alone: number[] = []
  return {
    alone,
    batches,
    run: async (calls: readonly number[]) => {
      batches.push(calls)
      return calls.map((call) => fulfilled(2 * call))
    },
    runOne: async (call: number) => {
      alone.push(call)
      return 2 * call
    },
  }
}

describe('batchCalls', () => {
  test('runs the calls of one turn as one batch, in their order, and returns each its own result', async () => {
    const { alone, batches, run, runOne } = recorded()
    const double = batchCalls(run, { max: 10, runOne })
    expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6])
    expect([batches, alone]).toEqual([[[1, 2, 3]], []])
  })

  test('runs a single call alone, at the end of its turn', async () => {
    const { alone, batches, run, runOne } = recorded()
    const result = batchCalls(run, { max: 10, runOne })(1)
    expect(alone).toEqual([])
    await setImmediate()
    expect([batches, alone]).toEqual([[], [1]])
    expect(await result).toBe(2)
  })

  test('adds the calls that arrive while two or more wait', async () => {
    const { batches, run, runOne } = recorded()
    const double = batchCalls(run, { max: 10, runOne })
    const first = [1, 2].map(double)
    await setImmediate()
    const all = Promise.all([...first, double(3)])
    expect(batches).toEqual([])
    expect(await all).toEqual([2, 4, 6])
    expect(batches).toEqual([[1, 2, 3]])
  })

  test('runs at most `max` calls in a batch and the others in the next turns', async () => {
    const { alone, batches, run, runOne } = recorded()
    const double = batchCalls(run, { max: 2, runOne })
    expect(await Promise.all([1, 2, 3, 4, 5].map(double))).toEqual([2, 4, 6, 8, 10])
    const [one, other] = batches
    expect([one, other, alone]).toEqual([[1, 2], [3, 4], [5]])
  })

  test('does not wait for a batch that is still running', async () => {
    const revocations: (() => void)[] = []
    const run = (calls: readonly number[]) =>
      new Promise<CallResult<number>[]>((resolve) => {
        revocations.push(() => {
          resolve(calls.map(fulfilled))
        })
      })
    const same = batchCalls(run, { max: 2, runOne: recorded().runOne })
    const calls = [1, 2, 3, 4].map(same)
    await expect.poll(() => revocations).toHaveLength(2)
    revocations[1]?.()
    expect(await Promise.all(calls.slice(2))).toEqual([3, 4])
    revocations[0]?.()
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4])
  })

  test('rejects only the call that failed', async () => {
    const { runOne } = recorded()
    const check = batchCalls<number, number>(
      async (calls) => calls.map((call) => (call === 2 ? rejected('not 2') : fulfilled(call))),
      { max: 10, runOne },
    )
    expect(await Promise.allSettled([1, 2, 3].map(check))).toEqual([fulfilled(1), rejected('not 2'), fulfilled(3)])
  })

  const failures = {
    async rejects() {
      throw new Error('no connection')
    },
    throws() {
      throw new Error('no connection')
    },
  }
  test.each(Object.entries(failures))(
    'rejects every call of a batch whose run %s, and runs later calls',
    async (_how, fail) => {
      const { run, runOne } = recorded()
      const runs = [fail, run]
      const double = batchCalls((calls: readonly number[]) => (runs.shift() ?? run)(calls), { max: 10, runOne })
      const settled = await Promise.allSettled([1, 2].map(double))
      expect(settled).toEqual([rejected('no connection'), rejected('no connection')])
      expect(await Promise.all([3, 4].map(double))).toEqual([6, 8])
    },
  )

  test.each(Object.entries(failures))(
    'rejects a single call whose runOne %s, and runs later calls',
    async (_how, fail) => {
      const { run, runOne } = recorded()
      const runs = [fail, runOne]
      const double = batchCalls(run, { max: 10, runOne: (call: number) => (runs.shift() ?? runOne)(call) })
      await expect(double(1)).rejects.toThrow('no connection')
      expect(await double(2)).toBe(4)
    },
  )

  test('rejects a call without a result', async () => {
    const { runOne } = recorded()
    const first = batchCalls<number, number>(async (calls) => calls.slice(0, 1).map(fulfilled), { max: 10, runOne })
    const settled = await Promise.allSettled([1, 2].map(first))
    expect(settled).toEqual([fulfilled(1), { status: 'rejected', reason: expect.any(Error) }])
  })

  test('runs a call again alone if its result says so', async () => {
    const { alone, runOne } = recorded()
    const double = batchCalls<number, number>(
      async (calls) => calls.map((call) => (call === 2 ? { status: 'retry' } : fulfilled(-call))),
      { max: 10, runOne },
    )
    expect(await Promise.all([1, 2, 3].map(double))).toEqual([-1, 4, -3])
    expect(alone).toEqual([2])
  })

  test('runs every call again alone after a retryable error of the batch, so that only the one at fault rejects', async () => {
    const double = batchCalls<number, number>(
      async () => {
        throw new Error('rolled back')
      },
      {
        max: 10,
        async runOne(call) {
          if (call === 2) throw new Error('not 2')
          return call
        },
        isRetryable: (error) => error instanceof Error && error.message === 'rolled back',
      },
    )
    expect(await Promise.allSettled([1, 2, 3].map(double))).toEqual([fulfilled(1), rejected('not 2'), fulfilled(3)])
  })

  test('runs calls although an app under test has replaced its timers', async () => {
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers()
    const { run, runOne } = recorded()
    const double = batchCalls(run, { max: 2, runOne })
    expect(await double(1)).toBe(2)
    expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6])
  })

  test.each([0, -1, NaN])('rejects the option max: %d', (max) => {
    const { run, runOne } = recorded()
    expect(() => batchCalls(run, { max, runOne })).toThrow(/^option "max" must be a number from 1/)
  })
})

describe('nextBatch', () => {
  test('resolves for all callers of one turn together, and for later ones with the next turn', async () => {
    const steps: string[] = []
    async function request(name: string): Promise<void> {
      await nextBatch()
      steps.push(`${name}1`)
      await Promise.resolve()
      steps.push(`${name}2`)
    }
    const first = ['a', 'b', 'c'].map(request)
    const later = setImmediate().then(() => request('d'))
    await Promise.all([...first, later])
    expect(steps).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'd1', 'd2'])
  })

  test('keeps the asynchronous context of each caller', async () => {
    const context = new AsyncLocalStorage<string>()
    const contexts = ['a', 'b'].map((name) =>
      context.run(name, async () => {
        await nextBatch()
        return context.getStore()
      }),
    )
    expect(await Promise.all(contexts)).toEqual(['a', 'b'])
  })

  test('resolves although an app under test has replaced its timers', async () => {
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers()
    await nextBatch()
  })
})
