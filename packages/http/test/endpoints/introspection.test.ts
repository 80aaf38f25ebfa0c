import { ConfigurationError } from '@baton/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AccessTokens,
  introspectionEndpoint,
  type IntrospectionOptions,
  jwksEndpoint,
  jwtAccessTokens,
  rateLimits,
  tokenEndpoint,
  revocationEndpoint,
  sealedAccessTokens,
  type StaticClient,
} from '../../src/index.js'
import { ISSUER, SIGNING_KEY } from '../app.js'
import {
  basic,
  CB_SECRET,
  CLIENTS,
  CX_SECRET,
  DAY,
  expectError,
  MINUTE,
  post,
  refreshWith,
  SECOND,
  send,
  START,
  createSetup,
} from '../setup.js'

const [RS1, RS2] = ['https://rs1.example', 'https://rs2.example'] as const
const RS_SECRET = 'secret-of-a-resource-server-0123'
const RESOURCE_SERVERS: readonly StaticClient[] = [
  { clientId: 'rs1', secret: RS_SECRET, introspectionAudiences: [RS1] },
  { clientId: 'rs2', secret: RS_SECRET, introspectionAudiences: [RS2] },
]

const KINDS: Readonly<Record<string, () => AccessTokens>> = {
  JWT: () => jwtAccessTokens({ issuer: ISSUER, audience: RS1, keys: [SIGNING_KEY] }),
  sealed: () =>
    sealedAccessTokens({ issuer: ISSUER, audience: RS1, secrets: ['a secret of access tokens in a test, 32 bytes'] }),
}

/** An authorization server with two resource servers, and sessions with access tokens of one kind. */
function server(kind = 'JWT', more: Partial<IntrospectionOptions> = {}) {
  const accessTokens = KINDS[kind]?.() ?? KINDS['JWT']?.()
  if (accessTokens === undefined) throw new Error(`no such kind: ${kind}`)
  const clients: StaticClient[] = [...CLIENTS, ...RESOURCE_SERVERS, { clientId: 'ended', validAfter: START + MINUTE }]
  const app = createSetup({ accessTokens, clients })
  const { tokens, clock, errors } = app
  const options = {
    clients,
    accessTokens,
    rateLimit: false,
    now: () => clock.now,
    onError: (e: unknown) => errors.push(e),
  } as const
  const introspect = introspectionEndpoint(tokens, { ...options, ...more })
  const revoke = revocationEndpoint(tokens, options)
  const refreshTokensOnly = revocationEndpoint(tokens, { ...options, accessTokenEndsSession: false })
  const token = tokenEndpoint(tokens, options)

  /** A session that was refreshed once. */
  async function session(request: Parameters<typeof tokens.issue>[0] | object = {}) {
    const refreshToken = await app.issue({ clientId: 'cb', ...request })
    const { family } = (await tokens.inspect(refreshToken)) as { family: { clientId: string } }
    const credentials = family.clientId === 'cb' ? { client_secret: CB_SECRET } : {}
    const { body } = await refreshWith(token, refreshToken, { client_id: family.clientId, ...credentials })
    return { refreshToken, rt1: body.refresh_token as string, at: body.access_token as string }
  }

  const ask = (subject: string, clientId = 'rs1', secret = RS_SECRET) =>
    post(introspect, { token: subject }, { headers: { authorization: basic(clientId, secret) } })
  return { ...app, accessTokens, introspect, revoke, refreshTokensOnly, token, session, ask }
}

const INACTIVE = { status: 200, body: { active: false } }

