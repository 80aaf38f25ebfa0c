import { FAILING_CALLBACKS, hangingCallback, watchUnhandled } from '@baton/test-servers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { question, tellStory, world } from './world.js'

const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
let unhandled: ReturnType<typeof watchUnhandled>

beforeEach(() => {
  warnings.mockClear()
  unhandled = watchUnhandled()
})
afterEach(() => unhandled.stop())

test.each([...FAILING_CALLBACKS, ['never settles', hangingCallback] as const])(
  'onError that %s changes no response',
  async (_case, callback) => {
    const { endpoint } = world({ authorize: () => Promise.reject(new Error('no session store')), onError: callback })
    expect((await endpoint(question({ action: 'counts' }))).status).toBe(500)
    expect(await unhandled.stop()).toEqual([])
    expect(warnings).toHaveBeenCalledTimes(callback === hangingCallback ? 0 : 1)
  },
)

test.each(FAILING_CALLBACKS)(
  'onAction that %s changes no response and is reported to onError',
  async (_case, callback) => {
    const errors: unknown[] = []
    const { ask, tokens } = world({ onAction: callback, onError: (error) => errors.push(error) })
    const { phone } = await tellStory(tokens)
    expect(await ask({ action: 'revoke', subject: 'alice', familyId: phone })).toEqual({
      status: 200,
      body: { ended: 1 },
    })
    expect(await ask({ action: 'revoke_all', subject: 'alice' })).toEqual({ status: 200, body: { ended: 1 } })
    expect(await unhandled.stop()).toEqual([])
    expect(errors).toHaveLength(2)
  },
)

test('onAction whose promise never settles is not awaited', async () => {
  const { ask, tokens } = world({ onAction: hangingCallback })
  await tellStory(tokens)
  expect((await ask({ action: 'revoke_all', subject: 'alice' })).status).toBe(200)
})
