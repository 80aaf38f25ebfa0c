import { describe, expect, it } from 'vitest'
import { authorizationCodes, type CodeRequest } from '../../src/index.js'
import { createProver } from '../proof-of-possession/dpop/prover.js'
import {
  AS,
  basic,
  CB_SECRET,
  claimsOf,
  CODE_SECRET,
  CX_SECRET,
  expectError,
  IDEMPOTENCY_KEY,
  post,
  refreshWith,
  type RequestPatch,
  SECOND,
  START,
  createSetup,
  type WorldOptions,
} from '../setup.js'

/** RFC 7636 appendix B. */
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
const REDIRECT_URI = 'https://app.example/callback'
const REQUEST: CodeRequest = {
  subject: 'alice',
  clientId: 'pub',
  redirectUri: REDIRECT_URI,
  codeChallenge: CHALLENGE,
  scope: 'a b',
}

function startServer(options: WorldOptions = {}) {
  const setup = createSetup(options)
  const code = (request: Partial<CodeRequest> = {}) => setup.codes.issue({ ...REQUEST, ...request })
  const exchange = (text: string, more: Record<string, string | undefined> = {}, patch: RequestPatch = {}) => {
    const parameters: Record<string, string | undefined> = {
      grant_type: 'authorization_code',
      client_id: 'pub',
      code: text,
      code_verifier: VERIFIER,
      redirect_uri: REDIRECT_URI,
      ...more,
    }
    const present = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined)
    return post(setup.token, present, patch)
  }
  const asClient = (clientId: string, secret: string) =>
    [{ client_id: undefined }, { headers: { authorization: basic(clientId, secret) } }] as const
  return { ...setup, code, exchange, asClient }
}

