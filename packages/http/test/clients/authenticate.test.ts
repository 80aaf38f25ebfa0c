import { OperationalError, ConfigurationError } from '@baton/core'
import { describe, expect, test } from 'vitest'
import { type Client, hashClientSecret, tokenEndpoint, revocationEndpoint, type StaticClient } from '../../src/index.js'
import { parseBasic } from '../../src/clients/credentials.js'
import { matchesSecret } from '../../src/clients/secret.js'
import {
  basic,
  CB_SECRET,
  CX_SECRET,
  expectError,
  readableAccessTokens,
  ODD_SECRET,
  post,
  refreshWith,
  type RequestPatch,
  START,
  createSetup,
} from '../setup.js'

/** Refreshes a token of the client cb. `parameters` and `headers` may authenticate the client. */
async function asCb(
  setup: ReturnType<typeof createSetup>,
  parameters: Record<string, string>,
  headers: RequestPatch['headers'] = {},
) {
  const refresh_token = await setup.issue({ clientId: 'cb' })
  return post(setup.token, { grant_type: 'refresh_token', refresh_token, ...parameters }, { headers })
}

const header = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

describe('client authentication', () => {
  test('C-01 C-09: requires authentication of a confidential client in each request', async () => {
    expectError(await asCb(createSetup(), { client_id: 'cb' }), 400, 'invalid_client')
    expectError(await asCb(createSetup(), {}), 400, 'invalid_client')
    expectError(await asCb(createSetup(), { client_id: 'pub' }), 400, 'invalid_grant')
  })

  test('C-02: authenticates a client by header and by body', async () => {
    expect((await asCb(createSetup(), {}, { authorization: basic('cb', CB_SECRET) })).status).toBe(200)
    expect((await asCb(createSetup(), { client_id: 'cb', client_secret: CB_SECRET })).status).toBe(200)
  })

  test.each([
    ['a:b %&+£€', ODD_SECRET, 'a%3Ab+%25%26%2B%C2%A3%E2%82%AC:+%25%26%2B%C2%A3%E2%82%AC%3Ax'],
    ['a:b %&+£€', ODD_SECRET, 'a%3Ab%20%25%26%2B%C2%A3%E2%82%AC:%20%25%26%2B%C2%A3%E2%82%AC:x'],
    ['my-id_1', 'my-secret_1', 'my%2Did%5F1:my%2Dsecret%5F1'],
    ['my-id_1', 'my-secret_1', 'my-id_1:my-secret_1'],
  ])('C-03: %s authenticates with %s, sent as %s', async (clientId, _secret, sent) => {
    const { token, issue } = createSetup()
    const refresh_token = await issue({ clientId })
    const response = await post(token, { grant_type: 'refresh_token', refresh_token }, { headers: header(sent) })
    expect(response.status).toBe(200)
  })

  test('C-03: decodes the examples of RFC 6749', () => {
    expect(parseBasic('Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3')).toEqual({
      clientId: 's6BhdRkqt3',
      secret: '7Fjfp0ZBr1KtDRbnfVdmIw',
    })
    expect(parseBasic('Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW')).toEqual({ clientId: 's6BhdRkqt3', secret: 'gX1fBat3bV' })
  })

  test('C-04: compares the scheme without case and splits at the first colon only', () => {
    expect(parseBasic(`bAsIc ${Buffer.from('cb:a:b').toString('base64')}`)).toEqual({ clientId: 'cb', secret: 'a:b' })
  })

  test.each([
    ['bad base64', 'Basic !!!'],
    ['the other base64', `Basic ${Buffer.from('cb:\u{10ffff}\u{10ffff}').toString('base64url')}`],
    ['no colon', header('cb').authorization],
    ['a bad percent', header('cb:%zz').authorization],
    ['invalid UTF-8', `Basic ${Buffer.from([0x63, 0x62, 0x3a, 0xff]).toString('base64')}`],
    ['a NUL', header('cb:%00').authorization],
    ['no client', header(`:${CB_SECRET}`).authorization],
    ['an empty header', ''],
    ['the scheme alone', 'Basic'],
    ['two values in one', `${basic('cb', CB_SECRET)}, ${basic('cb', CB_SECRET)}`],
    ['another scheme', 'Bearer abc'],
    ['Digest', 'Digest username="cb"'],
  ])('C-04: rejects %s as failed authentication', async (_name, authorization) => {
    const response = await asCb(createSetup(), {}, { authorization })
    expectError(response, 401, 'invalid_client')
    expect(response.header('www-authenticate')).toMatch(/^Basic realm="[^"]+"/)
  })

  test('C-05 C-06: responds to a wrong secret with 401 and a challenge for a header, and with 400 for a body', async () => {
    const byHeader = await asCb(createSetup(), {}, { authorization: basic('cb', 'wrong') })
    expectError(byHeader, 401, 'invalid_client')
    expect(byHeader.header('www-authenticate')).toMatch(/^Basic /)
    const byBody = await asCb(createSetup(), { client_id: 'cb', client_secret: 'wrong' })
    expectError(byBody, 400, 'invalid_client')
    expect(byBody.header('www-authenticate')).toBeNull()
  })

  test('C-07: rejects more than one authentication method even if both are valid', async () => {
    const authorization = basic('cb', CB_SECRET)
    const post = { client_id: 'cb', client_secret: CB_SECRET }
    const assertion = { client_assertion: 'x', client_assertion_type: 'y' }
    expectError(await asCb(createSetup(), post, { authorization }), 400, 'invalid_request')
    expectError(await asCb(createSetup(), assertion, { authorization }), 400, 'invalid_request')
    expectError(await asCb(createSetup(), { ...post, ...assertion }), 400, 'invalid_request')
    expectError(
      await asCb(createSetup(), {}, { authorization: [authorization, authorization] }),
      400,
      'invalid_request',
    )
    expectError(
      await asCb(createSetup(), { client_id: 'cb', client_secret: 'x' }, { authorization: '' }),
      400,
      'invalid_request',
    )
  })

  test('C-08: rejects a client_id in the body that differs from the Basic header', async () => {
    const authorization = basic('cb', CB_SECRET)
    expect((await asCb(createSetup(), { client_id: 'cb' }, { authorization })).status).toBe(200)
    expectError(await asCb(createSetup(), { client_id: 'cx' }, { authorization }), 400, 'invalid_request')
  })

  test('C-10 C-13: accepts a public client without a secret and rejects one with a secret', async () => {
    const { token, issue } = createSetup()
    const refreshToken = await issue()
    expectError(await refreshWith(token, refreshToken, { client_secret: 'x' }), 400, 'invalid_client')
    const parameters = { grant_type: 'refresh_token', refresh_token: refreshToken }
    const byHeader = await post(token, parameters, { headers: { authorization: basic('pub', 'x') } })
    expectError(byHeader, 401, 'invalid_client')
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })

  test('identifies a public client by Basic with an empty secret, but authenticates no confidential client', async () => {
    const { token, revoke, issue } = createSetup()
    const asBasic = (clientId: string) => ({ headers: { authorization: basic(clientId, '') } })
    const parameters = { grant_type: 'refresh_token', refresh_token: await issue() }
    const refreshed = await post(token, parameters, asBasic('pub'))
    expect(refreshed.status).toBe(200)
    expect((await post(revoke, { token: refreshed.body.refresh_token }, asBasic('pub'))).status).toBe(200)
    for (const clientId of ['cb', 'unknown']) {
      const rejected = await post(token, parameters, asBasic(clientId))
      expectError(rejected, 401, 'invalid_client')
      expect(rejected.header('www-authenticate')).toMatch(/^Basic /)
    }
    expectError(await post(token, { ...parameters, client_id: 'pub2' }, asBasic('pub')), 400, 'invalid_request')
  })

  test('C-10: rejects an assertion of a client without registered keys', async () => {
    const assertion = { client_id: 'cb', client_assertion: 'x', client_assertion_type: 'y' }
    expectError(await asCb(createSetup(), assertion), 400, 'invalid_client')
  })

  test('C-11: responds identically to an unknown client, a wrong, an unneeded and a missing secret', async () => {
    for (const [inHeader, status] of [
      [true, 401],
      [false, 400],
    ] as const) {
      const { token, issue } = createSetup()
      const refreshToken = await issue()
      const responses = []
      for (const [client_id, client_secret] of [
        ['cb', 'wrong'],
        ['cb', CX_SECRET],
        ['unknown', CB_SECRET],
        ['unknown', 'wrong'],
        ['x'.repeat(5000), 'wrong'],
        ['pub', 'wrong'],
        ['__proto__', 'wrong'],
        ...(inHeader ? [] : [['cb', ''] as const, ['unknown', ''] as const]),
      ] as const) {
        const parameters = { grant_type: 'refresh_token', refresh_token: refreshToken }
        responses.push(
          inHeader
            ? await post(token, parameters, { headers: { authorization: basic(client_id, client_secret) } })
            : await post(token, { ...parameters, client_id, client_secret }),
        )
      }
      for (const response of responses) expectError(response, status, 'invalid_client')
      expect(new Set(responses.map(({ raw }) => JSON.stringify(raw))).size).toBe(1)
    }
  })

  test('C-14: accepts two secrets during a change, and rejects a removed one', async () => {
    const [old, fresh] = ['old-secret-0123456789-0123456789', 'new-secret-0123456789-0123456789'] as const
    const registered: { current: Client } = { current: { clientId: 'cb', secretHashes: [hashClientSecret(old)] } }
    const { tokens, issue } = createSetup()
    const clients = { find: async () => registered.current }
    const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients, rateLimit: false })
    const status = async (client_secret: string) => {
      const refresh_token = await issue({ clientId: 'cb' })
      return (await post(token, { grant_type: 'refresh_token', refresh_token, client_id: 'cb', client_secret })).status
    }
    expect([await status(old), await status(fresh)]).toEqual([200, 400])
    registered.current = { clientId: 'cb', secretHashes: [old, fresh].map(hashClientSecret) }
    expect([await status(old), await status(fresh)]).toEqual([200, 200])
    registered.current = { clientId: 'cb', secretHashes: [hashClientSecret(fresh)] }
    expect([await status(old), await status(fresh)]).toEqual([400, 200])
    registered.current = { clientId: 'cb', secretHashes: [] }
    expect([await status(old), await status(fresh), await status('')]).toEqual([400, 400, 400])
  })
})