describe('authorization of introspection', () => {
  test('I-01: rejects a caller that is not authenticated', async () => {
    const { introspect, session } = server()
    const { at } = await session()
    const anonymous: Record<string, string>[] = [
      {},
      { client_id: 'cb' },
      { client_id: 'pub' },
      { client_id: 'unknown' },
    ]
    for (const fields of anonymous) {
      const response = await post(introspect, { token: at, ...fields })
      expectError(response, 401, 'invalid_client')
      expect(response.header('www-authenticate')).toMatch(/^Basic /)
    }
    const wrong = await post(introspect, { token: at }, { headers: { authorization: basic('rs1', 'wrong') } })
    expectError(wrong, 401, 'invalid_client')
    expectError(await post(introspect, { token: at, client_id: 'rs1', client_secret: 'wrong' }), 400, 'invalid_client')
    expect(await post(introspect, { token: at, client_id: 'rs1', client_secret: RS_SECRET })).toMatchObject({
      body: { active: true },
    })
  })

  test('C-12 I-01: counts wrong secrets together with those at the token endpoint, and does not count valid requests', async () => {
    const limits = rateLimits({ points: 3, failedAuthentications: 3 })
    const { ask, session, tokens, accessTokens, clock } = server('JWT', { rateLimit: limits })
    const { at } = await session()
    for (let count = 0; count < 10; count += 1) expect((await ask(at)).body.active).toBe(true)
    for (let count = 0; count < 3; count += 1) expectError(await ask(at, 'rs1', 'wrong'), 401, 'invalid_client')
    expectError(await ask(at, 'rs1', 'wrong'), 429, 'too_many_requests')
    const options = { clients: RESOURCE_SERVERS, accessTokens, rateLimit: limits, now: () => clock.now }
    const fields = { client_id: 'rs1', client_secret: RS_SECRET }
    expectError(await post(tokenEndpoint(tokens, options), fields), 429, 'too_many_requests')
    const elsewhere = { headers: { authorization: basic('rs1', RS_SECRET) }, remoteAddress: '203.0.113.8' }
    const token = introspectionEndpoint(tokens, options)
    expect((await post(token, { token: at }, elsewhere)).body.active).toBe(true)
  })

  test('I-02 I-04: lets a resource server introspect tokens for its own audience', async () => {
    for (const kind of Object.keys(KINDS)) {
      const { ask, session } = server(kind)
      const [mine, theirs, ours] = [
        await session(),
        await session({ audience: [RS2] }),
        await session({ audience: [RS1, RS2] }),
      ]
      expect((await ask(mine.at)).body).toMatchObject({ active: true, aud: RS1 })
      expect(await ask(mine.at, 'rs2')).toMatchObject(INACTIVE)
      expect(await ask(theirs.at)).toMatchObject(INACTIVE)
      expect((await ask(theirs.at, 'rs2')).body).toMatchObject({ active: true, aud: RS2 })
      for (const rs of ['rs1', 'rs2'])
        expect((await ask(ours.at, rs)).body).toMatchObject({ active: true, aud: [RS1, RS2] })
    }
  })

  test('I-02: lets a client introspect its own tokens only', async () => {
    const { ask, session } = server()
    const { at, rt1 } = await session()
    for (const subject of [at, rt1]) {
      expect((await ask(subject, 'cb', CB_SECRET)).body).toMatchObject({ active: true, client_id: 'cb' })
      expect(await ask(subject, 'cx', CX_SECRET)).toMatchObject(INACTIVE)
    }
    const ofPublic = await session({ clientId: 'pub' })
    expect(await ask(ofPublic.rt1, 'cb', CB_SECRET)).toMatchObject(INACTIVE)
  })
})

