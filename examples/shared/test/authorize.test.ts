import { createRefreshTokens } from '@baton/core'
import { authorizationCodes, type PlainRequest } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { expect, test } from 'vitest'
import { authorizePage } from '../src/authorize.js'
import { createClients } from '../src/clients.js'

const ISSUER = 'http://127.0.0.1:3000'
const SECRET = 'the secret of a test of a page, and no other one'
const tokens = createRefreshTokens({ store: memoryStore(), secrets: [SECRET] })
const codes = authorizationCodes(tokens, { issuer: ISSUER, secrets: [SECRET] })
const authorize = authorizePage({ codes, clients: createClients(ISSUER), issuer: ISSUER, rateLimit: false })

const QUERY = {
  ...{ response_type: 'code', client_id: 'native', login: 'alice', approve: '1', scope: 'read' },
  ...{ code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' },
}
const request = (url: string, method = 'GET'): PlainRequest => ({
  method,
  url,
  headers: { 'content-type': ['application/x-www-form-urlencoded'] },
  body: { kind: 'stream', read: async () => Buffer.from('decision=approve&username=alice&password=%ZZ') },
  remoteAddress: '127.0.0.1',
  encrypted: false,
})

/** Values on which parsers throw, and similar ones on which they do not. */
const HOSTILE = [
  'http://127.0.0.1:99999/callback',
  'http://127.0.0.1:65536/callback',
  'http://127.0.0.1:00000000000000000080/callback',
  'http://[/callback',
  'http://',
  '//',
  '%',
  '%zz',
  '%ff',
  '%00',
  '\ud800',
  '[]',
  '{',
  'x'.repeat(20_000),
  '99999999999999999999',
  '-1e999',
]

test.each(Object.keys({ ...QUERY, redirect_uri: '', state: '', resource: '', dpop_jkt: '' }))(
  'a hostile %s in an authorization request is never a failure of the server',
  async (name) => {
    for (const value of HOSTILE)
      for (const encode of [encodeURIComponent, String])
        for (const method of ['GET', 'POST', 'BREW']) {
          const query = new URLSearchParams(QUERY)
          query.delete(name)
          const text = value === '\ud800' ? '%ED%A0%80' : encode(value)
          const { status } = await authorize(request(`/oauth/authorize?${String(query)}&${name}=${text}`, method))
          expect(status, `${method} ${value}`).toBeLessThan(500)
        }
  },
)

test.each(['http://x:99999/oauth/authorize?', 'http://[/oauth/authorize?', '//?', '/oauth/authorize', '?', ''])(
  'a hostile request target %j is never a failure of the server',
  async (target) => {
    expect((await authorize(request(target + String(new URLSearchParams(QUERY))))).status).toBeLessThan(500)
  },
)

test('accepts every valid port of a native client', async () => {
  for (const [port, status] of [
    ['1', 303],
    ['65535', 303],
    ['65536', 400],
    ['99999', 400],
  ] as const) {
    const query = new URLSearchParams({ ...QUERY, redirect_uri: `http://127.0.0.1:${port}/callback` })
    expect((await authorize(request(`/oauth/authorize?${String(query)}`))).status).toBe(status)
  }
})
