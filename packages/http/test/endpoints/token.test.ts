import { describe, expect, test } from 'vitest'
import { jwtAccessTokens, generateSigningKey, tokenEndpoint } from '../../src/index.js'
import {
  basic,
  CB_SECRET,
  claimsOf,
  CX_SECRET,
  DAY,
  expectError,
  FORM_TYPE,
  HOUR,
  IDEMPOTENCY_KEY,
  readableAccessTokens,
  MINUTE,
  post,
  refreshWith,
  SECOND,
  send,
  START,
  createSetup,
} from '../setup.js'

const VSCHAR = /^[\x20-\x7e]+$/
const TOKEN_68 = /^[A-Za-z0-9._~+/-]+=*$/

describe('shape of token requests', () => {
  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'post'])(
    'T-01: rejects the method %s',
    async (method) => {
      const { token, issue, state } = createSetup()
      const rt0 = await issue()
      state.calls.length = 0
      const query = `/oauth/token?grant_type=refresh_token&client_id=pub&refresh_token=${rt0}`
      const response = await send(token, { method, url: query })
      expectError(response, 405, 'invalid_request')
      expect(response.header('allow')).toBe('POST')
      expect(state.calls).toEqual([])
      expect((await refreshWith(token, rt0)).status).toBe(200)
    },
  )

  test.each([
    FORM_TYPE,
    'application/x-www-form-urlencoded; charset=UTF-8',
    'application/x-www-form-urlencoded;charset="utf-8"',
    'Application/X-WWW-Form-URLEncoded',
  ])('T-02: accepts %s as a form', async (type) => {
    const { token, issue } = createSetup()
    const response = await refreshWith(token, await issue(), {}, { headers: { 'content-type': type } })
    expect(response.status).toBe(200)
  })

  test.each([
    'application/json',
    'multipart/form-data; boundary=x',
    'text/plain',
    '',
    undefined,
    'application/x-www-form-urlencoded; charset=iso-8859-1',
    'application/x-www-form-urlencodedx',
  ])('T-02: rejects %s as a form', async (type) => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    expectError(await refreshWith(token, rt0, {}, { headers: { 'content-type': type } }), 400, 'invalid_request')
    expect((await refreshWith(token, rt0)).status).toBe(200)
  })

  test('T-02: rejects two Content-Type headers', async () => {
    const { token, issue } = createSetup()
    const headers = { 'content-type': [FORM_TYPE, FORM_TYPE] }
    expectError(await refreshWith(token, await issue(), {}, { headers }), 400, 'invalid_request')
  })

  test('T-03: reads no parameter from the query', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue({ clientId: 'cb' })
    const inQuery = await post(
      token,
      { grant_type: 'refresh_token', refresh_token: rt0 },
      { url: `/oauth/token?client_id=cb&client_secret=${CB_SECRET}` },
    )
    expectError(inQuery, 400, 'invalid_client')
    const pub = await issue()
    const response = await post(
      token,
      { grant_type: 'refresh_token', client_id: 'pub' },
      { url: `/?refresh_token=${pub}` },
    )
    expectError(response, 400, 'invalid_request')
  })

  test('reads a parameter from the body alone if the query has it too', async () => {
    const { token, issue } = createSetup()
    const url = '/oauth/token?refresh_token=other&client_id=pub2&tenant=1'
    expect((await refreshWith(token, await issue(), {}, { url })).status).toBe(200)
  })

  test('T-11: ignores a query of the endpoint', async () => {
    const { token, issue } = createSetup()
    expect((await refreshWith(token, await issue(), {}, { url: '/oauth/token?tenant=1' })).status).toBe(200)
  })

  const once = ['grant_type', 'refresh_token', 'code', 'redirect_uri', 'code_verifier', 'client_id', 'client_secret']
  const onceToo = ['client_assertion', 'client_assertion_type', 'scope', 'token', 'token_type_hint']
  test.each([...once, ...onceToo])('T-04: rejects a repeated %s, with the same or another value', async (name) => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    const good: Record<string, string> = { grant_type: 'refresh_token', client_id: 'pub', refresh_token: rt0 }
    for (const second of [good[name] ?? 'x', 'y', '']) {
      const rest = Object.entries(good).filter(([key]) => key !== name)
      const twice = [[name, good[name] ?? 'x'] as const, [name, second] as const]
      expectError(await post(token, [...rest, ...twice] as [string, string][]), 400, 'invalid_request')
    }
    expect((await refreshWith(token, rt0)).status).toBe(200)
  })

  test('T-04: accepts a repeated resource', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue({ audience: ['https://one', 'https://two', 'https://three'] })
    const body = `grant_type=refresh_token&client_id=pub&refresh_token=${rt0}&resource=https://one&resource=https://two`
    const response = await post(token, body)
    expect(claimsOf(response.body.access_token)['aud']).toEqual(['https://one', 'https://two'])
  })

  test('T-05: treats a parameter without a value as missing', async () => {
    const { token, issue } = createSetup()
    expectError(await refreshWith(token, ''), 400, 'invalid_request')
    const rt0 = await issue({ clientId: 'cb' })
    const response = await post(
      token,
      {
        grant_type: 'refresh_token',
        refresh_token: rt0,
        scope: '',
        client_secret: '',
        client_id: '',
        client_assertion: '',
      },
      { headers: { authorization: basic('cb', CB_SECRET) } },
    )
    expect(response.body.scope).toBe('a b')
    expectError(await post(token, 'grant_type&client_id=pub'), 400, 'invalid_request')
  })

  test('T-06: ignores unknown parameters, repeated ones too', async () => {
    const { token, issue } = createSetup()
    const body = `grant_type=refresh_token&client_id=pub&refresh_token=${await issue()}&foo=1&foo=2&nonce=n&__proto__=x&__proto__=y`
    expect((await post(token, body)).status).toBe(200)
  })

  test('T-07: compares names and values case-sensitively', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    const upperName = { Grant_Type: 'refresh_token', client_id: 'pub', refresh_token: rt0 }
    expectError(await post(token, upperName), 400, 'invalid_request')
    expectError(await refreshWith(token, rt0, { grant_type: 'REFRESH_TOKEN' }), 400, 'unsupported_grant_type')
    expectError(await refreshWith(token, rt0, { client_id: 'PUB' }), 400, 'invalid_client')
  })

  test.each(['password', '__proto__', 'constructor', 'toString', 'urn:ietf:params:oauth:grant-type:device_code'])(
    'T-08: rejects grant_type %s as unsupported',
    async (grantType) => {
      const { token, issue } = createSetup()
      expectError(await refreshWith(token, await issue(), { grant_type: grantType }), 400, 'unsupported_grant_type')
    },
  )

  test('T-08: rejects a missing grant_type and one that the client may not use', async () => {
    const { token, issue } = createSetup()
    expectError(await refreshWith(token, await issue(), { grant_type: '' }), 400, 'invalid_request')
    const rt0 = await issue({ clientId: 'codes-only' })
    expectError(await refreshWith(token, rt0, { client_id: 'codes-only' }), 400, 'unauthorized_client')
  })

  test('T-09: accepts only a flat body of limited size', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    const good = `grant_type=refresh_token&client_id=pub&refresh_token=${rt0}`
    expectError(await post(token, `${good}${'&x=1'.repeat(2000)}`), 400, 'invalid_request')
    expectError(await post(token, `${good}&x=${'x'.repeat(1 << 20)}`), 413, 'invalid_request')
    for (const bad of ['x=%ZZ', 'x=%', '%=x', 'x=%ff', 'x=%c0%80', 'x=%00', 'x=\0', 'x=%ed%a0%80'])
      expectError(await post(token, `${good}&${bad}`), 400, 'invalid_request')
    const invalid = Buffer.concat([Buffer.from(`${good}&x=`), Buffer.from([0xff])])
    expectError(await post(token, good, { body: invalid }), 400, 'invalid_request')
    // Brackets have no meaning here, so the names are unknown.
    const response = await post(token, `${good}&scope[]=c&scope[a]=c&a[b]=c`)
    expect(response.body.scope).toBe('a b')
  })

  test('T-09: rejects a body that cannot be read', async () => {
    const { token } = createSetup()
    const body = { kind: 'stream', read: () => Promise.reject(new Error('aborted')) } as const
    expectError(await post(token, '', { body }), 400, 'invalid_request')
  })

  test('T-09: accepts a parsed body of strings', async () => {
    const { token, issue } = createSetup()
    const form = async (more: object) => {
      const rt0 = await issue()
      const value = { grant_type: 'refresh_token', client_id: 'pub', refresh_token: rt0, ...more }
      const response = await post(token, '', { body: { kind: 'parsed', value } })
      if (response.status !== 200) expect((await refreshWith(token, rt0)).status).toBe(200)
      return response
    }
    expect((await form({})).status).toBe(200)
    expect((await form({ foo: ['1', '2'], nested: { a: 1 }, number: 1 })).status).toBe(200)
    expect((await form({ resource: [] })).status).toBe(200)
    // Parsed from `scope[a]=b`, `scope[]=b` and the like, which are other parameters in an unparsed form.
    for (const unpacked of [{ scope: { a: 'b' } }, { scope: ['b'] }, { resource: [{ a: 1 }] }, { resource: [['x']] }])
      expect((await form(unpacked)).status).toBe(200)
    for (const bad of [
      { scope: ['a', 'b'] },
      { scope: 7 },
      { scope: null },
      { scope: true },
      { refresh_token: [] },
      { refresh_token: '\0' },
      { scope: '\ufffd' },
      { client_id: ['pub', 'pub'] },
      { resource: [{ a: 1 }, 'x'] },
      // The result of a parser for a list that exceeds its limit.
      { scope: Object.fromEntries(Array.from({ length: 25 }, (_, index) => [String(index), 'a'])) },
      { scope: { 0: 'a', b: 'c' } },
    ])
      expectError(await form(bad), 400, 'invalid_request')
    expectError(await form({ scope: 'x'.repeat(70_000) }), 413, 'invalid_request')
  })

  test.each([
    ['an array', ['grant_type']],
    ['a number', 1],
    ['a Date', new Date(0)],
    ['true', true],
  ])('T-09: rejects a parsed body that is %s', async (_name, value) => {
    const { token } = createSetup()
    expectError(await post(token, '', { body: { kind: 'parsed', value } }), 400, 'invalid_request')
  })

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['an empty object', {}],
  ])('T-09: treats %s from a body parser as an empty form', async (_name, value) => {
    const { token } = createSetup()
    expectError(await post(token, '', { body: { kind: 'parsed', value } }), 400, 'invalid_client')
  })

  test('T-09: parses text or bytes from a body parser', async () => {
    const { token, issue } = createSetup()
    const text = async () => `grant_type=refresh_token&client_id=pub&refresh_token=${await issue()}`
    expect((await post(token, '', { body: { kind: 'parsed', value: await text() } })).status).toBe(200)
    expect((await post(token, '', { body: { kind: 'parsed', value: Buffer.from(await text()) } })).status).toBe(200)
    const long = `${await text()}&x=${'x'.repeat(70_000)}`
    for (const value of [long, Buffer.from(long)])
      expectError(await post(token, '', { body: { kind: 'parsed', value } }), 413, 'invalid_request')
  })

  test('T-10: checks the request in a fixed order', async () => {
    const { token, issue, tokens } = createSetup()
    const ended = await issue({ clientId: 'cb' })
    await tokens.revoke({ refreshToken: ended })
    const wrong = { client_id: 'cb', client_secret: 'wrong', grant_type: 'refresh_token', refresh_token: ended }
    expectError(await post(token, wrong, { method: 'GET' }), 405, 'invalid_request')
    expectError(await post(token, wrong, { headers: { 'content-type': 'text/plain' } }), 400, 'invalid_request')
    expectError(await post(token, wrong), 400, 'invalid_client')
    expectError(await post(token, { ...wrong, grant_type: 'nonsense' }), 400, 'invalid_client')
    expectError(await post(token, [...Object.entries(wrong), ['scope', 'a'], ['scope', 'a']]), 400, 'invalid_request')
    const right = { ...wrong, client_secret: CB_SECRET }
    expectError(await post(token, { ...right, grant_type: 'nonsense' }), 400, 'unsupported_grant_type')
    expectError(await post(token, { ...right, scope: 'z' }), 400, 'invalid_grant')
    expectError(await post(token, right), 400, 'invalid_grant')
  })
})

