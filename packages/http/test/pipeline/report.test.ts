import { FAILING_CALLBACKS, hangingCallback, unreadableError, watchUnhandled } from '@baton/test-servers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  accessTokenGuard,
  introspectionEndpoint,
  loginEndpoint,
  rateLimits,
  sessionsEndpoint,
} from '../../src/index.js'
import { CLIENTS, fromPage, readableAccessTokens, post, refreshWith, request, send, createSetup } from '../setup.js'

const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
let unhandled: ReturnType<typeof watchUnhandled>

beforeEach(() => {
  warnings.mockClear()
  unhandled = watchUnhandled()
})
afterEach(() => unhandled.stop())

type OnError = () => unknown

/** All functions with `onError`, in a situation that calls it. Each returns the response. */
const SITUATIONS: readonly (readonly [name: string, status: number, respond: (onError: OnError) => Promise<number>])[] =
  [
    [
      'the token endpoint',
      503,
      async (onError) => {
        const { token, issue, state } = createSetup({ onError })
        const refreshToken = await issue()
        state.isDown = true
        return (await refreshWith(token, refreshToken)).status
      },
    ],
    [
      'the refresh endpoint of the cookie',
      503,
      async (onError) => {
        const { refreshCookie, issue, state } = createSetup({ onError })
        const refreshToken = await issue({ clientId: 'first-party' })
        state.isDown = true
        return (await send(refreshCookie, fromPage(refreshToken))).status
      },
    ],
    [
      'the logout endpoint',
      503,
      async (onError) => {
        const { logout, issue, state } = createSetup({ onError })
        const refreshToken = await issue({ clientId: 'first-party' })
        state.isDown = true
        return (await send(logout, fromPage(refreshToken))).status
      },
    ],
    [
      'the login endpoint',
      503,
      async (onError) => {
        const login = loginEndpoint(createSetup().tokens, {
          accessTokens: readableAccessTokens(),
          authenticate: () => Promise.reject(new Error('the user database is down')),
          rateLimit: false,
          onError,
        })
        return (await send(login, { headers: { 'content-type': 'application/json' }, body: '{}' })).status
      },
    ],
    [
      'the introspection endpoint',
      503,
      async (onError) => {
        const clients = { find: () => Promise.reject(new Error('the registry is down')) }
        const introspect = introspectionEndpoint(createSetup().tokens, { clients, rateLimit: false, onError })
        return (await post(introspect, { client_id: 'cb', client_secret: 'x', token: 'x' })).status
      },
    ],
    [
      'the sessions endpoint',
      503,
      async (onError) => {
        const verify = () => Promise.reject(new Error('the keys are unreachable'))
        const sessions = sessionsEndpoint(createSetup().tokens, { accessTokens: verify, rateLimit: false, onError })
        const headers = { authorization: 'Bearer x' }
        return (await send(sessions, { method: 'GET', url: '/auth/sessions', headers })).status
      },
    ],
    [
      'the guard',
      503,
      async (onError) => {
        const guard = accessTokenGuard({ accessTokens: () => Promise.reject(new Error('unreachable')), onError })
        const outcome = await guard(request({ headers: { authorization: 'Bearer x' } }))
        return outcome.ok ? 200 : outcome.response.status
      },
    ],
    [
      'a limiter that is down',
      200,
      async (onError) => {
        const down = () => Promise.reject(new Error('connection refused'))
        const limits = rateLimits({ createLimiter: () => ({ consume: down, reward: down }), onError })
        const { token, issue } = createSetup({ rateLimit: limits, clients: CLIENTS })
        return (await refreshWith(token, await issue())).status
      },
    ],
  ]

describe.each(SITUATIONS)('onError of %s', (_name, status, respond) => {
  test.each(FAILING_CALLBACKS)(
    'sends the same response and emits a process warning if onError %s',
    async (_case, callback) => {
      expect(await respond(callback)).toBe(status)
      expect(await unhandled.stop()).toEqual([])
      expect(warnings).toHaveBeenCalledWith(expect.stringMatching(/^an endpoint failed with /), 'BatonWarning')
    },
  )

  test('does not await an onError whose promise never settles', async () => {
    expect(await respond(hangingCallback)).toBe(status)
  })
})

test('describes an error that cannot be read with the default onError', async () => {
  const guard = accessTokenGuard({ accessTokens: () => Promise.reject(unreadableError()) })
  expect(await guard(request({ headers: { authorization: 'Bearer x' } }))).toMatchObject({ response: { status: 503 } })
  expect(warnings).toHaveBeenCalledOnce()
})
