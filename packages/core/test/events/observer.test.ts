import { FAILING_CALLBACKS, hangingCallback, unreadableError, watchUnhandled } from '@baton/test-servers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { auditLog, callObserver, describeFailure } from '../../src/index.js'
import { expectOk, createSetup, type TestSetup } from '../setup.js'

const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
let unhandled: ReturnType<typeof watchUnhandled>

beforeEach(() => {
  warnings.mockClear()
  unhandled = watchUnhandled()
})
afterEach(() => unhandled.stop())

const LEGACY_TOKEN = 'a-refresh-token-of-another-system'
const legacyTokens = (onMigrated: () => unknown) => ({
  lookup: async () => ({ subject: 'alice', expiresAt: Date.UTC(2040, 0, 1) }),
  onMigrated: onMigrated as () => Promise<unknown>,
})

const OBSERVERS: readonly (readonly [name: string, create: (callback: () => unknown) => TestSetup])[] = [
  ['onEvent', (callback) => createSetup({ onEvent: callback })],
  ['the sink of auditLog', (callback) => createSetup({ onEvent: auditLog({ write: callback }) })],
  [
    'the sink of auditLog inside another onEvent',
    (callback) => {
      const log = auditLog({ write: callback })
      return createSetup({
        onEvent(event) {
          log(event)
        },
      })
    },
  ],
]

describe.each(OBSERVERS)('%s', (_name, create) => {
  test.each(FAILING_CALLBACKS)(
    'keeps the outcome and emits a process warning if the observer %s',
    async (_case, callback) => {
      const { tokens } = create(callback)
      const { refreshToken } = await tokens.issue({ subject: 'alice' })
      expect(expectOk(await tokens.rotate({ refreshToken })).outcome).toBe('rotated')
      expect(await unhandled.stop()).toEqual([])
      expect(warnings.mock.calls.map(([text]) => text)).toEqual([
        expect.stringMatching(/^(onEvent|the audit log) failed on an event of type issued$/),
        expect.stringMatching(/^(onEvent|the audit log) failed on an event of type rotated$/),
      ])
    },
  )
})

test.each(FAILING_CALLBACKS)('keeps the outcome and emits a fault event if onMigrated %s', async (_case, callback) => {
  const { tokens, events } = createSetup({ legacyTokens: legacyTokens(callback) })
  expect(expectOk(await tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
  expect(await unhandled.stop()).toEqual([])
  expect(events.filter(({ type }) => type === 'fault')).toEqual([
    expect.objectContaining({ code: 'hook_failed', operation: 'legacyTokens.onMigrated' }),
  ])
})

test('does not await a callback whose promise never settles', async () => {
  const { tokens } = createSetup({ onEvent: hangingCallback, legacyTokens: legacyTokens(hangingCallback) })
  expect(expectOk(await tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
})

test('discards the failure of onFailure', async () => {
  for (const [, callback] of FAILING_CALLBACKS)
    callObserver(callback, () => {
      throw new Error('onFailure failed')
    })
  expect(await unhandled.stop()).toEqual([])
})

test.each([
  [new TypeError('not in any log'), 'TypeError'],
  [Object.assign(new Error('not in any log'), { code: 'ECONNREFUSED' }), 'Error (ECONNREFUSED)'],
  [Object.assign(new Error('not in any log'), { code: { not: 'in any log' } }), 'Error'],
  ['not in any log', 'string'],
  [unreadableError(), 'an error that cannot be read'],
])('describes an error (%#) only by name and code', (failure, text) => {
  expect(describeFailure(failure)).toBe(text)
})