describe('exchange of authorization codes', () => {
  it('S-01, S-02, S-05, G-08: returns tokens for a code with the code verifier of RFC 7636 appendix B', async () => {
    const setup = startServer()
    const code = setup.code({ metadata: { userAgent: 'Firefox' } })
    expect(code).toMatch(/^bac_[A-Za-z0-9_-]+$/)
    const response = await setup.exchange(code)
    expect(response.status).toBe(200)
    expect(response.header('cache-control')).toBe('no-store')
    expect(response.body).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'a b' })
    expect(claimsOf(response.body.access_token)).toMatchObject({ sub: 'alice', scope: 'a b' })
    expect((await setup.families())[0]).toMatchObject({ clientId: 'pub', metadata: { userAgent: 'Firefox' } })
    expect((await refreshWith(setup.token, response.body.refresh_token)).status).toBe(200)
  })

  it('C-01, C-02, G-04: redeems the code of a confidential client only with its secret', async () => {
    const setup = startServer()
    const code = setup.code({ clientId: 'cb' })
    expectError(await setup.exchange(code, { client_id: 'cb' }), 400, 'invalid_client')
    expectError(await setup.exchange(code, { client_id: undefined }), 400, 'invalid_client')
    const response = await setup.exchange(code, ...setup.asClient('cb', CB_SECRET))
    expect(response.status).toBe(200)
  })

  it('G-01, G-02: revokes the tokens of the first exchange if a code is redeemed twice', async () => {
    const setup = startServer()
    const code = setup.code()
    const first = await setup.exchange(code)
    const next = await refreshWith(setup.token, first.body.refresh_token)
    expectError(await setup.exchange(code), 400, 'invalid_grant')
    for (const { body } of [first, next])
      expectError(await refreshWith(setup.token, body.refresh_token), 400, 'invalid_grant')
    expect(setup.events.filter(({ type }) => type === 'reuse')).toHaveLength(1)
    expectError(await setup.exchange(code), 400, 'invalid_grant')
    expect(setup.events.filter(({ type }) => type === 'reuse')).toHaveLength(1)
  })

  it('G-03, G-04: an invalid exchange neither consumes the code before a valid one nor revokes the session after it', async () => {
    const setup = startServer()
    const code = setup.code({ clientId: 'cb' })
    const [, mine] = setup.asClient('cb', CB_SECRET)
    const wrong = [
      () => setup.exchange(code),
      () => setup.exchange(code, ...setup.asClient('cx', CX_SECRET)),
      () => setup.exchange(code, { client_id: undefined, code_verifier: `${VERIFIER}x` }, mine),
      () => setup.exchange(code, { client_id: undefined, redirect_uri: 'https://evil.example/' }, mine),
    ]
    setup.state.calls.length = 0
    for (const attempt of wrong) expectError(await attempt(), 400, 'invalid_grant')
    expect(setup.state.calls).toEqual([])
    const response = await setup.exchange(code, ...setup.asClient('cb', CB_SECRET))
    for (const attempt of wrong) expectError(await attempt(), 400, 'invalid_grant')
    const refresh = { grant_type: 'refresh_token', refresh_token: response.body.refresh_token }
    expect((await post(setup.token, refresh, mine)).status).toBe(200)
  })

  it('G-05: requires exactly the redirect URI of the authorization request if it had one', async () => {
    const setup = startServer()
    const code = setup.code()
    for (const redirect_uri of [
      undefined,
      '',
      `${REDIRECT_URI}/`,
      `${REDIRECT_URI}?`,
      'https://APP.example/callback',
      'https://app.example:443/callback',
      'https://app.example/%63allback',
    ])
      expectError(await setup.exchange(code, { redirect_uri }), 400, 'invalid_grant')
    expect((await setup.exchange(code)).status).toBe(200)

    const without = setup.code({ redirectUri: null })
    expectError(await setup.exchange(without), 400, 'invalid_grant')
    expect((await setup.exchange(without, { redirect_uri: undefined })).status).toBe(200)
  })

  it.each<[string, readonly string[] | undefined, string | null, number]>([
    ['any URI if the client has registered none', undefined, REDIRECT_URI, 200],
    ['a registered URI', ['https://app.example/other', REDIRECT_URI], REDIRECT_URI, 200],
    ['another port of a loopback address', ['http://127.0.0.1/callback'], 'http://127.0.0.1:49152/callback', 200],
    ['no URI if one is registered', [REDIRECT_URI], null, 200],
    ['no URI if several are registered', ['https://app.example/other', REDIRECT_URI], null, 400],
    ['a URI that is not registered', ['https://app.example/other'], REDIRECT_URI, 400],
    ['another port of another host', ['https://app.example:8443/callback'], REDIRECT_URI, 400],
    ['another path of a loopback address', ['http://127.0.0.1/callback'], 'http://127.0.0.1:49152/other', 400],
    ['a host that begins like a loopback address', ['http://127.0.0.1/'], 'http://127.0.0.1:1.evil.example/', 400],
  ])('G-05: redeems or rejects a code with %s', async (_name, redirectUris, redirectUri, status) => {
    const client = { clientId: 'pub' }
    const setup = startServer({ clients: [redirectUris === undefined ? client : { ...client, redirectUris }] })
    const response = await setup.exchange(setup.code({ redirectUri }), { redirect_uri: redirectUri ?? undefined })
    expect(response.status).toBe(status)
  })

  it('G-06: limits the lifetime of a code to one minute by default and ten at most', async () => {
    const setup = startServer()
    const [early, late] = [setup.code(), setup.code()]
    setup.advance(60 * SECOND - 1)
    expect((await setup.exchange(early)).status).toBe(200)
    setup.advance(1)
    expectError(await setup.exchange(late), 400, 'invalid_grant')
    expect(() =>
      authorizationCodes(setup.tokens, { issuer: AS, secrets: [CODE_SECRET], lifetimeSeconds: 601 }),
    ).toThrow(/^option "lifetimeSeconds" must be a whole number of seconds from 1 to 600, got 601/)
  })

  it('G-07: accepts one of 50 concurrent exchanges and revokes its family', async () => {
    const setup = startServer()
    const code = setup.code()
    const responses = await Promise.all(Array.from({ length: 50 }, () => setup.exchange(code)))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1)
    for (const response of responses) if (response.status !== 200) expectError(response, 400, 'invalid_grant')
    expect(await setup.families()).toEqual([])
  })

  it('G-08, G-12: rejects another verifier, the challenge itself and another method', async () => {
    const setup = startServer()
    const code = setup.code()
    for (const code_verifier of [VERIFIER.replace('d', 'e'), CHALLENGE, VERIFIER.toLowerCase()]) {
      expectError(await setup.exchange(code, { code_verifier }), 400, 'invalid_grant')
      expectError(await setup.exchange(code, { code_verifier, code_challenge_method: 'plain' }), 400, 'invalid_grant')
    }
    expect((await setup.exchange(code, { code_challenge_method: 'plain' })).status).toBe(200)
  })

  it('G-09, T-05: requires a non-empty code verifier', async () => {
    const setup = startServer()
    const code = setup.code()
    expectError(await setup.exchange(code, { code_verifier: undefined }), 400, 'invalid_request')
    expectError(await setup.exchange(code, { code_verifier: '' }), 400, 'invalid_request')
    expect((await setup.exchange(code)).status).toBe(200)
  })

  it('G-10, G-13: issues no code without an S256 challenge for any client', () => {
    const setup = startServer()
    for (const codeChallenge of [undefined, null, '', 'short', `${CHALLENGE}=`, `${CHALLENGE}A`, VERIFIER.slice(1)])
      expect(() => setup.code({ codeChallenge: codeChallenge as string })).toThrow(/^option "codeChallenge" /)
  })

  it('G-11: requires a verifier of 43 to 128 unreserved characters, even if its hash matches', async () => {
    const setup = startServer()
    const { createHash } = await import('node:crypto')
    const fitting = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')
    const outcomes = async (verifier: string) => {
      const response = await setup.exchange(setup.code({ codeChallenge: fitting(verifier) }), {
        code_verifier: verifier,
      })
      return response.status
    }
    const base = 'a'.repeat(42)
    for (const bad of [base, 'a'.repeat(129), `${base}+`, `${base}=`, `${base}é`, `${base} `, `${base}/`])
      expect(await outcomes(bad)).toBe(400)
    for (const good of [`${base}a`, 'a'.repeat(128), `${base}.~_-`]) expect(await outcomes(good)).toBe(200)
  })

  it('T-04, T-08: rejects missing and repeated parameters and unregistered clients', async () => {
    const setup = startServer()
    const code = setup.code()
    expectError(await setup.exchange(code, { code: undefined }), 400, 'invalid_request')
    const twice = `grant_type=authorization_code&client_id=pub&code=${code}&code=${code}&code_verifier=${VERIFIER}`
    expectError(await post(setup.token, twice), 400, 'invalid_request')
    const other = setup.code({ clientId: 'refresh-only' })
    expectError(await setup.exchange(other, { client_id: 'refresh-only' }), 400, 'unauthorized_client')
    expect((await setup.exchange(code)).status).toBe(200)
  })

  it('S-08: returns only an access token to a client without the refresh grant, and the session ends with it', async () => {
    const setup = startServer()
    const response = await setup.exchange(setup.code({ clientId: 'codes-only' }), { client_id: 'codes-only' })
    expect(response.status).toBe(200)
    expect(response.body).not.toHaveProperty('refresh_token')
    expect(response.body.expires_in).toBe(900)
    expect((await setup.families())[0]).toMatchObject({ expiresAt: START + 900 * SECOND })
    setup.advance(900 * SECOND)
    expect(await setup.families()).toEqual([])
  })

  it('S-08: redeems the code of a client without the refresh grant only once', async () => {
    const setup = startServer()
    const code = setup.code({ clientId: 'codes-only' })
    await setup.exchange(code, { client_id: 'codes-only' })
    expectError(await setup.exchange(code, { client_id: 'codes-only' }), 400, 'invalid_grant')
    expect(await setup.families()).toEqual([])
  })

  it('R-11: rejects a code as a refresh token and a refresh token as a code', async () => {
    const setup = startServer()
    const code = setup.code()
    expectError(await refreshWith(setup.token, code), 400, 'invalid_grant')
    expectError(await setup.exchange(await setup.issue()), 400, 'invalid_grant')
    expect((await setup.exchange(code)).status).toBe(200)
  })

  it('A-05, R-10: narrows the first access token to the requested resources within the grant', async () => {
    const setup = startServer()
    const code = setup.code({ audience: ['https://one.example', 'https://two.example'] })
    expectError(await setup.exchange(code, { resource: 'https://three.example' }), 400, 'invalid_target')
    const response = await setup.exchange(code, { resource: 'https://two.example' })
    expect(claimsOf(response.body.access_token)).toMatchObject({ aud: ['https://two.example'] })
    const next = await refreshWith(setup.token, response.body.refresh_token)
    expect(claimsOf(next.body.access_token)).toMatchObject({ aud: ['https://one.example', 'https://two.example'] })
  })

  it('starts an offline session for offline_access', async () => {
    const setup = startServer()
    await setup.exchange(setup.code({ scope: 'a offline_access' }))
    expect((await setup.families())[0]).toMatchObject({ offline: true, scope: 'a offline_access' })
  })

  it('rejects codes from before validAfter of the client', async () => {
    const setup = startServer({ clients: [{ clientId: 'pub', validAfter: START + 1 }] })
    expectError(await setup.exchange(setup.code()), 400, 'invalid_grant')
    setup.advance(SECOND)
    expect((await setup.exchange(setup.code())).status).toBe(200)
  })

  it('returns the identical refresh token for the same Idempotency-Key until the token is used', async () => {
    const setup = startServer()
    const code = setup.code()
    const patch = { headers: { 'idempotency-key': IDEMPOTENCY_KEY } }
    const first = await setup.exchange(code, {}, patch)
    const again = await setup.exchange(code, {}, patch)
    expect(again.body.refresh_token).toBe(first.body.refresh_token)
    expect((await refreshWith(setup.token, again.body.refresh_token)).status).toBe(200)
    expectError(await setup.exchange(code, {}, patch), 400, 'invalid_grant')
  })

  it('E-04, F-12: does not consume the code if the hook, the access token or the store fails', async () => {
    let broken = true
    const failing = async () => {
      if (broken) throw new Error('key service is down')
      return { accessToken: 'at', expiresIn: 60 }
    }
    const setup = startServer({ accessTokens: failing })
    const code = setup.code()
    expectError(await setup.exchange(code), 503, 'temporarily_unavailable')
    expect(setup.state.calls).toEqual([])
    broken = false
    setup.state.isDown = true
    expectError(await setup.exchange(code), 503, 'temporarily_unavailable')
    setup.state.isDown = false
    expect((await setup.exchange(code)).status).toBe(200)
  })

  it('L-05: limits the attempts on one code before it is consumed', async () => {
    const { rateLimits } = await import('../../src/index.js')
    const setup = startServer({ rateLimit: rateLimits({ points: 3 }) })
    const code = setup.code()
    // High enough that the limit of the address does not apply first.
    const from = (host: number) => ({ remoteAddress: `203.0.113.${String(host)}` })
    for (let host = 1; host <= 3; host += 1)
      expectError(await setup.exchange(code, { code_verifier: `${VERIFIER}x` }, from(host)), 400, 'invalid_grant')
    expect((await setup.exchange(code, {}, from(4))).status).toBe(200)
    expect((await setup.exchange(setup.code(), {}, from(5))).status).toBe(200)
  })
})

