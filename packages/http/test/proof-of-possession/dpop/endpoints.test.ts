import { describe, expect, test } from 'vitest'
import {
  type DpopOptions,
  jwtAccessTokens,
  loginEndpoint,
  type LoginOptions,
  refreshEndpoint,
  tokenEndpoint,
  type StaticClient,
} from '../../../src/index.js'
import { ISSUER, SIGNING_KEY } from '../../app.js'
import {
  type TestResponse,
  basic,
  CB_SECRET,
  CLIENTS,
  expectError,
  fromPage,
  post,
  refreshWith,
  SECOND,
  send,
  createSetup,
} from '../../setup.js'
import { createProver } from './prover.js'

const NONCE = { secrets: ['a secret of nonces in a test, over 32 bytes'], required: true }
const PUB_D: StaticClient = { clientId: 'pubD', dpopBoundAccessTokens: true }
const PUB_NEVER: StaticClient = { clientId: 'pubN', rotation: 'never' }

/** An authorization server with JWT access tokens, and a client with a key. */
async function server(dpop: DpopOptions = {}) {
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
  const clients = [...CLIENTS, PUB_D, PUB_NEVER]
  const app = createSetup({ accessTokens, clients })
  const { tokens, clock } = app
  const options = { accessTokens, dpop, rateLimit: false, now: () => clock.now } as const
  const token = tokenEndpoint(tokens, { ...options, clients })
  const page = refreshEndpoint(tokens, { ...options, cookie: true })
  const login = (authenticate: LoginOptions['authenticate']) =>
    loginEndpoint(tokens, { ...options, authenticate, cookie: true })
  const prover = await createProver(() => clock.now)
  const claims = async (response: TestResponse) => accessTokens.verify(response.body.access_token as string, clock.now)
  /** Refreshes as `clientId` with these values of the header DPoP. */
  const refresh = (rt: string, dpop: string | readonly string[] | undefined, clientId = 'pub') =>
    refreshWith(token, rt, { client_id: clientId }, { headers: { dpop } })
  return { ...app, ...prover, token, page, login, claims, refresh }
}

describe('key-bound sessions', () => {
  test('D-12 F-14: refreshes a bound session only with a proof of its key, and a failure consumes no token', async () => {
    const { issue, confirmation, prove, refresh, clock, events, state } = await server()
    const attacker = await createProver(() => clock.now)
    const rt0 = await issue({ confirmation })
    for (const proof of [undefined, await attacker.prove()])
      expectError(await refresh(rt0, proof), 400, 'invalid_grant')
    expect(events.filter(({ type }) => type === 'reuse' || type === 'revoked')).toEqual([])
    const first = await refresh(rt0, await prove())
    expect(first.status).toBe(200)
    state.calls.length = 0
    const second = await refresh(first.body.refresh_token, await prove())
    expect(second.status).toBe(200)
    // One call to check that the proof is new, one to rotate.
    expect(state.calls).toEqual(['claimOnce', 'rotate'])
    expectError(await refresh(second.body.refresh_token, await attacker.prove()), 400, 'invalid_grant')
    expectError(await refresh(rt0, await attacker.prove()), 400, 'invalid_grant')
    expect((await refresh(second.body.refresh_token, await prove())).status).toBe(200)
    expectError(await refresh(rt0, await prove()), 400, 'invalid_grant')
    expect(events.at(-1)?.type).toBe('reuse')
  })

  test('D-11 S-04: binds the access token to the key and returns token_type DPoP', async () => {
    const { issue, confirmation, jkt, prove, refresh, claims } = await server()
    const response = await refresh(await issue({ confirmation }), await prove())
    expect(response.body.token_type).toBe('DPoP')
    expect(await claims(response)).toMatchObject({ cnf: { jkt } })
  })

  test('F-10: returns the same successor to a retry with another proof of the same key', async () => {
    const { issue, confirmation, prove, refresh, clock } = await server()
    const rt0 = await issue({ confirmation })
    const first = await refresh(rt0, await prove())
    clock.now += 5 * SECOND
    expectError(await refresh(rt0, await (await createProver(() => clock.now)).prove()), 400, 'invalid_grant')
    expect((await refresh(rt0, await prove())).body.refresh_token).toBe(first.body.refresh_token)
  })

  test('F-15 D-12: keeps the token of a bound session with rotation "never"', async () => {
    const { issue, confirmation, prove, refresh } = await server()
    const bound = await issue({ confirmation, clientId: 'pubN' })
    expect((await refresh(bound, await prove(), 'pubN')).body.refresh_token).toBe(bound)
    const unbound = await issue({ clientId: 'pubN' })
    expect((await refresh(unbound, await prove(), 'pubN')).body.refresh_token).not.toBe(unbound)
  })

  test('D-12 M-05: rejects a certificate in place of the DPoP key', async () => {
    const { issue, jkt, prove, refresh } = await server()
    expectError(await refresh(await issue({ confirmation: { 'x5t#S256': jkt } }), await prove()), 400, 'invalid_grant')
  })
})