describe('client registries', () => {
  const endpointWith = (clients: unknown) =>
    revocationEndpoint(createSetup().tokens, { clients: clients as never, rateLimit: false, onError: () => undefined })

  test.each([
    ['nothing', undefined, 'clients'],
    ['a Map', new Map(), 'clients'],
    ['an empty id', [{ clientId: '' }], 'clients[0].clientId'],
    ['no id', [{}], 'clients[0].clientId'],
    ['the same id twice', [{ clientId: 'a' }, { clientId: 'a' }], 'clients[1].clientId'],
    ['an unset secret', [{ clientId: 'a', secret: undefined }], 'clients[0].secret'],
    ['an empty secret', [{ clientId: 'a', secret: '' }], 'clients[0].secret'],
    ['no hashes', [{ clientId: 'a', secretHashes: [] }], 'clients[0].secretHashes'],
    ['unset hashes', [{ clientId: 'a', secretHashes: undefined }], 'clients[0].secretHashes'],
    ['plain text for a hash', [{ clientId: 'a', secretHashes: [CB_SECRET] }], 'clients[0].secretHashes[0]'],
    ['an unset key set', [{ clientId: 'a', jwks: undefined }], 'clients[0].jwks'],
    ['a relative redirect URI', [{ clientId: 'a', redirectUris: ['/callback'] }], 'clients[0].redirectUris[0]'],
    [
      'a method without credentials',
      [{ clientId: 'a', tokenEndpointAuthMethod: 'private_key_jwt' }],
      'clients[0].tokenEndpointAuthMethod',
    ],
    [
      'a public client with a secret',
      [{ clientId: 'a', tokenEndpointAuthMethod: 'none', secret: CB_SECRET }],
      'clients[0].tokenEndpointAuthMethod',
    ],
    ['a misspelt member', [{ clientId: 'a', secretHash: 'x' }], 'clients[0].secretHash'],
  ])('rejects %s and names the option', (_name, clients, option) => {
    expect(() => endpointWith(clients)).toThrow(ConfigurationError)
    expect(() => endpointWith(clients)).toThrow(expect.objectContaining({ option }))
  })

  test('treats a client with another id than requested as unknown', async () => {
    const { tokens, issue } = createSetup()
    const clients = { find: async () => ({ clientId: 'pub' }) }
    const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients, rateLimit: false })
    expectError(await refreshWith(token, await issue(), { client_id: 'PUB' }), 400, 'invalid_client')
  })

  test('reports a registry with a plain-text secret and authenticates no client with it', async () => {
    const { tokens, issue } = createSetup()
    const errors: unknown[] = []
    const clients = { find: async () => ({ clientId: 'cb', secretHashes: [CB_SECRET] }) }
    const onError = (error: unknown) => errors.push(error)
    const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients, rateLimit: false, onError })
    const refreshToken = await issue({ clientId: 'cb' })
    const response = await refreshWith(token, refreshToken, { client_id: 'cb', client_secret: CB_SECRET })
    expectError(response, 500, 'server_error')
    expect(errors[0]).toBeInstanceOf(ConfigurationError)
    expect(String(errors[0])).not.toContain(CB_SECRET)
  })

  test('does not look up client ids that cannot exist in a registry', async () => {
    const lookups: string[] = []
    const clients = {
      find: async (clientId: string) => {
        lookups.push(clientId)
        return null
      },
    }
    const { tokens } = createSetup()
    const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients, rateLimit: false })
    await refreshWith(token, 'x', { client_id: 'x'.repeat(1025) })
    const value = { grant_type: 'refresh_token', refresh_token: 'x', client_id: '\ud800' }
    expectError(await post(token, '', { body: { kind: 'parsed', value } }), 400, 'invalid_client')
    expect(lookups).toEqual([])
  })

  test('reports a rejected lookup as an OperationalError with its cause', async () => {
    const errors: unknown[] = []
    const cause = new Error('gone')
    const clients = { find: () => Promise.reject(cause) }
    const revoke = revocationEndpoint(createSetup().tokens, {
      clients,
      rateLimit: false,
      onError: (e) => errors.push(e),
    })
    expectError(await post(revoke, { client_id: 'a', token: 'x' }), 503, 'temporarily_unavailable')
    expect(errors).toEqual([expect.objectContaining({ code: 'hook_failed', cause })])
    expect(errors[0]).toBeInstanceOf(OperationalError)
  })
})