describe('exchange with a DPoP proof', () => {
  const proofFor = (prover: Awaited<ReturnType<typeof createProver>>) => async () => ({
    headers: { dpop: await prover.prove() },
  })

  it('D-11, D-12: binds the session of a public client to its key, so that another holder of the refresh token is rejected', async () => {
    const setup = startServer()
    const [prover, attacker] = [await createProver(() => setup.clock.now), await createProver(() => setup.clock.now)]
    const response = await setup.exchange(setup.code(), {}, await proofFor(prover)())
    expect(response.body).toMatchObject({ token_type: 'DPoP' })
    expect((await setup.families())[0]).toMatchObject({ confirmation: prover.confirmation })
    const { refresh_token: refreshToken } = response.body
    for (const patch of [{}, await proofFor(attacker)()])
      expectError(await refreshWith(setup.token, refreshToken, {}, patch), 400, 'invalid_grant')
    expect((await refreshWith(setup.token, refreshToken, {}, await proofFor(prover)())).status).toBe(200)
  })

  it('D-13: binds only the access token of a confidential client and not its session', async () => {
    const setup = startServer()
    const prover = await createProver(() => setup.clock.now)
    const headers = { authorization: basic('cb', CB_SECRET), dpop: await prover.prove() }
    const response = await setup.exchange(setup.code({ clientId: 'cb' }), { client_id: undefined }, { headers })
    expect(response.body).toMatchObject({ token_type: 'DPoP' })
    expect((await setup.families())[0]).toMatchObject({ confirmation: null })
  })

  it('D-15: redeems a code with dpop_jkt only with that key, and a failure does not consume it', async () => {
    const setup = startServer()
    const [prover, other] = [await createProver(() => setup.clock.now), await createProver(() => setup.clock.now)]
    const code = setup.code({ confirmation: prover.confirmation })
    for (const patch of [{}, await proofFor(other)()])
      expectError(await setup.exchange(code, {}, patch), 400, 'invalid_grant')
    expect((await setup.exchange(code, {}, await proofFor(prover)())).status).toBe(200)
  })
})

