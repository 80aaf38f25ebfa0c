import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { dpop, type KeyPair } from '../src/dpop.js'
import { createSession, type SessionOptions } from '../src/index.js'
import { ConfigurationError } from '../src/platform/errors.js'
import { oauthEndpoints } from '../src/oauth.js'
import { createClock } from './clock.js'
import { CLIENT, type ServerOptions, startServer, type TestServer } from './server.js'

const MINUTE = 60_000
const LIFE = 15 * MINUTE
const NONCES = { secrets: ['a secret of nonces in a test, over 32 bytes'], required: true, seconds: 300 }
const ME = '/api/me'

let clock: ReturnType<typeof createClock>
let server: TestServer

beforeEach(() => {
  clock = createClock()
})
afterEach(() => server.stop())

const start = async (options: NonNullable<ServerOptions['dpop']> = {}) => {
  server = await startServer({ now: clock.now, dpop: options })
}

const generate = (): Promise<KeyPair> =>
  crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])

/** A session, and what proves its key. */
async function open(options: Partial<SessionOptions> = {}, keyPair?: KeyPair) {
  const { environment } = clock
  const proofs = dpop({ keyPair: keyPair ?? (await generate()), environment })
  const session = createSession({
    endpoints: oauthEndpoints({
      tokenEndpoint: `${server.origin}/oauth/token`,
      revocationEndpoint: `${server.origin}/oauth/revoke`,
      clientId: CLIENT,
      idempotencyKey: true,
    }),
    environment,
    dpop: proofs,
    ...options,
  })
  session.on('retrying', ({ waitMs }) => void clock.advance(waitMs))
  return { session, proofs }
}

async function signedIn() {
  const opened = await open()
  await opened.session.login(await signIn(opened.proofs))
  return opened
}