describe('token responses', () => {
  test('S-01 S-02 S-05 S-07: responds with a complete JSON object that must not be stored', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    for (let repeat = 0; repeat < 2; repeat++) {
      const response = await refreshWith(token, rt0)
      expect(response.status).toBe(200)
      expect(response.header('content-type')).toBe('application/json')
      expect(response.header('cache-control')).toBe('no-store')
      expect(response.header('pragma')).toBe('no-cache')
      expect(Object.keys(response.body)).toEqual(['access_token', 'token_type', 'expires_in', 'refresh_token', 'scope'])
      expect(response.body).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'a b' })
    }
  })

  test('S-03: returns the expires_in of the JWT', async () => {
    const keys = [generateSigningKey()]
    const accessTokens = jwtAccessTokens({ issuer: 'https://as.example', audience: 'https://api.example', keys })
    const { token, issue } = createSetup({ accessTokens })
    const { body } = await refreshWith(token, await issue())
    const payload = JSON.parse(Buffer.from(body.access_token.split('.')[1], 'base64url').toString())
    expect(body.expires_in).toBe(payload.exp - payload.iat)
    expect(Number.isInteger(body.expires_in)).toBe(true)
    expect(payload.iat).toBe(START / 1000)
  })

  test('S-04: returns a bearer token with token_type Bearer', async () => {
    const { token, issue } = createSetup()
    expect((await refreshWith(token, await issue())).body.token_type).toBe('Bearer')
  })

  test('S-05 S-07: returns the narrowed scope, and omits an empty one', async () => {
    const { token, issue } = createSetup()
    expect((await refreshWith(token, await issue(), { scope: 'b' })).body.scope).toBe('b')
    expect((await refreshWith(token, await issue({ scope: '' }))).body).not.toHaveProperty('scope')
  })

  test('S-06: returns tokens of valid characters', async () => {
    const { token, issue } = createSetup()
    let refreshToken = await issue()
    for (let round = 0; round < 200; round++) {
      const { body } = await refreshWith(token, refreshToken)
      expect(body.refresh_token).toMatch(VSCHAR)
      expect(body.refresh_token).toMatch(TOKEN_68)
      expect(body.access_token).toMatch(TOKEN_68)
      refreshToken = body.refresh_token
    }
  })

  test('S-06: rejects an invalid access token from a function and does not consume the refresh token', async () => {
    for (const bad of [
      { accessToken: 'two words', expiresIn: 60 },
      { accessToken: '', expiresIn: 60 },
      { accessToken: 'x', expiresIn: 0 },
      { accessToken: 'x', expiresIn: 1.5 },
      { accessToken: 'x', expiresIn: '60' as unknown as number },
    ]) {
      const { token, issue, tokens } = createSetup({ accessTokens: async () => bad })
      const rt0 = await issue()
      expectError(await refreshWith(token, rt0), 503, 'temporarily_unavailable')
      expect((await tokens.find((await tokens.list({ subject: 'alice' })).items[0]!.id))?.generation).toBe(0)
    }
  })

  test('S-08: returns no refresh token to a client without the refresh grant', async () => {
    const { token, issue } = createSetup()
    const response = await refreshWith(token, await issue({ clientId: 'codes-only' }), { client_id: 'codes-only' })
    expect(response.raw.body).not.toContain('brt_')
  })

  test('X-06: returns no access token that outlives its family', async () => {
    const core = { policy: { idleSeconds: 3600, absoluteSeconds: 7200 } }
    for (const accessTokens of [readableAccessTokens(), async () => ({ accessToken: 'x', expiresIn: 900 })]) {
      const { token, issue, advance } = createSetup({ core, accessTokens })
      let refreshToken = await issue()
      for (const pause of [50 * MINUTE, 50 * MINUTE]) {
        advance(pause)
        refreshToken = (await refreshWith(token, refreshToken)).body.refresh_token
      }
      advance(19 * MINUTE)
      const last = await refreshWith(token, refreshToken)
      expect(last.body.expires_in).toBe(60)
      advance(59 * SECOND + 500)
      expect((await refreshWith(token, last.body.refresh_token)).body.expires_in).toBe(1)
      advance(500)
      expectError(await refreshWith(token, last.body.refresh_token), 400, 'invalid_grant')
    }
  })

  test('X-06: returns the remaining lifetime for a retry shortly before the idle expiry', async () => {
    const core = { policy: { idleSeconds: 3600, absoluteSeconds: 7200 } }
    const idempotencyKey = { 'idempotency-key': 'an-attempt-of-128-random-bits' }
    for (const accessTokens of [readableAccessTokens(), async () => ({ accessToken: 'x', expiresIn: 900 })]) {
      const { token, issue, advance } = createSetup({ core, accessTokens })
      const refreshToken = await issue()
      const first = await refreshWith(token, refreshToken, {}, { headers: idempotencyKey })
      expect(first.body.expires_in).toBe(900)
      advance(59 * MINUTE)
      const retry = await refreshWith(token, refreshToken, {}, { headers: idempotencyKey })
      expect([retry.body.refresh_token, retry.body.expires_in]).toEqual([first.body.refresh_token, 60])
    }
  })
})