describe('authorization codes', () => {
  it('E-05: responds identically to a forged, changed, truncated or differently encoded code and one of another server, without a store call', async () => {
    const setup = startServer()
    const code = setup.code()
    const foreign = authorizationCodes(setup.tokens, {
      issuer: AS,
      secrets: ['another secret of codes, of 48 bytes or even more'],
    })
    const flip = (index: number) => code.slice(0, index) + (code[index] === 'A' ? 'B' : 'A') + code.slice(index + 1)
    const bad = [
      '',
      'x',
      'bac_',
      `${code}A`,
      `${code}=`,
      `${code} `,
      code.slice(0, -1),
      code.slice(4),
      code.replace('bac_', 'brt_'),
      code.replaceAll('-', '+').replaceAll('_', '/'),
      'bac_'.padEnd(10_000, 'A'),
      foreign.issue(REQUEST),
      ...Array.from({ length: 40 }, (_, place) => flip(4 + Math.floor((place * (code.length - 5)) / 39))),
    ].filter((text) => text !== code && text !== '')
    setup.state.calls.length = 0
    const bodies = new Set<string | null>()
    for (const text of bad) {
      const response = await setup.exchange(text)
      expectError(response, 400, 'invalid_grant')
      bodies.add(JSON.stringify(response.raw))
    }
    bodies.add(JSON.stringify((await setup.exchange(code, { code_verifier: `${VERIFIER}x` })).raw))
    expect(bodies.size).toBe(1)
    expect(setup.state.calls).toEqual([])
    expect((await setup.exchange(code)).status).toBe(200)
  })

  it('I7: rejects a code whose unused base64 bits are set', async () => {
    const setup = startServer()
    const codes = Array.from({ length: 8 }, (_, index) => setup.code({ subject: 'x'.repeat(index + 1) }))
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    let respelt = 0
    for (const code of codes) {
      const bytes = Buffer.from(code.slice(4), 'base64url')
      const last = alphabet.indexOf(code.at(-1)!)
      for (const letter of [alphabet[last ^ 1]!, alphabet[last ^ 2]!]) {
        const other = code.slice(0, -1) + letter
        if (!Buffer.from(other.slice(4), 'base64url').equals(bytes)) continue
        respelt += 1
        expectError(await setup.exchange(other), 400, 'invalid_grant')
      }
    }
    expect(respelt).toBeGreaterThan(0)
  })

  it('E-06: encrypts the content of a code and includes no code in events', async () => {
    const setup = startServer()
    const code = setup.code({ subject: 'a-subject-that-shows' })
    expect(Buffer.from(code.slice(4), 'base64url').toString('latin1')).not.toContain('a-subject-that-shows')
    expect(setup.code()).not.toBe(setup.code())
    await setup.exchange(code)
    await setup.exchange(code)
    expect(JSON.stringify([setup.events, setup.errors])).not.toContain(code)
  })

  it('accepts a code after a change of secrets while the old secret is in the list', async () => {
    const setup = startServer()
    const NEW = 'the new secret of codes, at least 32 bytes long'
    const code = setup.code()
    const both = authorizationCodes(setup.tokens, { issuer: AS, secrets: [NEW, CODE_SECRET] })
    expect(both.open(code)).toMatchObject({ redirectUri: REDIRECT_URI })
    expect(setup.codes.open(both.issue(REQUEST))).toBe(null)
    expect(authorizationCodes(setup.tokens, { issuer: AS, secrets: [NEW] }).open(code)).toBe(null)
  })

  it.each([
    ['secrets', { secrets: [] }],
    ['secrets', {}],
    ['secrets[0]', { secrets: [undefined] }],
    ['secrets[0]', { secrets: ['short'] }],
    ['secrets', { secrets: [CODE_SECRET, CODE_SECRET] }],
    ['lifetimeSeconds', { secrets: [CODE_SECRET], lifetimeSeconds: 0 }],
    ['lifetime', { secrets: [CODE_SECRET], lifetime: 5 }],
    ['issuer', { secrets: [CODE_SECRET], issuer: undefined }],
    ['issuer', { secrets: [CODE_SECRET], issuer: 'login.example' }],
  ])('rejects an invalid option %s at construction', (option, options) => {
    const { tokens } = createSetup()
    expect(() => authorizationCodes(tokens, { issuer: AS, ...options } as never)).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', option }),
    )
  })

  it.each<[string, object]>([
    ['subject', { subject: '' }],
    ['redirectUri', { redirectUri: undefined }],
    ['redirectUri', { redirectUri: '' }],
    ['confirmation', { confirmation: { 'x5t#S256': 'abc' } }],
    ['confirmation', { confirmation: { jkt: 'abc' } }],
    ['scope', { scope: 'a  b' }],
    ['metadata', { metadata: { text: 'x'.repeat(4000) } }],
  ])('rejects an invalid %s at issue: %o', (option, request) => {
    expect(() => startServer().code(request)).toThrow(expect.objectContaining({ name: 'ConfigurationError', option }))
  })
})