async function signIn({ fetch }: ReturnType<typeof dpop>): Promise<Record<string, unknown>> {
  const answer = await fetch(`${server.origin}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'alice' }),
  })
  return (await answer.json()) as Record<string, unknown>
}

interface Claims {
  readonly jti: string
  readonly htu: string
  readonly ath?: string
  readonly nonce?: string
}

/** What the proofs of requests for this path said. */
function proven(path: string): Claims[] {
  return server.asked(path).map(({ headers }) => {
    const [, payload = ''] = String(headers['dpop']).split('.')
    return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims
  })
}

const statusOf = async (answer: Promise<Response>) => (await answer).status

describe('a session with proofs of a key', () => {
  test('binds every token to the key, from sign-in to sign-out', async () => {
    await start()
    const { session, proofs } = await signedIn()
    const confirmation = { jkt: await proofs.thumbprint() }
    expect(await statusOf(session.fetch(`${server.origin}${ME}?page=2#top`))).toBe(200)
    clock.jump(LIFE)
    expect(await statusOf(session.fetch(server.origin + ME))).toBe(200)
    const [family] = (await server.tokens.list({ subject: 'alice' })).items
    expect(family).toMatchObject({ confirmation })
    expect(server.asked(ME).map(({ headers }) => headers.authorization?.split(' ')[0])).toEqual(['DPoP', 'DPoP'])
    expect(await session.logout()).toEqual({ revoked: true })
    // The server asks for a proof, and only then gets one.
    const [plain, proven] = server.asked('/oauth/revoke').map(({ headers }) => headers)
    expect(plain).not.toHaveProperty('dpop')
    expect(proven).toHaveProperty('dpop')
    expect((await server.tokens.list({ subject: 'alice' })).items).toEqual([])
  })

  test('a sign-out without the key ends the local session and returns revoked false', async () => {
    await start()
    const { session, proofs } = await signedIn()
    const answer = await signIn(proofs)
    const other = await open()
    await other.session.login(answer)
    expect(await other.session.logout()).toEqual({ revoked: false })
    expect(other.session.snapshot()).toMatchObject({ status: 'signedOut', reason: 'logout' })
    expect((await server.tokens.list({ subject: 'alice' })).items).toHaveLength(2)
    expect(await session.logout()).toEqual({ revoked: true })
  })

  test('CL-15 sends a separate proof with each request, for its URL and access token', async () => {
    await start()
    const { session } = await signedIn()
    await session.fetch(`${server.origin}${ME}?page=2#top`)
    await session.fetch(server.origin + ME)
    const [first, second] = proven(ME)
    expect(first?.jti).not.toBe(second?.jti)
    expect(first).toMatchObject({ htu: server.origin + ME, ath: expect.stringMatching(/^[\w-]{43}$/) })
    const [login] = proven('/login')
    expect(login).not.toHaveProperty('ath')
  })

  test('CL-15 repeats a request whose response was lost with a new proof and the same Idempotency-Key', async () => {
    await start()
    const { session } = await signedIn()
    clock.jump(LIFE)
    server.fault('/oauth/token', { kind: 'drop' })
    await session.getAccessToken()
    const [first, second] = proven('/oauth/token')
    expect(first?.jti).not.toBe(second?.jti)
    const attempts = server.asked('/oauth/token').map(({ headers }) => headers['idempotency-key'])
    expect(new Set(attempts).size).toBe(1)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated', 'retried'])
  })

  test('CL-15 repeats the first request to a server that requires nonces, and sends the nonce from then on', async () => {
    await start({ nonce: NONCES })
    const { session } = await signedIn()
    expect(server.asked('/login')).toHaveLength(2)
    for (let times = 0; times < 3; times += 1) expect(await statusOf(session.fetch(server.origin + ME))).toBe(200)
    // The answer to the sign-in had the nonce for what came next.
    expect(server.asked(ME)).toHaveLength(3)
  })

  test('CL-15 repeats a request once if a nonce has expired, at the API and at the token endpoint', async () => {
    await start({ nonce: NONCES })
    const { session } = await signedIn()
    clock.jump(11 * MINUTE)
    expect(await statusOf(session.fetch(server.origin + ME))).toBe(200)
    expect(proven(ME).map(({ nonce }) => nonce)).toHaveLength(2)
    clock.jump(11 * MINUTE)
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    expect(server.asked('/oauth/token')).toHaveLength(2)
    expect(new Set(proven('/oauth/token').map(({ jti }) => jti)).size).toBe(2)
    expect(server.events.map(({ type }) => type)).toEqual(['issued', 'rotated'])
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('CL-15 uses new nonces of successful responses, so that no request is repeated', async () => {
    await start({ nonce: NONCES })
    const { session } = await signedIn()
    for (let times = 0; times < 6; times += 1) {
      clock.jump(2 * MINUTE)
      expect(await statusOf(session.fetch(server.origin + ME))).toBe(200)
    }
    expect(server.asked(ME)).toHaveLength(6)
    expect(new Set(proven(ME).map(({ nonce }) => nonce)).size).toBeGreaterThan(1)
  })

  test('CL-15 sends a request twice at most to a server that always requires another nonce, and signs no user out', async () => {
    await start()
    const { session } = await signedIn()
    const challenge = 'DPoP error="use_dpop_nonce"'
    const [atApi, atToken] = [401, 400].map((status) => ({
      kind: 'answer' as const,
      status,
      headers: { 'dpop-nonce': 'n1', 'www-authenticate': challenge },
      body: '{"error":"use_dpop_nonce"}',
    }))
    server.fault(ME, atApi!, atApi!)
    expect(await statusOf(session.fetch(server.origin + ME))).toBe(401)
    expect(server.asked(ME)).toHaveLength(2)
    // Another access token would not have helped.
    expect(server.asked('/oauth/token')).toHaveLength(0)
    clock.jump(LIFE)
    server.fault('/oauth/token', atToken!, atToken!)
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'misconfigured' })
    expect(server.asked('/oauth/token')).toHaveLength(2)
    expect(session.snapshot().status).toBe('signedIn')
  })

  test('works with a clock that is off by an hour if the server requires nonces', async () => {
    await start({ nonce: NONCES })
    const environment = { ...clock.environment, now: () => clock.now() - 60 * MINUTE }
    const proofs = dpop({ keyPair: await generate(), environment })
    const { session } = await open({ dpop: proofs, environment })
    await session.login(await signIn(proofs))
    expect(await statusOf(session.fetch(server.origin + ME))).toBe(200)
  })

  test('CL-16 rejects a response whose token_type is not DPoP', async () => {
    await start()
    const { session } = await signedIn()
    clock.jump(LIFE)
    const body = JSON.stringify({ access_token: 'at', token_type: 'Bearer', refresh_token: 'rt', expires_in: 60 })
    server.fault('/oauth/token', { kind: 'answer', status: 200, body })
    await expect(session.getAccessToken()).rejects.toMatchObject({ code: 'misconfigured' })
    // What it would have replaced is still there.
    expect(await session.getAccessToken()).toMatch(/^eyJ/)
    await expect(session.login(await server.signIn())).rejects.toMatchObject({ code: 'misconfigured' })
  })

  test('CL-17 the session can be used with the key only', async () => {
    await start()
    const keyPair = await generate()
    const kept = { format: 'jwk', key: await crypto.subtle.exportKey('jwk', keyPair.privateKey) } as const
    const { session, proofs } = await open({}, keyPair)
    const answer = await signIn(proofs)
    await session.login(answer)
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
    const privateKey = await crypto.subtle.importKey(kept.format, kept.key, algorithm, false, ['sign'])
    const later = await open({}, { privateKey, publicKey: keyPair.publicKey })
    await later.session.login(answer)
    clock.jump(LIFE)
    expect(await statusOf(later.session.fetch(server.origin + ME))).toBe(200)

    const attacker = await open()
    await attacker.session.login(answer)
    clock.jump(LIFE)
    await expect(attacker.session.getAccessToken()).rejects.toMatchObject({ code: 'signed_out', reason: 'rejected' })
    expect(server.happened('reuse')).toEqual([])
  })
})