describe('error responses', () => {
  test('E-02: returns only printable descriptions and injects no header for any input', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    for (const evil of ['"', '\\', 'a\r\nSet-Cookie: x=y', 'é', 'x'.repeat(10_000), '<script>']) {
      for (const name of ['grant_type', 'refresh_token', 'client_id', 'client_secret', 'scope', 'resource']) {
        const response = await refreshWith(token, rt0, { [name]: evil })
        expectError(response, 400, response.body.error)
        expect(response.body.error).toMatch(/^[a-z_]+$/)
        expect(response.raw.body).not.toContain('<')
        for (const [key, value] of response.raw.headers) expect(`${key}: ${value}`).toMatch(/^[\x20-\x7e]+$/)
      }
    }
    expect((await refreshWith(token, rt0)).status).toBe(200)
  })

  test('E-04: responds with 503 during an outage of the store and consumes no token', async () => {
    const { token, issue, state, errors } = createSetup()
    const rt0 = await issue()
    state.isDown = true
    const response = await refreshWith(token, rt0)
    expectError(response, 503, 'temporarily_unavailable')
    expect(Number(response.header('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(errors).toHaveLength(1)
    state.isDown = false
    expect((await refreshWith(token, rt0)).status).toBe(200)
  })

  test('E-04: responds with 503 during an outage of the client registry', async () => {
    const { tokens, issue, errors } = createSetup()
    const rt0 = await issue()
    const clients = { find: () => Promise.reject(new Error('database is gone')) }
    const onError = (error: unknown) => errors.push(error)
    const token = tokenEndpoint(tokens, { accessTokens: readableAccessTokens(), clients, rateLimit: false, onError })
    expectError(await refreshWith(token, rt0), 503, 'temporarily_unavailable')
    expectError(await refreshWith(token, rt0, { client_secret: 'x' }), 503, 'temporarily_unavailable')
    expect(errors).toHaveLength(2)
  })

  test('E-04: does not consume the token if an access-token function fails', async () => {
    let isDown = true
    const { token, issue, families } = createSetup({
      accessTokens: async () => {
        if (isDown) throw new Error('the key service is out')
        return { accessToken: 'x', expiresIn: 60 }
      },
    })
    const rt0 = await issue()
    expectError(await refreshWith(token, rt0), 503, 'temporarily_unavailable')
    expect((await families())[0]?.generation).toBe(0)
    isDown = false
    expect((await refreshWith(token, rt0)).body).toMatchObject({ access_token: 'x', expires_in: 60 })
  })

  test('E-04: responds to an unexpected error with 500 as JSON and reports it, and a retry succeeds', async () => {
    const accessTokens = readableAccessTokens()
    const { token, issue, errors } = createSetup({
      accessTokens: { ...accessTokens, mint: () => Promise.reject(new Error('no such curve')) },
    })
    const rt0 = await issue()
    expectError(await refreshWith(token, rt0), 500, 'server_error')
    expect(errors).toEqual([new Error('no such curve')])
    expectError(await refreshWith(token, rt0), 500, 'server_error')
  })

  test('E-04: sends the same response if onError throws', async () => {
    const { token, issue, state } = createSetup({
      onError: () => {
        throw new Error('the logger is out')
      },
    })
    const rt0 = await issue()
    state.isDown = true
    expectError(await refreshWith(token, rt0), 503, 'temporarily_unavailable')
  })

  test('E-05 R-02: responds byte for byte identically to all invalid tokens', async () => {
    const inactive = { active: true }
    const { token, issue, tokens, advance } = createSetup({
      core: { beforeRotate: async () => ({ active: inactive.active }) },
    })
    const responses: Record<string, unknown> = {}
    const take = async (name: string, refreshToken: string, more: Record<string, string> = {}) => {
      const response = await refreshWith(token, refreshToken, more)
      expectError(response, 400, 'invalid_grant')
      responses[name] = response.raw
    }

    const foreign = await issue({ clientId: 'pub2' })
    await take('foreign', foreign)
    const revoked = await issue()
    await tokens.revoke({ refreshToken: revoked })
    await take('revoked', revoked)
    const reused = await issue()
    const next = (await refreshWith(token, reused)).body.refresh_token
    await refreshWith(token, next)
    await take('reused', reused)
    await take('of an ended family', next)
    const elsewhere = createSetup({ core: { random: undefined } })
    await take('unknown', await elsewhere.issue())
    const otherKeys = createSetup({ core: { secrets: ['another secret of the http tests, 48 bytes long.'] } })
    await take('unknown key', await otherKeys.issue())
    await take('malformed', 'nonsense')
    await take('very long', 'x'.repeat(10_000))
    await take('no VSCHAR', 'é\t\u{1f600}')
    const flipped = await issue()
    await take('flipped', `${flipped.slice(0, -3)}${flipped.at(-3) === 'A' ? 'B' : 'A'}${flipped.slice(-2)}`)
    inactive.active = false
    await take('inactive', await issue())
    inactive.active = true
    const expired = await issue()
    advance(31 * DAY)
    await take('expired', expired)

    expect(new Set(Object.values(responses).map((response) => JSON.stringify(response))).size).toBe(1)
  })

  test('E-06: includes no token or secret in events, errors or responses', async () => {
    const { token, revoke, issue, events, errors, state } = createSetup()
    const rt0 = await issue({ clientId: 'cb' })
    const credentials = { client_id: 'cb', client_secret: CB_SECRET, grant_type: 'refresh_token' }
    const seen: unknown[] = []
    const rt1 = (await post(token, { ...credentials, refresh_token: rt0 })).body.refresh_token
    await post(token, { ...credentials, refresh_token: rt1 })
    seen.push((await post(token, { ...credentials, refresh_token: rt0 })).raw)
    seen.push((await post(token, { ...credentials, client_secret: 'wrong', refresh_token: rt0 })).raw)
    state.isDown = true
    seen.push((await post(token, { ...credentials, refresh_token: rt0 })).raw)
    seen.push((await post(revoke, { ...credentials, token: rt0 })).raw)
    const text = JSON.stringify([seen, events, errors.map((error) => String(error))])
    for (const secret of [rt0, rt1, CB_SECRET, 'hunter2', 'wrong"', 'at ']) expect(text).not.toContain(secret)
    expect(events.length).toBeGreaterThan(3)
  })
})

describe('refresh grant', () => {
  test('R-01: requires refresh_token', async () => {
    const { token } = createSetup()
    const response = await post(token, { grant_type: 'refresh_token', client_id: 'pub' })
    expectError(response, 400, 'invalid_request')
  })

  test('R-03: rejects the token of another client', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue({ clientId: 'cb' })
    const parameters = { grant_type: 'refresh_token', refresh_token: rt0 }
    const asCx = await post(token, parameters, { headers: { authorization: basic('cx', CX_SECRET) } })
    expectError(asCx, 400, 'invalid_grant')
    expectError(await refreshWith(token, rt0), 400, 'invalid_grant')
    const asCb = await post(token, parameters, { headers: { authorization: basic('cb', CB_SECRET) } })
    expect(asCb.status).toBe(200)
  })

  test('R-04: requires the client_id of a public client', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    expectError(await refreshWith(token, rt0, { client_id: 'pub2' }), 400, 'invalid_grant')
    expectError(await refreshWith(token, rt0, { client_id: '' }), 400, 'invalid_client')
    expect((await refreshWith(token, rt0)).status).toBe(200)
  })

  test('R-05 R-06: returns the whole scope by default, and narrows the scope for one response only', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue()
    const narrow = await refreshWith(token, rt0, { scope: 'a' })
    expect(narrow.body.scope).toBe('a')
    expect(claimsOf(narrow.body.access_token)['scope']).toBe('a')
    const full = await refreshWith(token, narrow.body.refresh_token)
    expect(full.body.scope).toBe('a b')
    expect((await refreshWith(token, full.body.refresh_token, { scope: '' })).body.scope).toBe('a b')
  })

  test.each(['a c', 'c', 'A', 'a  b', ' a', 'a ', '"a"', 'é', 'a\tb', 'a\\b'])(
    'R-07 R-08: rejects scope %j and does not consume the token',
    async (scope) => {
      const { token, issue } = createSetup()
      const rt0 = await issue()
      expectError(await refreshWith(token, rt0, { scope }), 400, 'invalid_scope')
      expect((await refreshWith(token, rt0)).status).toBe(200)
    },
  )

  test('R-08: ignores the order of scopes', async () => {
    const { token, issue } = createSetup()
    expect((await refreshWith(token, await issue(), { scope: 'b a' })).status).toBe(200)
  })

  test('R-09: rejects an inactive subject and a deleted client', async () => {
    const account = { active: false }
    const { token, issue } = createSetup({ core: { beforeRotate: async () => account } })
    const rt0 = await issue()
    expectError(await refreshWith(token, rt0), 400, 'invalid_grant')
    account.active = true
    expect((await refreshWith(token, rt0)).status).toBe(200)
    const gone = await issue({ clientId: 'deleted' })
    expectError(await refreshWith(token, gone, { client_id: 'deleted' }), 400, 'invalid_client')
  })

  test('R-10: rejects a resource outside the grant and does not consume the token', async () => {
    const { token, issue } = createSetup()
    const rt0 = await issue({ audience: ['https://one'] })
    expectError(await refreshWith(token, rt0, { resource: 'https://two' }), 400, 'invalid_target')
    const body = `grant_type=refresh_token&client_id=pub&refresh_token=${rt0}&resource=https://one&resource=https://two`
    expectError(await post(token, body), 400, 'invalid_target')
    expect(claimsOf((await refreshWith(token, rt0)).body.access_token)['aud']).toEqual(['https://one'])
  })

  test('R-11: rejects an access token as a refresh token', async () => {
    const { token, issue } = createSetup()
    const { body } = await refreshWith(token, await issue())
    expectError(await refreshWith(token, body.access_token), 400, 'invalid_grant')
  })

  test('R-12: keeps earlier access tokens valid after a refresh', async () => {
    const { token, issue, state } = createSetup()
    const first = await refreshWith(token, await issue())
    state.calls.length = 0
    await refreshWith(token, first.body.refresh_token)
    expect(state.calls).toEqual(['rotate'])
  })

  test('rejects tokens from before validAfter of the client', async () => {
    const clients = [{ clientId: 'pub', validAfter: START + 10 * SECOND }]
    const { token, issue, advance } = createSetup({ clients })
    const before = await issue()
    advance(11 * SECOND)
    expectError(await refreshWith(token, before), 400, 'invalid_grant')
    expect((await refreshWith(token, await issue())).status).toBe(200)
  })
})