describe('tokenEndpointAuthMethod', () => {
  test.each<[StaticClient['tokenEndpointAuthMethod'], number, number]>([
    [undefined, 200, 200],
    ['client_secret_basic', 200, 400],
    ['client_secret_post', 401, 200],
  ])('%s accepts the secret by that method only', async (tokenEndpointAuthMethod, byBasic, byPost) => {
    const client: StaticClient = { clientId: 'cb', secret: CB_SECRET }
    const setup = createSetup({
      clients: [tokenEndpointAuthMethod === undefined ? client : { ...client, tokenEndpointAuthMethod }],
    })
    expect((await asCb(setup, {}, { authorization: basic('cb', CB_SECRET) })).status).toBe(byBasic)
    expect((await asCb(setup, { client_id: 'cb', client_secret: CB_SECRET })).status).toBe(byPost)
  })

  test('accepts a public client with keys registered for other purposes', async () => {
    const jwks = { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] }
    const setup = createSetup({ clients: [{ clientId: 'cb', tokenEndpointAuthMethod: 'none', jwks }] })
    expect((await asCb(setup, { client_id: 'cb' })).status).toBe(200)
  })
})

describe('client secrets', () => {
  test('K-01: creates only hashes of random secrets, with the name of the algorithm', () => {
    expect(hashClientSecret(CB_SECRET)).toMatch(/^sha256:[\w-]{43}$/)
    expect(hashClientSecret(CB_SECRET)).not.toBe(hashClientSecret(CX_SECRET))
    for (const weak of ['', 'password', 'x'.repeat(26), undefined as never, 5 as never])
      expect(() => hashClientSecret(weak)).toThrow(ConfigurationError)
  })

  test('K-02: compares secrets as hashes of one length, and a hash does not authenticate', () => {
    const hash = hashClientSecret(CB_SECRET)
    expect(matchesSecret([hash], CB_SECRET)).toBe(true)
    expect(matchesSecret(['sha256:short', hash], CB_SECRET)).toBe(true)
    expect(matchesSecret([hash], hash)).toBe(false)
    expect(matchesSecret([hash], '')).toBe(false)
    expect(matchesSecret(null, CB_SECRET)).toBe(false)
    expect(matchesSecret([], CB_SECRET)).toBe(false)
  })

  test('C-14: accepts two secrets, one of them until its expiry', async () => {
    const [older, newer] = ['the-older-secret-0123456789-0123', 'the-newer-secret-0123456789-0123']
    const secretHashes = [{ hash: hashClientSecret(older), expiresAt: START + 60_000 }, hashClientSecret(newer)]
    const setup = createSetup({ clients: [{ clientId: 'cb', secretHashes }] })
    const outcome = async (secret: string) => (await asCb(setup, {}, { authorization: basic('cb', secret) })).status
    expect([await outcome(older), await outcome(newer)]).toEqual([200, 200])
    setup.advance(59_999)
    expect(await outcome(older)).toBe(200)
    setup.advance(1)
    expect([await outcome(older), await outcome(newer)]).toEqual([401, 200])
  })

  test('C-14: does not treat a client whose secrets are all expired as public', async () => {
    const secretHashes = [{ hash: hashClientSecret(CB_SECRET), expiresAt: START }]
    const setup = createSetup({ clients: [{ clientId: 'cb', secretHashes }] })
    expectError(await asCb(setup, { client_id: 'cb' }), 400, 'invalid_client')
    expectError(await asCb(setup, { client_id: 'cb', client_secret: CB_SECRET }), 400, 'invalid_client')
  })
})
