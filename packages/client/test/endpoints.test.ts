import { expect, test } from 'vitest'
import { cookieEndpoints } from '../src/cookie.js'
import { createSession } from '../src/index.js'
import { MisuseError } from '../src/misuse.js'
import { oauthEndpoints } from '../src/oauth.js'

const PATHS = { refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }

test('a page’s session can be made where there is no page, on a server that renders it, and leads nowhere from there', () => {
  const endpoints = cookieEndpoints(PATHS)
  expect(createSession({ endpoints }).snapshot().status).toBe('unknown')
  expect(new URL(endpoints.origin).hostname).toMatch(/\.invalid$/)
})

test.each(['http://app.example/auth/refresh', 'ftp://app.example/', 'https://app.example/#here'])(
  '%s is misuse there as anywhere',
  (refreshEndpoint) => {
    expect(() => cookieEndpoints({ ...PATHS, refreshEndpoint })).toThrow(MisuseError)
  },
)

test('a client that keeps its own refresh token has to name its server', () => {
  expect(() => oauthEndpoints({ tokenEndpoint: '/oauth/token', clientId: 'web' })).toThrow(MisuseError)
})