describe('rotation over HTTP', () => {
  test('F-01 F-02 F-03: rotates the token, and revokes the family at reuse', async () => {
    const { token, issue, events } = createSetup()
    const rt0 = await issue()
    const rt1 = (await refreshWith(token, rt0)).body.refresh_token
    expect(rt1).not.toBe(rt0)
    const rt2 = (await refreshWith(token, rt1)).body.refresh_token
    expectError(await refreshWith(token, rt0), 400, 'invalid_grant')
    expectError(await refreshWith(token, rt2), 400, 'invalid_grant')
    expect(events.map(({ type }) => type)).toContain('reuse')
  })

  test('F-08: returns the same refresh token to a retry after a lost response', async () => {
    const { token, issue, advance } = createSetup()
    const rt0 = await issue()
    const headers = { 'idempotency-key': IDEMPOTENCY_KEY }
    const rt1 = (await refreshWith(token, rt0, {}, { headers })).body.refresh_token
    expect((await refreshWith(token, rt0)).body.refresh_token).toBe(rt1)
    advance(2 * HOUR)
    expect((await refreshWith(token, rt0, {}, { headers })).body.refresh_token).toBe(rt1)
  })

  test('F-08: ignores two Idempotency-Key headers', async () => {
    const { token, issue, advance } = createSetup()
    const rt0 = await issue()
    const headers = { 'idempotency-key': [IDEMPOTENCY_KEY, IDEMPOTENCY_KEY] }
    await refreshWith(token, rt0, {}, { headers })
    advance(MINUTE)
    expectError(await refreshWith(token, rt0, {}, { headers }), 400, 'invalid_grant')
  })

  test('F-12: does not rotate the token of a rejected request', async () => {
    const { token, issue, state, families } = createSetup()
    const rt0 = await issue()
    const rejections = [
      await refreshWith(token, rt0, { scope: 'z' }),
      await refreshWith(token, rt0, { client_id: 'pub2' }),
      await refreshWith(token, rt0, { client_secret: 'x' }),
      await refreshWith(token, rt0, { resource: 'https://x' }),
      await refreshWith(token, rt0, { grant_type: 'x' }),
    ]
    for (const response of rejections) expect(response.status).toBe(400)
    state.isDown = true
    expect((await refreshWith(token, rt0)).status).toBe(503)
    state.isDown = false
    expect((await families())[0]).toMatchObject({ generation: 0 })
  })

  test('F-15: keeps the token of a confidential client with rotation "never" and rotates that of a public client', async () => {
    const clients = [
      { clientId: 'cb', secret: CB_SECRET, rotation: 'never' },
      { clientId: 'pub', rotation: 'never' },
    ] as const
    const { token, issue } = createSetup({ clients })
    const rt0 = await issue({ clientId: 'cb' })
    const credentials = { client_id: 'cb', client_secret: CB_SECRET }
    expect((await refreshWith(token, rt0, credentials)).body.refresh_token).toBe(rt0)
    expect((await refreshWith(token, rt0, credentials)).status).toBe(200)
    const public0 = await issue()
    expect((await refreshWith(token, public0)).body.refresh_token).not.toBe(public0)
  })

  test('refreshes with one store call', async () => {
    const { token, issue, state } = createSetup()
    const rt0 = await issue()
    state.calls.length = 0
    await refreshWith(token, rt0)
    expect(state.calls).toEqual(['rotate'])
  })
})
