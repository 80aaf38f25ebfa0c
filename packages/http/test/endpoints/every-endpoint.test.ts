import { ConfigurationError } from '@baton/core'
import { describe, expect, test, vi } from 'vitest'
import { type Endpoint, logoutEndpoint, refreshEndpoint, tokenEndpoint, revocationEndpoint } from '../../src/index.js'
import {
  CLIENTS,
  DAY,
  expectError,
  FORM_TYPE,
  fromPage,
  readableAccessTokens,
  post,
  refreshWith,
  type RequestPatch,
  send,
  createSetup,
} from '../setup.js'

describe('H-06 E-03: every response', () => {
  test('H-06 E-01 E-03: no response is cached, sniffed, HTML or a redirect', async () => {
    const { token, revoke, refreshCookie, logout, issue, state } = createSetup()
    const endpoints: [Endpoint, RequestPatch][] = [
      [token, { body: `grant_type=refresh_token&client_id=pub&refresh_token=${await issue()}` }],
      [revoke, { body: `client_id=pub&token=${await issue()}` }],
      [refreshCookie, fromPage(await issue({ clientId: 'first-party' }))],
      [logout, fromPage(await issue({ clientId: 'first-party' }))],
    ]
    const variants: RequestPatch[] = [
      {},
      { method: 'GET' },
      { method: 'BREW' },
      { encrypted: false },
      { headers: {} },
      {
        headers: {
          'content-type': FORM_TYPE,
          authorization: 'Basic !',
          'x-baton': '1',
          'sec-fetch-site': 'same-origin',
        },
      },
      { body: 'a=%' },
      { body: { kind: 'parsed', value: 7 } },
      { url: 'https://elsewhere.example/<script>?x=\r\n' },
    ]
    const statuses = new Set<number>()
    for (const isDown of [true, false]) {
      state.isDown = isDown
      for (const [endpoint, good] of endpoints) {
        for (const variant of variants) {
          const headers = { 'content-type': FORM_TYPE, ...good.headers }
          const response = await send(endpoint, { ...good, headers, ...variant })
          const { status, raw, body } = response
          const header = (name: string) => response.header(name)
          statuses.add(status)
          expect(header('cache-control')).toBe('no-store')
          expect(header('x-content-type-options')).toBe('nosniff')
          expect(header('location')).toBeNull()
          expect(status < 300 || status >= 400).toBe(true)
          if (status === 204) expect(raw.body).toBeNull()
          else {
            expect(header('content-type')).toBe('application/json')
            expect(typeof body).toBe('object')
            if (status >= 400) expect(body.error).toEqual(expect.any(String))
          }
          const names = raw.headers.map(([name]) => name).filter((name) => name !== 'set-cookie')
          expect(new Set(names).size).toBe(names.length)
          expect(status === 405).toBe(header('allow') !== null)
        }
      }
    }
    expect([...statuses].sort()).toEqual([200, 204, 400, 401, 403, 405, 503])
  })
})

describe('construction of endpoints', () => {
  const { tokens } = createSetup()
  const accessTokens = readableAccessTokens()
  const clients = CLIENTS

  test.each<[string, () => unknown, string]>([
    ['a token endpoint without clients', () => tokenEndpoint(tokens, { accessTokens } as never), 'clients'],
    ['codes at the refresh endpoint', () => refreshEndpoint(tokens, { accessTokens, codes: {} } as never), 'codes'],
    ['no access token', () => tokenEndpoint(tokens, { clients } as never), 'accessTokens'],
    ['a string for it', () => tokenEndpoint(tokens, { clients, accessTokens: 'x' as never }), 'accessTokens'],
    ['a misspelt option', () => tokenEndpoint(tokens, { accessTokens, clients, trustproxy: 1 } as never), 'trustproxy'],
    ['another endpoint’s', () => logoutEndpoint(tokens, { cookie: true, clients } as never), 'clients'],
    ['no clients', () => revocationEndpoint(tokens, {} as never), 'clients'],
  ])('rejects an invalid option at construction: %s', (_name, make, option) => {
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(expect.objectContaining({ option }))
  })

  test('rejects an access token lifetime as long as the idle lifetime of a family', () => {
    const make = (lifetimeSeconds: number, policy: object) => () => {
      const { tokens } = createSetup({ core: { policy }, accessTokens: readableAccessTokens(1) })
      return tokenEndpoint(tokens, { clients, accessTokens: readableAccessTokens(lifetimeSeconds) })
    }
    expect(make(900, { idleSeconds: 900 })).toThrow(/below policy\.idleSeconds, which is 900/)
    expect(make(899, { idleSeconds: 900 })).not.toThrow()
    expect(make(900, { offline: { idleSeconds: 900 } })).toThrow(/policy\.offline\.idleSeconds/)
    expect(make(900, { idleSeconds: null })).not.toThrow()
  })

  test('treats undefined options as missing', () => {
    const options = { accessTokens, clients, codes: undefined, trustProxy: undefined, rateLimit: undefined }
    expect(() => tokenEndpoint(tokens, options)).not.toThrow()
  })
})

describe('errors without onError', () => {
  test('emits a process warning with the error and its code, without the message', async () => {
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    try {
      const { tokens, issue, state } = createSetup()
      const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients: CLIENTS, rateLimit: false })
      const refreshToken = await issue()
      state.isDown = true
      expectError(await refreshWith(token, refreshToken), 503, 'temporarily_unavailable')
      expect(warnings.mock.calls).toEqual([[expect.stringContaining('StoreError (store_failed)'), 'BatonWarning']])
    } finally {
      warnings.mockRestore()
    }
  })
})

describe('clocks', () => {
  test('uses the clock of the endpoint for all times in a response', async () => {
    const { tokens, issue, clock } = createSetup()
    const token = tokenEndpoint(tokens, {
      accessTokens: readableAccessTokens(),
      clients: CLIENTS,
      rateLimit: false,
      now: () => clock.now + 90 * DAY - 1000,
    })
    expect((await refreshWith(token, await issue())).body.expires_in).toBe(1)
    expect((await post(token, { client_id: 'pub' })).status).toBe(400)
  })
})
