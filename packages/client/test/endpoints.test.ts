import { afterEach, describe, expect, test, vi } from 'vitest'
import { cookieEndpoints } from '../src/cookie.js'
import { createSession } from '../src/index.js'
import { ConfigurationError } from '../src/platform/errors.js'
import { oauthEndpoints } from '../src/oauth.js'

const PATHS = { refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }

test('a session can be created during server-side rendering and sends no request there', () => {
  const endpoints = cookieEndpoints(PATHS)
  expect(createSession({ endpoints }).snapshot().status).toBe('unknown')
  expect(new URL(endpoints.origin).hostname).toMatch(/\.invalid$/)
})

describe('a relative endpoint is resolved as fetch resolves it', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })
  const page = { href: 'https://app.example/shop/cart?x=1', origin: 'https://app.example' }
  test.each<[string, object, string, string]>([
    ['in a page', { location: page }, 'auth', 'https://app.example/shop/auth'],
    [
      'in a page with a base element',
      { location: page, document: { baseURI: 'https://app.example/base/' } },
      'auth',
      'https://app.example/base/auth',
    ],
    [
      'in a srcdoc frame',
      { location: { href: 'about:srcdoc', origin: 'null' }, document: { baseURI: page.href } },
      '/auth',
      'https://app.example/auth',
    ],
    [
      'in a worker from a blob, against its origin',
      { location: { href: 'blob:https://app.example/0-1', origin: page.origin } },
      '/auth',
      'https://app.example/auth',
    ],
    [
      'on a host below localhost',
      { location: page },
      'http://api.app.localhost:3000/',
      'http://api.app.localhost:3000/',
    ],
  ])('%s', (_name, surroundings, refreshEndpoint, expected) => {
    for (const [name, value] of Object.entries(surroundings)) vi.stubGlobal(name, value)
    const endpoints = cookieEndpoints({ ...PATHS, refreshEndpoint })
    expect(endpoints.refresh({ refreshToken: null, sid: null }, 'key')?.url).toBe(expected)
  })
})

test.each([
  'http://localhost.example/',
  'http://evillocalhost/',
  'http://app.example/auth/refresh',
  'ftp://app.example/',
  'https://app.example/#here',
])('cookieEndpoints rejects %s', (refreshEndpoint) => {
  expect(() => cookieEndpoints({ ...PATHS, refreshEndpoint })).toThrow(ConfigurationError)
})

test('oauthEndpoints rejects a relative tokenEndpoint', () => {
  expect(() => oauthEndpoints({ tokenEndpoint: '/oauth/token', clientId: 'web' })).toThrow(ConfigurationError)
})