describe('unbound sessions', () => {
  test('D-13: binds the access token of an authenticated client to the key of each request', async () => {
    const { issue, token, prove, jkt, clock, claims } = await server()
    const other = await createProver(() => clock.now)
    let rt = await issue({ clientId: 'cb' })
    for (const [proof, key] of [
      [await prove(), jkt],
      [await other.prove(), other.jkt],
      [undefined, null],
    ] as const) {
      const headers = { authorization: basic('cb', CB_SECRET), dpop: proof }
      const response = await post(token, { grant_type: 'refresh_token', refresh_token: rt }, { headers })
      expect(response.body.token_type).toBe(key === null ? 'Bearer' : 'DPoP')
      expect((await claims(response))?.['cnf']).toEqual(key === null ? undefined : { jkt: key })
      rt = response.body.refresh_token as string
    }
  })

  test('D-17: returns a bearer token without a proof', async () => {
    const { issue, refresh, claims } = await server()
    const response = await refresh(await issue(), undefined)
    expect(response.body.token_type).toBe('Bearer')
    expect(await claims(response)).not.toHaveProperty('cnf')
  })
})

describe('invalid proofs', () => {
  test('D-10: rejects an invalid proof instead of returning a bearer token, and consumes no token', async () => {
    const { issue, prove, jwk, refresh, clock, errors } = await server()
    const rt0 = await issue()
    const bad: (string | readonly string[])[] = [
      '',
      'x',
      [await prove(), await prove()],
      await prove({ claims: { htm: 'GET' } }),
      await prove({ claims: { htu: 'https://evil.example/oauth/token' } }),
      await prove({ claims: { iat: clock.now / SECOND - 600 } }),
      await prove({ claims: { jti: undefined } }),
      await prove({ header: { typ: 'JWT' } }),
      await prove({ header: { jwk: { ...jwk, d: 'x' } } }),
    ]
    for (const proof of bad) {
      const response = await refresh(rt0, proof)
      expectError(response, 400, 'invalid_dpop_proof')
      expect(response.body).not.toHaveProperty('access_token')
    }
    expect(errors).toEqual([])
    const good = await prove()
    const response = await refresh(rt0, good)
    expect(response.body).toMatchObject({ token_type: 'DPoP' })
    // The fourth use of a proof is rejected like the second.
    for (let count = 0; count < 3; count += 1)
      expectError(await refresh(response.body.refresh_token, good), 400, 'invalid_dpop_proof')
    expect((await refresh(response.body.refresh_token, await prove())).status).toBe(200)
  })

  test('T-10 D-10: checks the proof after the client and the grant type, and before the token', async () => {
    const { token, prove, state } = await server()
    const headers = { dpop: 'bad' }
    const wrongClient = { grant_type: 'x', client_id: 'cb', client_secret: 'wrong', refresh_token: 'x' }
    expectError(await post(token, wrongClient, { headers }), 400, 'invalid_client')
    expectError(await post(token, { grant_type: 'x', client_id: 'pub' }, { headers }), 400, 'unsupported_grant_type')
    state.calls.length = 0
    expectError(await refreshWith(token, 'garbage', {}, { headers }), 400, 'invalid_dpop_proof')
    expect(state.calls).toEqual([])
    expectError(await refreshWith(token, 'garbage', {}, { headers: { dpop: await prove() } }), 400, 'invalid_grant')
  })

  test('D-09: responds with an error during an outage of the store, because a replay cannot be excluded', async () => {
    const { issue, prove, refresh, state } = await server()
    const rt0 = await issue()
    const proof = await prove()
    state.isDown = true
    expectError(await refresh(rt0, proof), 503, 'temporarily_unavailable')
    state.isDown = false
    expect((await refresh(rt0, proof)).status).toBe(200)
  })

  test('D-07: rejects a proof for another host whatever the Host header is, if publicUrl is set', async () => {
    const { tokens, issue, prove, clock } = await server()
    const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
    const options = { accessTokens, clients: CLIENTS, rateLimit: false, now: () => clock.now } as const
    const token = tokenEndpoint(tokens, { ...options, publicUrl: 'https://as.example' })
    const rt0 = await issue()
    const stolen = await prove({ claims: { htu: 'https://evil.example/oauth/token' } })
    const headers = { host: 'evil.example', dpop: stolen }
    expectError(await refreshWith(token, rt0, {}, { headers }), 400, 'invalid_dpop_proof')
    const rewritten = { host: 'internal:3000', dpop: await prove() }
    expect((await refreshWith(token, rt0, {}, { headers: rewritten })).status).toBe(200)
  })

  test('E-06: includes no proof, key or token in a response, event or error', async () => {
    const { issue, confirmation, prove, refresh, events, errors, jwk } = await server()
    const rt0 = await issue({ confirmation })
    const proof = await prove({ claims: { jti: 'a-jti-to-look-for' } })
    const responses = [await refresh(rt0, proof), await refresh(rt0, proof), await refresh(rt0, `${proof}x`)]
    const [, ...rejections] = responses.map(({ raw }) => raw)
    const said = JSON.stringify([rejections, events, errors])
    for (const secret of [rt0, proof, 'a-jti-to-look-for', jwk.x]) expect(said).not.toContain(secret)
  })
})