describe('introspection responses', () => {
  test.each(Object.keys(KINDS))('I-05: describes a %s access token', async (kind) => {
    const { ask, session, clock } = server(kind)
    const { at } = await session()
    const { body } = await ask(at)
    expect(body).toMatchObject({
      active: true,
      token_type: 'Bearer',
      client_id: 'cb',
      sub: 'alice',
      scope: 'a b',
      iss: ISSUER,
    })
    for (const name of ['iat', 'exp']) {
      expect(Number.isInteger(body[name]), name).toBe(true)
      expect(Math.abs(body[name] - clock.now / SECOND)).toBeLessThanOrEqual(900)
    }
    expect(body).not.toHaveProperty('cnf')
    const noScope = await session({ scope: '' })
    expect((await ask(noScope.at)).body).not.toHaveProperty('scope')
  })

  test('I-07: describes a refresh token to its client only, with its expiry and without a token_type', async () => {
    const { ask, session, families } = server()
    const { rt1 } = await session()
    const { body } = await ask(rt1, 'cb', CB_SECRET)
    const [family] = await families()
    expect(body).toEqual({
      active: true,
      sub: 'alice',
      client_id: 'cb',
      sid: family?.id,
      scope: 'a b',
      iat: START / SECOND,
      exp: Math.floor((family?.expiresAt ?? 0) / SECOND),
    })
    expect(await ask(rt1)).toMatchObject(INACTIVE)
  })

  test('I-06 M-04: returns the confirmation of a bound token', async () => {
    for (const kind of Object.keys(KINDS)) {
      const { ask, issue, accessTokens, tokens, clock } = server(kind)
      for (const [cnf, type] of [
        [{ jkt: 'thumb' }, 'DPoP'],
        [{ 'x5t#S256': 'thumb' }, 'Bearer'],
      ] as const) {
        const confirmation = cnf
        const refreshToken = await issue({ clientId: 'cb', confirmation })
        const inspection = await tokens.inspect(refreshToken)
        if (!inspection.active) throw new Error('not active')
        const { family } = inspection
        const { scope, audience } = family
        const minted = await accessTokens.mint({
          family,
          scope,
          audience,
          confirmation,
          claims: {},
          now: clock.now,
          maxLifetimeSeconds: 900,
        })
        expect((await ask(minted.accessToken)).body).toMatchObject({ active: true, cnf, token_type: type })
        const { body } = await ask(refreshToken, 'cb', CB_SECRET)
        expect(body).toMatchObject({ active: true, cnf })
        expect(body).not.toHaveProperty('token_type')
      }
    }
  })

  test('I-05: returns the claims of the app, which cannot replace registered members', async () => {
    const { ask, issue, accessTokens, tokens, clock } = server()
    const inspection = await tokens.inspect(await issue({ clientId: 'cb' }))
    if (!inspection.active) throw new Error('not active')
    const { family } = inspection
    const claims = { roles: ['admin'], active: 'yes', token_type: 'mac' }
    const grant = {
      family,
      scope: 'a',
      audience: [],
      confirmation: null,
      claims,
      now: clock.now,
      maxLifetimeSeconds: 900,
    }
    const { accessToken: at } = await accessTokens.mint(grant)
    expect((await ask(at)).body).toMatchObject({ roles: ['admin'], active: true, token_type: 'Bearer' })
  })
})