describe('keys', () => {
  beforeEach(() => start())

  test('the thumbprint and ath equal the examples of RFC 9449', async () => {
    const { privateKey } = await generate()
    const jwk = {
      kty: 'EC',
      crv: 'P-256',
      x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
      y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
    }
    const publicKey = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, [])
    const proofs = dpop({ keyPair: { privateKey, publicKey } })
    expect(await proofs.thumbprint()).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I')
    const accessToken = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'
    const proof = await proofs.prove({
      method: 'GET',
      url: 'https://resource.example.org/protectedresource',
      accessToken,
    })
    const claims: unknown = JSON.parse(Buffer.from(proof.split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ ath: 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo' })
  })

  test('a key of another type is rejected', async () => {
    const modulus = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }
    const rsa = await crypto.subtle.generateKey({ name: 'RSASSA-PKCS1-v1_5', ...modulus }, false, ['sign', 'verify'])
    const other = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, false, ['sign', 'verify'])
    expect(() => dpop({ keyPair: rsa })).toThrow(ConfigurationError)
    expect(() => dpop({ keyPair: other })).toThrow(ConfigurationError)
  })

  test('without a key and without IndexedDB no request is sent', async () => {
    const { session, proofs } = await signedIn()
    await session.logout()
    const keyless = dpop({ environment: clock.environment })
    await expect(keyless.thumbprint()).rejects.toMatchObject({ code: 'unavailable' })
    const { session: other } = await open({ dpop: keyless })
    await other.login(await signIn(proofs))
    const before = server.requests.length
    await expect(other.fetch(server.origin + ME)).rejects.toMatchObject({ code: 'unavailable' })
    clock.jump(LIFE)
    await expect(other.getAccessToken()).rejects.toMatchObject({ code: 'unavailable' })
    expect(server.requests).toHaveLength(before)
  })
})
