import { expect, test } from 'vitest'
import { authServer, jwksEndpoint } from '../../src/index.js'
import { createApp, headerOf, request } from '../app.js'

const app = createApp()
const { accessTokens } = app
const server = authServer(app.tokens, { accessTokens, clients: [], rateLimit: false })

test.each([
  ['the metadata', server.routes.find(({ route }) => route === 'metadata')!.endpoint],
  ['the keys', jwksEndpoint(accessTokens)],
  ['the keys of authServer', server.routes.find(({ route }) => route === 'jwks')!.endpoint],
])('a page of any origin may read %s with custom headers', async (_, endpoint) => {
  const headers = {
    origin: 'https://anywhere.example',
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'authorization, mcp-protocol-version',
  }
  const preflight = await endpoint(request({ method: 'OPTIONS', headers }))
  expect([preflight.status, preflight.body]).toEqual([204, null])
  expect(headerOf(preflight, 'access-control-allow-origin')).toBe('*')
  expect(headerOf(preflight, 'access-control-allow-methods')).toMatch(/\bGET\b/)
  // The wildcard covers all headers but Authorization (Fetch standard).
  expect(headerOf(preflight, 'access-control-allow-headers')).toBe('*, authorization')
  expect(headerOf(preflight, 'access-control-allow-credentials')).toBeUndefined()

  const document = await endpoint(request({ method: 'GET', headers }))
  expect([document.status, headerOf(document, 'access-control-allow-origin')]).toEqual([200, '*'])
  const rejected = await endpoint(request({ method: 'POST', headers }))
  expect([rejected.status, headerOf(rejected, 'allow')]).toEqual([405, 'GET, HEAD, OPTIONS'])
  expect(headerOf(rejected, 'access-control-allow-origin')).toBe('*')
})