describe('inactive tokens', () => {
  test.each(Object.keys(KINDS))(
    'I-03 I-04 V-05 F-03: responds identically to expired, revoked, reused, foreign and invalid tokens: %s',
    async (kind) => {
      const { ask, session, revoke, token, clock, tokens, accessTokens } = server(kind)
      const responses: unknown[] = []
      const inactive = async (subject: string, ...caller: [string?, string?]) =>
        responses.push(await ask(subject, ...caller))

      const revoked = await session()
      expect((await ask(revoked.at)).body.active).toBe(true)
      await post(revoke, { client_id: 'cb', client_secret: CB_SECRET, token: revoked.rt1 })
      await inactive(revoked.at)
      await inactive(revoked.rt1, 'cb', CB_SECRET)

      const reused = await session()
      const secret = { client_id: 'cb', client_secret: CB_SECRET }
      await refreshWith(token, reused.rt1, secret)
      await inactive(reused.refreshToken, 'cb', CB_SECRET)
      expect((await ask(reused.at)).body.active).toBe(true)
      expectError(await refreshWith(token, reused.refreshToken, secret), 400, 'invalid_grant')
      await inactive(reused.at)

      const elsewhere = KINDS[kind === 'JWT' ? 'sealed' : 'JWT']?.()
      const { family } = await tokens.issue({ subject: 'alice', clientId: 'cb' })
      const grant = {
        family,
        scope: '',
        audience: [],
        confirmation: null,
        claims: {},
        now: clock.now,
        maxLifetimeSeconds: 900,
      }
      await inactive((await elsewhere?.mint(grant))?.accessToken ?? '')
      await inactive('garbage')
      await inactive('x'.repeat(10_000))

      const expired = await session()
      const ended = await accessTokens.mint({ ...grant, maxLifetimeSeconds: 10 })
      clock.now += 11 * SECOND
      await inactive(ended.accessToken)
      clock.now += 15 * MINUTE
      await inactive(expired.at)
      clock.now += 91 * DAY
      await inactive(expired.rt1, 'cb', CB_SECRET)
      for (const response of responses) expect(response).toMatchObject(INACTIVE)
      const bodies = responses.map((response) => JSON.stringify((response as { raw: unknown }).raw))
      expect(new Set(bodies).size).toBe(1)
    },
  )

  test('R-09 I-04: returns inactive for tokens from before validAfter of their client', async () => {
    const { ask, issue, tokens, accessTokens, clock } = server()
    const inspection = await tokens.inspect(await issue({ clientId: 'ended' }))
    if (!inspection.active) throw new Error('not active')
    const { family } = inspection
    const grant = {
      family,
      scope: '',
      audience: [],
      confirmation: null,
      claims: {},
      now: clock.now,
      maxLifetimeSeconds: 900,
    }
    expect(await ask((await accessTokens.mint(grant)).accessToken)).toMatchObject(INACTIVE)
  })

  test('I-03: introspection changes nothing, and an ancestor is inactive without reporting reuse', async () => {
    const { ask, session, token, events } = server()
    const { refreshToken, rt1 } = await session()
    const secret = { client_id: 'cb', client_secret: CB_SECRET }
    const { body } = await refreshWith(token, rt1, secret)
    expect(await ask(refreshToken, 'cb', CB_SECRET)).toMatchObject(INACTIVE)
    expect((await refreshWith(token, body.refresh_token, secret)).status).toBe(200)
    expect(events.map(({ type }) => type)).not.toContain('reuse')
  })

  test('I-03 E-02: responds to any text', async () => {
    const { ask, errors } = server('sealed')
    const prefixes = fc.constantFrom('', 'bat_', 'brt_', 'eyJ')
    await fc.assert(
      fc.asyncProperty(prefixes, fc.string({ unit: 'grapheme', minLength: 1 }), async (prefix, text) => {
        const response = await ask(prefix + text)
        expect([200, 400]).toContain(response.status)
        expect(response.body.active ?? false).toBe(false)
      }),
      { numRuns: 200 },
    )
    expect(errors).toEqual([])
  })
})

describe('introspection requests', () => {
  test('I-08: ignores the hint and requires exactly one token', async () => {
    const { introspect, session } = server()
    const { at, rt1 } = await session()
    const headers = { authorization: basic('cb', CB_SECRET) }
    for (const token of [at, rt1])
      for (const hint of ['access_token', 'refresh_token', 'foo', ''])
        expect((await post(introspect, { token, token_type_hint: hint }, { headers })).body.active).toBe(true)
    expectError(await post(introspect, {}, { headers }), 400, 'invalid_request')
    expectError(await post(introspect, 'token=', { headers }), 400, 'invalid_request')
    expectError(await post(introspect, `token=${at}&token=${at}`, { headers }), 400, 'invalid_request')
  })

  test('I-09: accepts POST only and is never cached', async () => {
    const { introspect, session, ask } = server()
    const { at } = await session()
    for (const method of ['GET', 'HEAD', 'PUT']) {
      const response = await send(introspect, { method, url: `/oauth/introspect?token=${at}` })
      expectError(response, 405, 'invalid_request')
      expect(response.header('allow')).toBe('POST')
    }
    expect((await ask(at)).header('cache-control')).toBe('no-store')
  })

  test('E-04: describes no token during an outage of the store', async () => {
    const { ask, session, state } = server()
    const { at, rt1 } = await session()
    state.isDown = true
    expectError(await ask(at), 503, 'temporarily_unavailable')
    expectError(await ask(rt1, 'cb', CB_SECRET), 503, 'temporarily_unavailable')
  })

  test('omits access tokens of a function, which cannot be read', async () => {
    const { ask, session } = server('JWT', { accessTokens: undefined as never })
    const { at, rt1 } = await session()
    expect(await ask(at)).toMatchObject(INACTIVE)
    expect((await ask(rt1, 'cb', CB_SECRET)).body.active).toBe(true)
    const { tokens } = createSetup()
    const accessTokens = (async () => ({ accessToken: 'x', expiresIn: 1 })) as never
    expect(() => introspectionEndpoint(tokens, { clients: CLIENTS, accessTokens })).toThrow(ConfigurationError)
    expect(() =>
      introspectionEndpoint(tokens, { clients: [{ clientId: 'x', introspectionAudiences: RS1 as never }] }),
    ).toThrow(ConfigurationError)
  })
})

