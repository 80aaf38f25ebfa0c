import { ConfigurationError } from '@baton/core'
import { expect, test } from 'vitest'
import { csrfGuard, type PlainRequest } from '../../src/index.js'

function requestWith(headers: Record<string, string>, remoteAddress = '127.0.0.1'): PlainRequest {
  const all = { host: 'localhost:3000', 'x-baton': '1', ...headers }
  return {
    method: 'POST',
    url: '/admin',
    headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
    body: { kind: 'parsed', value: {} },
    remoteAddress,
    encrypted: false,
  }
}

test.each([
  ['Sec-Fetch-Site says the same origin', { 'sec-fetch-site': 'same-origin' }],
  ['an older browser names the own origin', { origin: 'http://localhost:3000' }],
])('accepts a request from a page of this origin: %s', (_, headers) => {
  expect(csrfGuard()(requestWith(headers))).toBeNull()
})

test.each([
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['a sibling domain', { 'sec-fetch-site': 'same-site' }],
  ['the address bar', { 'sec-fetch-site': 'none' }],
  ['another origin', { origin: 'https://evil.example' }],
  ['an unknown origin', {}],
  ['a form', { 'sec-fetch-site': 'same-origin', 'x-baton': '0' }],
])('rejects a request from %s', (_, headers) => {
  expect(csrfGuard()(requestWith(headers))?.status).toBe(403)
})

test('rejects plain http from another machine, and accepts https that a trusted proxy terminated', () => {
  const headers = { 'sec-fetch-site': 'same-origin', 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https' }
  expect(csrfGuard()(requestWith(headers, '203.0.113.1'))?.status).toBe(400)
  expect(csrfGuard({ trustProxy: 1 })(requestWith(headers, '203.0.113.1'))).toBeNull()
})

test('rejects a misspelt option', () => {
  expect(() => csrfGuard({ trustProxies: 1 } as never)).toThrow(ConfigurationError)
})
