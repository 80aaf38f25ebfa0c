import { createRefreshTokens } from '@baton/core'
import { generateSigningKey, jwtAccessTokens, tokenEndpoint } from '@baton/http'
import { jwtTokens } from '@baton/import'
import { memoryStore } from '@baton/store-memory'
import { equal } from 'node:assert/strict'

// Compiled as CommonJS and run by Jest, which cannot `require` ES modules.

declare const test: (name: string, run: () => Promise<void>) => void

const origin = 'https://login.example'

test('rotates a refresh token and verifies the new access token', async () => {
  const accessTokens = jwtAccessTokens({ issuer: origin, audience: origin, keys: [generateSigningKey()] })
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['s'.repeat(32)] })
  const endpoint = tokenEndpoint(tokens, { accessTokens, clients: [{ clientId: 'web' }] })
  const { refreshToken } = await tokens.issue({ subject: 'alice', clientId: 'web' })
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'web', refresh_token: refreshToken })
  const response = await endpoint({
    method: 'POST',
    url: '/token',
    headers: { 'content-type': ['application/x-www-form-urlencoded'] },
    body: { kind: 'stream', read: async () => Buffer.from(form.toString()) },
    remoteAddress: '192.0.2.1',
    encrypted: true,
  })
  equal(response.status, 200)
  const { access_token } = JSON.parse(response.body ?? '{}') as Record<string, unknown>
  equal((await accessTokens.verify(String(access_token), Date.now()))?.sub, 'alice')
})

test('rejects a legacy token with an invalid signature', async () => {
  const accept = jwtTokens({ key: 's'.repeat(32), algorithms: ['HS256'], isRevoked: null })
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['s'.repeat(32)], legacyTokens: accept })
  const parts = [{ alg: 'HS256' }, { sub: 'alice' }].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const outcome = await tokens.rotate({ refreshToken: `${parts.join('.')}.AA` })
  equal(outcome.ok, false)
})