describe('revocation of access tokens', () => {
  const secret = { client_id: 'cb', client_secret: CB_SECRET }

  test.each(Object.keys(KINDS))('V-01 V-06: revokes the session of a %s access token', async (kind) => {
    const { revoke, ask, session } = server(kind)
    const { at, rt1 } = await session()
    const response = await post(revoke, { ...secret, token: at, token_type_hint: 'access_token' })
    expect([response.status, response.body]).toEqual([200, {}])
    expect(await ask(at)).toMatchObject(INACTIVE)
    expect(await ask(rt1, 'cb', CB_SECRET)).toMatchObject(INACTIVE)
    for (const token of [at, rt1]) expect((await post(revoke, { ...secret, token })).status).toBe(200)
  })

  test.each(Object.keys(KINDS))(
    'V-06: rejects a %s access token if only refresh tokens revoke sessions',
    async (kind) => {
      const { refreshTokensOnly, ask, session } = server(kind)
      const { at } = await session()
      expectError(await post(refreshTokensOnly, { ...secret, token: at }), 400, 'unsupported_token_type')
      expect((await ask(at)).body.active).toBe(true)
    },
  )

  test.each(Object.keys(KINDS))('V-02: keeps the session of an expired %s access token active', async (kind) => {
    const { revoke, refreshTokensOnly, ask, session, advance } = server(kind)
    const { at, rt1 } = await session()
    advance(15 * MINUTE)
    for (const endpoint of [revoke, refreshTokensOnly])
      expect((await post(endpoint, { ...secret, token: at })).status).toBe(200)
    expect((await ask(rt1, 'cb', CB_SECRET)).body.active).toBe(true)
  })

  test('V-04: rejects the revocation of an access token of another client', async () => {
    const { refreshTokensOnly, revoke, ask, session } = server()
    const { at } = await session()
    for (const endpoint of [refreshTokensOnly, revoke])
      expectError(
        await post(endpoint, { client_id: 'cx', client_secret: CX_SECRET, token: at }),
        400,
        'invalid_request',
      )
    expect((await ask(at)).body.active).toBe(true)
  })

  test('rejects accessTokenEndsSession without access tokens that can be read', () => {
    const { tokens } = createSetup()
    expect(() => revocationEndpoint(tokens, { clients: CLIENTS, accessTokenEndsSession: true })).toThrow(
      ConfigurationError,
    )
  })
})

describe('JWKS endpoint', () => {
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: RS1, keys: [SIGNING_KEY] })

  test('A-09: serves public keys with unique kids that may be cached', async () => {
    const response = await send(jwksEndpoint(accessTokens), { method: 'GET', url: '/.well-known/jwks.json' })
    expect(response.status).toBe(200)
    expect(response.header('content-type')).toBe('application/json')
    expect(response.header('cache-control')).toBe('public, max-age=300')
    expect(response.header('access-control-allow-origin')).toBe('*')
    for (const key of response.body.keys) {
      expect(Object.keys(key as object).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    }
    expect((await send(jwksEndpoint(accessTokens), { method: 'HEAD' })).status).toBe(200)
    expectError(await send(jwksEndpoint(accessTokens)), 405, 'invalid_request')
  })

  test('serves no keys for sealed tokens', () => {
    expect(() => jwksEndpoint(KINDS['sealed']?.() as never)).toThrow(ConfigurationError)
  })
})
