import { ConfigurationError } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { type Endpoint, loginEndpoint, logoutEndpoint, refreshEndpoint, withCors } from '../../src/index.js'
import { fromPage, readableAccessTokens, send, createSetup } from '../setup.js'

const { tokens } = createSetup()
const accessTokens = readableAccessTokens()
const nothing: Endpoint = async () => ({ status: 204, headers: [], body: null })

/** All options with a list of origins. */
const lists: readonly (readonly [string, (origin: string) => unknown])[] = [
  ['origins', (origin) => withCors(nothing, { origins: [origin] })],
  ['cookie.allowedOrigins', (origin) => logoutEndpoint(tokens, { cookie: { allowedOrigins: [origin] } })],
  [
    'cookie.allowedOrigins',
    (origin) => refreshEndpoint(tokens, { accessTokens, cookie: { allowedOrigins: [origin] } }),
  ],
  [
    'cookie.allowedOrigins',
    (origin) =>
      loginEndpoint(tokens, { accessTokens, cookie: { allowedOrigins: [origin] }, authenticate: async () => null }),
  ],
]

const ORIGINS = [
  'https://app.example',
  'https://app.example:8443',
  'http://localhost:5173',
  'http://127.0.0.1:5173',
  'http://[::1]:5173',
  'http://tauri.localhost',
  'https://tauri.localhost',
  'capacitor://localhost',
  'ionic://localhost',
  'tauri://localhost',
  'app://com.example.app',
  'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  'moz-extension://4fd5ef21-02a5-4d6e-8c54-2ba6d7e3c1f1',
  'safari-web-extension://E7C3D3F3-2B1A-4B52-9C5D-3C2B1A4B529C',
]

const NO_ORIGINS = [
  'null',
  '*',
  '',
  'capacitor://',
  'capacitor:localhost',
  'capacitor:///localhost',
  'capacitor://localhost/',
  'capacitor://localhost/index.html',
  'capacitor://localhost?x',
  'capacitor://user@localhost',
  'Capacitor://localhost',
  'localhost',
  'https://app.example/',
  'https://App.example',
  'https://app.example:443',
  'http://app.example',
  'http://localhost.app.example',
  'file://',
  'file://localhost',
  'data:text/html,x',
  'blob:https://app.example/1',
  'about:blank',
  'javascript://localhost',
  'ws://localhost',
  'ftp://app.example',
]

describe.each(lists)('%s', (option, build) => {
  test.each(ORIGINS)('accepts %s', (origin) => {
    expect(() => build(origin)).not.toThrow()
  })

  test.each(NO_ORIGINS)('rejects %j', (origin) => {
    expect(() => build(origin)).toThrow(ConfigurationError)
    expect(() => build(origin)).toThrow(expect.objectContaining({ option: `${option}[0]` }))
  })
})

test.each(ORIGINS)(
  'a page of %s on the list may refresh and read errors, and a page without an origin may not',
  async (origin) => {
    const { refreshCookie, issue } = createSetup({ cookie: { allowedOrigins: [origin] } })
    const from = async (sender: string) =>
      send(
        refreshCookie,
        fromPage(await issue({ clientId: 'first-party' }), {
          headers: { origin: sender, 'sec-fetch-site': undefined },
        }),
      )
    expect((await from(origin)).status).toBe(200)
    expect((await from('null')).status).toBe(403)
    const readable = withCors(nothing, { origins: [origin] })
    expect((await send(readable, { headers: { origin } })).header('access-control-allow-origin')).toBe(origin)
    expect((await send(readable, { headers: { origin: 'null' } })).header('access-control-allow-origin')).toBeNull()
  },
)