describe('clients with DPoP-bound tokens', () => {
  test('D-14: issues no token to such a client without a proof', async () => {
    const { issue, refresh, prove, confirmation } = await server()
    for (const rt of [await issue({ clientId: 'pubD', confirmation }), await issue({ clientId: 'pubD' })]) {
      expectError(await refresh(rt, undefined, 'pubD'), 400, 'invalid_dpop_proof')
      expect((await refresh(rt, await prove(), 'pubD')).body.token_type).toBe('DPoP')
    }
  })
})

describe('nonces', () => {
  test('D-16 D-18: requires a nonce in the error, and sends a new one with responses', async () => {
    const { issue, confirmation, prove, refresh, clock, families } = await server({ nonce: NONCE })
    const rt0 = await issue({ confirmation })
    const challenged = await refresh(rt0, await prove())
    expectError(challenged, 400, 'use_dpop_nonce')
    expect(challenged.all('dpop-nonce')).toHaveLength(1)
    const nonce = challenged.header('dpop-nonce')
    const response = await refresh(rt0, await prove({ claims: { nonce } }))
    expect(response.status).toBe(200)
    expect(response.all('dpop-nonce')).toEqual([nonce])
    expect(response.header('cache-control')).toBe('no-store')
    clock.now += 601 * SECOND
    const stale = await refresh(response.body.refresh_token, await prove({ claims: { nonce } }))
    expectError(stale, 400, 'use_dpop_nonce')
    expect(stale.header('dpop-nonce')).not.toBe(nonce)
    expect((await families())[0]?.generation).toBe(1)
  })

  test('D-16: responds to a missing nonce identically for any token', async () => {
    const { issue, confirmation, prove, refresh, tokens } = await server({ nonce: NONCE })
    const live = await issue({ confirmation })
    const ended = await issue({ confirmation })
    await tokens.revoke({ refreshToken: ended })
    const responses = []
    for (const rt of [live, ended, 'garbage']) responses.push((await refresh(rt, await prove())).raw)
    expect(responses[1]).toEqual(responses[0])
    expect(responses[2]).toEqual(responses[0])
  })
})

describe('login and cookie with DPoP', () => {
  const credentials = { body: '{}', headers: { 'content-type': 'application/json' } }
  const at = (url: string) => ({ claims: { htu: `https://as.example${url}` } })

  test('D-12: binds the new session to the key of a proof at login', async () => {
    const { login, prove, jkt, claims, refresh } = await server()
    const signIn = login(async () => ({ subject: 'alice', clientId: 'pub', deliver: 'body' }))
    const headers = { ...credentials.headers, dpop: await prove(at('/login')) }
    const response = await send(signIn, { ...credentials, url: '/login', headers })
    expect(response.body.token_type).toBe('DPoP')
    expect(await claims(response)).toMatchObject({ cnf: { jkt } })
    expectError(await refresh(response.body.refresh_token, undefined), 400, 'invalid_grant')
    expect((await refresh(response.body.refresh_token, await prove())).status).toBe(200)
  })

  test('D-10: rejects a login with an invalid proof', async () => {
    const { login, families } = await server()
    let challenged = 0
    const signIn = login(async () => {
      challenged += 1
      return { subject: 'alice' }
    })
    const headers = { ...credentials.headers, dpop: 'bad' }
    expectError(await send(signIn, { ...credentials, url: '/login', headers }), 400, 'invalid_dpop_proof')
    expect([challenged, await families()]).toEqual([0, []])
  })

  test('D-12 D-10: refreshes a bound session in the cookie with a proof, and keeps the cookie if the request is rejected', async () => {
    const { page, issue, prove, confirmation, claims, jkt } = await server()
    const rt0 = await issue({ clientId: 'first-party', confirmation })
    expectError(await send(page, fromPage(rt0)), 401, 'invalid_grant')
    expectError(await send(page, fromPage(rt0, { headers: { dpop: 'bad' } })), 400, 'invalid_dpop_proof')
    const response = await send(page, fromPage(rt0, { headers: { dpop: await prove(at('/auth/refresh')) } }))
    expect(response.body.token_type).toBe('DPoP')
    expect(await claims(response)).toMatchObject({ cnf: { jkt } })
  })
})
