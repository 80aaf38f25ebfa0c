import { ConfigurationError } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { revocationEndpoint } from '../../src/index.js'
import {
  basic,
  CB_SECRET,
  CLIENTS,
  CX_SECRET,
  DAY,
  expectError,
  readableAccessTokens,
  post,
  refreshWith,
  createSetup,
} from '../setup.js'

const cx = { client_id: 'cx', client_secret: CX_SECRET }
const cb = { client_id: 'cb', client_secret: CB_SECRET }

describe('revocation endpoint', () => {
  test('V-01 V-09 V-13: revokes a refresh token at once and responds with an empty JSON object', async () => {
    const { token, revoke, issue, events } = createSetup()
    const refreshToken = await issue()
    const response = await post(revoke, { client_id: 'pub', token: refreshToken })
    expect(response.raw).toEqual({
      status: 200,
      headers: [
        ['content-type', 'application/json'],
        ['cache-control', 'no-store'],
        ['pragma', 'no-cache'],
        ['x-content-type-options', 'nosniff'],
      ],
      body: '{}',
    })
    expectError(await refreshWith(token, refreshToken), 400, 'invalid_grant')
    expect(events).toContainEqual(expect.objectContaining({ type: 'revoked', reason: 'client_request' }))
  })

  test('V-01: rejects an access token as unsupported with accessTokenEndsSession: false', async () => {
    const { tokens, token, issue } = createSetup()
    const accessTokens = readableAccessTokens()
    const options = { clients: CLIENTS, accessTokens, accessTokenEndsSession: false, rateLimit: false } as const
    const revoke = revocationEndpoint(tokens, options)
    const refreshToken = await issue()
    const at0 = (await refreshWith(token, refreshToken)).body.access_token
    expectError(await post(revoke, { client_id: 'pub', token: at0 }), 400, 'unsupported_token_type')
    expect((await post(revoke, { client_id: 'pub', token: 'nonsense' })).status).toBe(200)
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
    expect(() => revocationEndpoint(tokens, { clients: CLIENTS, accessTokens: (() => 0) as never })).toThrow(
      ConfigurationError,
    )
  })

  test('V-02: responds to unknown, expired, revoked and malformed tokens as to revoked ones', async () => {
    const { revoke, issue, advance } = createSetup()
    const revoked = await issue()
    await post(revoke, { client_id: 'pub', token: revoked })
    const expired = await issue()
    advance(31 * DAY)
    const unknown = await createSetup({ core: { random: undefined } }).issue()
    const otherKey = await createSetup({
      core: { secrets: ['another secret of the http tests, 48 bytes long.'] },
    }).issue()
    const responses = []
    for (const token of [unknown, expired, revoked, otherKey, 'nonsense', 'é', 'x'.repeat(10_000)])
      responses.push(await post(revoke, { client_id: 'pub', token }))
    for (const response of responses) {
      expect(response.status).toBe(200)
      expect(response.header('cache-control')).toBe('no-store')
    }
    expect(new Set(responses.map(({ raw }) => JSON.stringify(raw))).size).toBe(1)
  })

  test('V-03: authenticates the client before it checks the token', async () => {
    const { revoke, issue, token } = createSetup()
    const refreshToken = await issue({ clientId: 'cb' })
    for (const victim of ['nonsense', refreshToken, '']) {
      const headers = { authorization: basic('cb', 'wrong') }
      expectError(await post(revoke, { token: victim }, { headers }), 401, 'invalid_client')
      expectError(await post(revoke, { client_id: 'cb', token: victim }), 400, 'invalid_client')
      expectError(await post(revoke, { token: victim }), 400, 'invalid_client')
    }
    expect((await refreshWith(token, refreshToken, cb)).status).toBe(200)
  })

  test('V-04: rejects the revocation of a token of another client, which remains valid', async () => {
    const { revoke, issue, token } = createSetup()
    const refreshToken = await issue({ clientId: 'cb' })
    expectError(await post(revoke, { ...cx, token: refreshToken }), 400, 'invalid_request')
    expectError(await post(revoke, { client_id: 'pub', token: refreshToken }), 400, 'invalid_request')
    expect((await refreshWith(token, refreshToken, cb)).status).toBe(200)
  })

  test('V-05: revokes the whole family and no other', async () => {
    const { revoke, issue, families, tokens } = createSetup()
    const refreshToken = await issue()
    await issue()
    const [, first] = await families()
    await post(revoke, { client_id: 'pub', token: refreshToken })
    expect(await tokens.find(first!.id)).toBeNull()
    expect(await families()).toHaveLength(1)
  })

  test.each(['access_token', 'refresh_token', 'foo', ''])(
    'V-07: revokes the token with token_type_hint %s',
    async (hint) => {
      const { revoke, issue, token } = createSetup()
      const refreshToken = await issue()
      expect((await post(revoke, { client_id: 'pub', token: refreshToken, token_type_hint: hint })).status).toBe(200)
      expectError(await refreshWith(token, refreshToken), 400, 'invalid_grant')
    },
  )

  test('V-08: requires exactly one token', async () => {
    const { revoke, issue, token } = createSetup()
    const refreshToken = await issue()
    expectError(await post(revoke, { client_id: 'pub' }), 400, 'invalid_request')
    expectError(await post(revoke, { client_id: 'pub', token: '' }), 400, 'invalid_request')
    expectError(await post(revoke, `client_id=pub&token=${refreshToken}&token=${refreshToken}`), 400, 'invalid_request')
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })

  test('V-10: responds with an error during an outage of the store, and the token remains valid', async () => {
    const { revoke, issue, token, state } = createSetup()
    const refreshToken = await issue()
    state.isDown = true
    const response = await post(revoke, { client_id: 'pub', token: refreshToken })
    expectError(response, 503, 'temporarily_unavailable')
    expect(response.header('retry-after')).toMatch(/^[1-9]\d*$/)
    state.isDown = false
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })

  test('V-11: revokes the family by a rotated token without reporting reuse', async () => {
    const { revoke, issue, token, events } = createSetup()
    const refreshToken = await issue()
    const rt1 = (await refreshWith(token, refreshToken)).body.refresh_token
    const rt2 = (await refreshWith(token, rt1)).body.refresh_token
    expect((await post(revoke, { client_id: 'pub', token: refreshToken })).status).toBe(200)
    expectError(await refreshWith(token, rt2), 400, 'invalid_grant')
    expect(events.map(({ type }) => type)).not.toContain('reuse')
  })

  test.each(['GET', 'PUT', 'DELETE', 'HEAD'])('V-12: does not offer %s', async (method) => {
    const { revoke, issue, token } = createSetup()
    const refreshToken = await issue()
    const response = await post(
      revoke,
      { client_id: 'pub', token: refreshToken },
      { method, url: `/oauth/revoke?token=${refreshToken}&callback=x` },
    )
    expectError(response, 405, 'invalid_request')
    expect(response.header('allow')).toBe('POST')
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })
})
