import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type DpopOptions, type Proven, proofChecker } from '../../../src/proof-of-possession/dpop/proof-checker.js'
import { PROOF_ALGORITHMS, type ProofAlgorithm, parseProof } from '../../../src/proof-of-possession/dpop/proof.js'
import { MINUTE, request, SECOND, START } from '../../setup.js'
import { ath, compact, createProver, type ProofChanges, TOKEN_URL } from './prover.js'
import { AT_REFRESH, AT_RESOURCE, AT_TOKEN_ENDPOINT, JKT } from './rfc9449.js'

/** Public test secrets. */
const NONCE_SECRETS = ['a secret of nonces in a test, over 32 bytes', 'an older secret of nonces, over 32 bytes too']

interface Circumstances {
  readonly url?: string | null
  readonly method?: string
  readonly accessToken?: string
}

/** A proof checker, a clock, a client with a key, and a list of the stored keys. */
async function createCheckerSetup(options: DpopOptions = {}) {
  const clock = { now: START }
  const used = new Map<string, number>()
  const oneTimeKeys = {
    async consumeOnce({ key, expiresAt }: { key: string; expiresAt: number }) {
      for (const [old, until] of used) if (until <= clock.now) used.delete(old)
      if (used.has(key)) return false
      used.set(key, expiresAt)
      return true
    },
  }
  const checker = proofChecker(options)
  const prover = await createProver(() => clock.now)
  const check = (
    proof: string | readonly string[],
    { url = TOKEN_URL, method = 'POST', accessToken }: Circumstances = {},
  ): Promise<Proven> =>
    checker.prove({
      request: request({ method, headers: { dpop: proof } }),
      url,
      now: clock.now,
      oneTimeKeys,
      ...(accessToken === undefined ? {} : { accessToken }),
    })
  const checked = async (changes: ProofChanges) => checkResultOf(await check(await prover.prove(changes)))
  return { clock, used, checker, check, checked, ...prover }
}

/** The same primes with another public exponent, or the next exponent that has an inverse. */
function withExponent(key: KeyObject, exponent: bigint): KeyObject {
  const jwk = key.export({ format: 'jwk' })
  const number = (text = '') => BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`)
  const encode = (value: bigint) => {
    const hex = value.toString(16)
    return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
  }
  const [p, q] = [number(jwk.p), number(jwk.q)]
  const d = inverse(exponent, (p - 1n) * (q - 1n))
  if (d === null) return withExponent(key, exponent - 2n)
  const [dp, dq] = [encode(d % (p - 1n)), encode(d % (q - 1n))]
  return createPrivateKey({ key: { ...jwk, e: encode(exponent), d: encode(d), dp, dq }, format: 'jwk' })
}

function inverse(value: bigint, modulus: bigint): bigint | null {
  let [r0, r1, t0, t1] = [modulus, value, 0n, 1n]
  while (r1 !== 0n) {
    const quotient = r0 / r1
    ;[r0, r1, t0, t1] = [r1, r0 - quotient * r1, t1, t0 - quotient * t1]
  }
  return r0 === 1n ? ((t0 % modulus) + modulus) % modulus : null
}

const checkResultOf = (proven: Proven) => (proven.ok ? 'proven' : proven.error)
const BAD = 'invalid_dpop_proof'

describe('examples of RFC 9449', () => {
  test('D-11: accepts the examples for the token endpoint, a refresh and a resource', async () => {
    const { clock, check } = await createCheckerSetup()
    const [url, confirmation] = ['https://server.example.com/token', { jkt: JKT }]
    for (const { iat, proof } of [AT_TOKEN_ENDPOINT, AT_REFRESH]) {
      clock.now = iat * SECOND + 500
      expect(await check(proof, { url })).toEqual({ ok: true, confirmation })
    }
    clock.now = AT_RESOURCE.iat * SECOND
    const { accessToken } = AT_RESOURCE
    const at = { url: 'https://resource.example.org/protectedresource', method: 'GET', accessToken }
    expect(await check(AT_RESOURCE.proof, at)).toEqual({ ok: true, confirmation })
  })

  test('D-09: rejects the second of two examples with the same jti as a replay', async () => {
    const { jti, claims } = { jti: '-BwC3ESc6acc2lTc', claims: { iat: START / SECOND } }
    const { checked } = await createCheckerSetup()
    expect(await checked({ claims: { ...claims, jti } })).toBe('proven')
    expect(await checked({ claims: { iat: claims.iat + 1, jti } })).toBe(BAD)
  })
})

describe('form of a proof', () => {
  test('treats a missing header as no proof', async () => {
    const { check } = await createCheckerSetup()
    expect(await check([])).toEqual({ ok: true, confirmation: null })
  })

  test('D-01: requires one header with one well-formed JWT', async () => {
    const { check, prove } = await createCheckerSetup()
    const good = await prove()
    const [header = '', payload = '', signature = ''] = good.split('.')
    const bad = ['', ' ', 'x', 'a.b.c', '..', `${good} `, ` ${good}`, `${good}=`, `${good}.`, `${good}, ${good}`]
    for (const proof of [
      ...bad,
      `${header}.${payload}`,
      `${header}..${signature}`,
      `${header}.${payload}.`,
      `"${good}"`,
    ])
      expect(checkResultOf(await check(proof)), proof).toBe(BAD)
    for (const several of [
      [good, await prove()],
      [good, good],
      [good, ''],
      ['', good],
    ])
      expect(checkResultOf(await check(several))).toBe(BAD)
    expect(checkResultOf(await check(good))).toBe('proven')
  })

  test('D-01 D-05: requires JSON objects in UTF-8 as header and payload', async () => {
    const { check, jwk } = await createCheckerSetup()
    const encode = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64url')
    const header = JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk })
    for (const bad of [
      '[]',
      'null',
      '"x"',
      '1',
      '{',
      `${header}x`,
      `\ufeff${header}`,
      Buffer.from('7b22ff227d', 'hex'),
    ])
      expect(checkResultOf(await check(`${encode(bad)}.${encode('{}')}.${encode('signature')}`))).toBe(BAD)
  })

  test('D-02: requires the type dpop+jwt of a proof', async () => {
    const { checked } = await createCheckerSetup()
    for (const typ of [
      'JWT',
      'at+jwt',
      'dpop',
      'application/at+jwt',
      'text/dpop+jwt',
      'application/application/dpop+jwt',
      'dpop+jwt;v=1',
      ' dpop+jwt',
      '',
      1,
      null,
      undefined,
      ['dpop+jwt'],
      { toString: 'dpop+jwt' },
    ])
      expect(await checked({ header: { typ } }), JSON.stringify(typ)).toBe(BAD)
  })

  test('D-02: accepts every spelling of the media type (RFC 7515 section 4.1.9)', async () => {
    const { checked } = await createCheckerSetup()
    for (const typ of ['dpop+jwt', 'DPOP+JWT', 'application/dpop+jwt', 'Application/DPoP+JWT'])
      expect(await checked({ header: { typ } }), typ).not.toBe(BAD)
  })

  test('D-03: rejects alg none, HMAC and unlisted algorithms', async () => {
    const { check, jwk, checked, clock } = await createCheckerSetup({ algorithms: ['ES256', 'RS256'] })
    const claims = { jti: randomUUID(), htm: 'POST', htu: TOKEN_URL, iat: START / SECOND }
    for (const alg of ['none', 'None', 'HS256', 'ES384', 'dir', '', null, undefined]) {
      const proof = compact({ typ: 'dpop+jwt', alg, jwk }, claims, 'x')
      expect(checkResultOf(await check(proof)), String(alg)).toBe(BAD)
      expect(checkResultOf(await check(proof.slice(0, proof.lastIndexOf('.') + 1)))).toBe(BAD)
    }
    const unlisted = await createProver(() => clock.now, 'Ed25519')
    expect(checkResultOf(await check(await unlisted.prove()))).toBe(BAD)
    // The public key as the key of an HMAC: algorithm confusion.
    for (const secret of [JSON.stringify(jwk), jwk.x ?? '']) {
      const unsigned = compact({ typ: 'dpop+jwt', alg: 'HS256', jwk }, claims)
      const input = unsigned.slice(0, unsigned.lastIndexOf('.'))
      const tag = createHmac('sha256', secret).update(input).digest('base64url')
      expect(checkResultOf(await check(`${input}.${tag}`))).toBe(BAD)
    }
    expect(await checked({})).toBe('proven')
  })

  test.each(PROOF_ALGORITHMS)('W-09 D-03: accepts proofs signed with %s', async (alg) => {
    const { check, clock } = await createCheckerSetup()
    const other = await createProver(() => clock.now, alg)
    expect(await check(await other.prove())).toEqual({ ok: true, confirmation: other.confirmation })
  })

  test('D-03: ignores other members of the JWS header', async () => {
    const { checked } = await createCheckerSetup()
    for (const header of [{ crit: ['exp'], exp: 1 }, { b64: false, crit: ['b64'] }, { crit: [] }])
      expect(await checked({ header }).catch(() => BAD)).toBe(BAD)
    for (const header of [
      { kid: '../../../etc/passwd' },
      { jku: 'https://evil.example/keys' },
      { x5u: 'https://evil.example' },
    ])
      expect(await checked({ header })).toBe('proven')
  })

  test('D-04: requires the complete public key of the signature in the header, for its algorithm', async () => {
    const { checked, check, jwk, prove, privateJwk, clock } = await createCheckerSetup()
    const { d } = await privateJwk()
    const otherProver = await createProver(() => clock.now)
    const ed = await createProver(() => clock.now, 'Ed25519')
    const p384 = await createProver(() => clock.now, 'ES384')
    const bad: unknown[] = [
      undefined,
      null,
      'x',
      [],
      {},
      { ...jwk, d },
      { ...jwk, d: '' },
      { ...jwk, k: 'AA' },
      { ...jwk, priv: null },
    ]
    bad.push(
      { kty: 'oct', k: 'c2VjcmV0' },
      { ...jwk, kty: 'RSA' },
      { ...jwk, kty: 'constructor' },
      { kty: 'EC', crv: 'P-256' },
    )
    bad.push(
      otherProver.jwk,
      ed.jwk,
      p384.jwk,
      { ...jwk, y: otherProver.jwk.y },
      { ...jwk, alg: 'ES384' },
      { ...jwk, crv: 'P-384' },
    )
    // The same number in another spelling would be another thumbprint of the same key.
    bad.push({ ...jwk, x: `${jwk.x ?? ''}=` }, { ...jwk, x: ` ${jwk.x ?? ''}` }, { ...jwk, x: 1 }, { ...jwk, x: '' })
    for (const key of bad) expect(await checked({ header: { jwk: key } }), JSON.stringify(key)).toBe(BAD)
    const good = await prove()
    const signature = Buffer.from(good.split('.')[2] ?? '', 'base64url')
    for (let index = 0; index < signature.length; index += 7) {
      const flipped = Buffer.from(signature)
      flipped[index] = (flipped[index] ?? 0) ^ 1
      expect(checkResultOf(await check(good.replace(/[^.]+$/, flipped.toString('base64url'))))).toBe(BAD)
    }
    expect(await checked({ header: { jwk: { ...jwk, use: 'enc', key_ops: ['sign'], kid: 'x', alg: 'ES256' } } })).toBe(
      'proven',
    )
  })

  test('D-04: rejects an RSA key that is too short or too expensive to use', async () => {
    const { check } = await createCheckerSetup()
    const claims = { jti: 'x', htm: 'POST', htu: TOKEN_URL, iat: START / SECOND }
    const proofBy = (privateKey: KeyObject) => {
      const { e, n } = privateKey.export({ format: 'jwk' })
      const unsigned = compact({ typ: 'dpop+jwt', alg: 'RS256', jwk: { kty: 'RSA', n, e } }, claims)
      return unsigned + sign('sha256', Buffer.from(unsigned.slice(0, -1)), privateKey).toString('base64url')
    }
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { privateKey: short } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    expect(checkResultOf(await check(proofBy(withExponent(privateKey, 0xffffffffffn))))).toBe(BAD)
    expect(checkResultOf(await check(proofBy(short)))).toBe(BAD)
    expect(checkResultOf(await check(proofBy(privateKey)))).toBe('proven')
  })

  test('D-05: requires every claim of a proof with its type', async () => {
    const { checked } = await createCheckerSetup()
    for (const name of ['jti', 'htm', 'htu', 'iat'])
      for (const value of [undefined, null, true, {}, [], ['x'], name === 'iat' ? '1893456000' : 5, ''])
        expect(await checked({ claims: { [name]: value } }), `${name} ${JSON.stringify(value)}`).toBe(BAD)
    for (const claims of [{ ath: 1 }, { nonce: {} }]) expect(await checked({ claims })).toBe(BAD)
    expect(await checked({ claims: { exp: 'x', nbf: [], extra: { deep: true } } })).toBe('proven')
  })

  test('D-09: responds to a proof of any size, and does not parse one of a mebibyte', async () => {
    const { checked, check } = await createCheckerSetup()
    expect(await checked({ claims: { jti: 'x'.repeat(2000) } })).toBe('proven')
    expect(await checked({ claims: { jti: 'x'.repeat(5000) } })).toBe(BAD)
    expect(checkResultOf(await check('x'.repeat(1 << 20)))).toBe(BAD)
    expect(checkResultOf(await check(`${'a'.repeat(1 << 19)}.${'b'.repeat(1 << 19)}.c`))).toBe(BAD)
  })

  test('rejects any text that is not a proof', async () => {
    const parts = fc.array(
      fc.oneof(
        fc.base64String(),
        fc.json().map((json) => Buffer.from(json).toString('base64url')),
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          parts.map((list) => list.join('.')),
        ),
        async (text) => {
          expect(await parseProof(text, PROOF_ALGORITHMS)).toBeNull()
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('target of a proof', () => {
  test('D-06: requires the method of the request in the proof, case-sensitively', async () => {
    const { checked } = await createCheckerSetup()
    for (const htm of ['GET', 'post', 'Post', ' POST', 'POST ', ''])
      expect(await checked({ claims: { htm } })).toBe(BAD)
  })

  test.each([
    'https://as.example/oauth/token?x',
    'https://as.example/oauth/token?x#y',
    'https://as.example/oauth/token#',
    'HTTPS://AS.Example:443/oauth/token?x#y',
    'https://as.example/oauth/%74oken',
    'https://as.example/oauth/./x/../token',
    // Without slashes no browser would treat it as another URL.
    'https:as.example/oauth/token',
  ])('D-07: accepts %s as this endpoint', async (htu) => {
    const { checked } = await createCheckerSetup()
    expect(await checked({ claims: { htu } })).toBe('proven')
  })

  test.each([
    'https://as.example/oauth/token/',
    'https://as.example/oauth/Token',
    'https://as.example/oauth%2Ftoken',
    'https://as.example//oauth/token',
    'https://as.example/',
    'https://as.example',
    'http://as.example/oauth/token',
    'https://as.example:8443/oauth/token',
    'https://as.example./oauth/token',
    'https://sub.as.example/oauth/token',
    'https://evil.example/oauth/token',
    'https://as.example@evil.example/oauth/token',
    'https://evil.example/?https://as.example/oauth/token',
    'https://evil.example#@as.example/oauth/token',
    'https://user@as.example/oauth/token',
    'https://as.example\\oauth\\token',
    'https://as.exa\nmple/oauth/token',
    ' https://as.example/oauth/token',
    '//as.example/oauth/token',
    '/oauth/token',
    'wss://as.example/oauth/token',
    'urn:as.example',
    'https://',
    'https://аs.example/oauth/token',
  ])('D-07: rejects %s as this endpoint', async (htu) => {
    const { checked } = await createCheckerSetup()
    expect(await checked({ claims: { htu } })).toBe(BAD)
  })

  test('D-07: compares an encoded percent sign without case', async () => {
    const { check, prove } = await createCheckerSetup()
    const url = 'https://as.example/a%2fb%7E'
    expect(checkResultOf(await check(await prove({ claims: { htu: 'https://as.example/a%2Fb~' } }), { url }))).toBe(
      'proven',
    )
    expect(checkResultOf(await check(await prove({ claims: { htu: 'https://as.example/a/b~' } }), { url }))).toBe(BAD)
  })

  test('D-07: rejects every proof if the public URL is unknown', async () => {
    const { check, prove } = await createCheckerSetup()
    expect(checkResultOf(await check(await prove(), { url: null }))).toBe(BAD)
  })

  test('B-06: requires the hash of the access token in the request', async () => {
    const { check, prove } = await createCheckerSetup()
    const accessToken = 'an.access.token'
    expect(checkResultOf(await check(await prove({ claims: { ath: ath(accessToken) } }), { accessToken }))).toBe(
      'proven',
    )
    for (const wrong of [undefined, '', ath('another'), `${ath(accessToken)}=`, accessToken])
      expect(checkResultOf(await check(await prove({ claims: { ath: wrong } }), { accessToken }))).toBe(BAD)
  })
})

describe('time of a proof', () => {
  test('D-08 K-05: accepts a proof from half a minute ahead of the clock until one minute after it was created', async () => {
    const { checked } = await createCheckerSetup()
    const now = START / SECOND
    for (const iat of [now, now + 5, now + 30, now - 59, now - 0.5])
      expect(await checked({ claims: { iat } })).toBe('proven')
    for (const iat of [now - 60, now + 31, now - 600, now + 600, 0, -1, START, 1e300])
      expect(await checked({ claims: { iat } }), String(iat)).toBe(BAD)
  })

  test('D-08: applies the configured maximum age of a proof', async () => {
    const { checked } = await createCheckerSetup({ maxAgeSeconds: 300 })
    expect(await checked({ claims: { iat: START / SECOND - 299 } })).toBe('proven')
    expect(await checked({ claims: { iat: START / SECOND - 300 } })).toBe(BAD)
  })

  test('D-09: accepts a proof once, even if it is sent ten times at once', async () => {
    const { check, prove } = await createCheckerSetup()
    const proof = await prove()
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => check(proof)))
    expect(verdicts.map(checkResultOf).sort()).toEqual([...Array.from({ length: 9 }, () => BAD), 'proven'])
  })

  test('D-09: accepts a proof once for all spellings of its target', async () => {
    const { checked } = await createCheckerSetup()
    const jti = randomUUID()
    expect(await checked({ claims: { jti } })).toBe('proven')
    for (const htu of [`${TOKEN_URL}?x=1`, 'HTTPS://as.example:443/oauth/token', 'https://as.example/oauth/%74oken'])
      expect(await checked({ claims: { jti, htu } })).toBe(BAD)
  })

  test('D-09: compares jti per key and target, so that a client cannot use up the proofs of another', async () => {
    const { check, prove, clock } = await createCheckerSetup()
    const jti = randomUUID()
    const other = await createProver(() => clock.now)
    expect(checkResultOf(await check(await other.prove({ claims: { jti } })))).toBe('proven')
    expect(checkResultOf(await check(await prove({ claims: { jti } })))).toBe('proven')
    const htu = 'https://as.example/other'
    expect(checkResultOf(await check(await prove({ claims: { jti, htu } }), { url: htu }))).toBe('proven')
  })

  test('D-09: does not use up a proof that fails for another reason', async () => {
    const { check, prove } = await createCheckerSetup()
    const proof = await prove()
    expect(checkResultOf(await check(proof, { method: 'GET' }))).toBe(BAD)
    expect(checkResultOf(await check(proof, { url: 'https://as.example/elsewhere' }))).toBe(BAD)
    expect(checkResultOf(await check(proof))).toBe('proven')
  })

  test('D-09: stores a proof with a fractional iat until a whole millisecond', async () => {
    const { check, prove, used } = await createCheckerSetup()
    const proof = await prove({ claims: { iat: START / SECOND + 0.1234567 } })
    expect(checkResultOf(await check(proof))).toBe('proven')
    expect(checkResultOf(await check(proof))).toBe(BAD)
    expect([...used.values()]).toEqual([START + 60 * SECOND + 124])
  })

  test('K-04 D-09: deletes stored proofs once they are too old, and not earlier', async () => {
    const { checked, used, clock } = await createCheckerSetup()
    for (let count = 0; count < 20; count += 1) {
      expect(await checked({})).toBe('proven')
      clock.now += 10 * SECOND
    }
    expect(used.size).toBeLessThanOrEqual(7)
    const { check, prove, clock: later } = await createCheckerSetup()
    const ahead = await prove({ claims: { iat: START / SECOND + 30 } })
    expect(checkResultOf(await check(ahead))).toBe('proven')
    for (let count = 0; count < 100; count += 1) {
      later.now += SECOND
      expect(checkResultOf(await check(ahead))).toBe(BAD)
    }
  })
})

describe('nonces', () => {
  const required = { nonce: { secrets: NONCE_SECRETS, required: true } }
  const nonceOf = ({ checker, clock }: Awaited<ReturnType<typeof createCheckerSetup>>) =>
    checker.nonceHeaders(clock.now)[0]?.[1] ?? ''

  test('D-16: requires a new nonce if it is missing, wrong or too old', async () => {
    const app = await createCheckerSetup(required)
    const nonce = nonceOf(app)
    expect(nonce).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]{16,}$/)
    const wrong = [
      undefined,
      '',
      'x',
      `${nonce}x`,
      nonce.slice(1),
      nonce.toLowerCase(),
      `${nonce} `,
      'x'.repeat(1000),
      'é',
    ]
    for (const value of wrong) expect(await app.checked({ claims: { nonce: value } })).toBe('use_dpop_nonce')
    expect(await app.checked({ claims: { nonce } })).toBe('proven')
    app.clock.now += 5 * MINUTE
    expect(await app.checked({ claims: { nonce } })).toBe('proven')
    app.clock.now += 5 * MINUTE
    expect(await app.checked({ claims: { nonce } })).toBe('use_dpop_nonce')
    expect(nonceOf(app)).not.toBe(nonce)
  })

  test('D-16: accepts the nonces of every instance with the same secrets, also while a secret changes', async () => {
    const [current = '', older = ''] = NONCE_SECRETS
    const before = await createCheckerSetup({ nonce: { secrets: [older] } })
    const after = await createCheckerSetup({ nonce: { secrets: [current, older], required: true } })
    expect(await after.checked({ claims: { nonce: nonceOf(before) } })).toBe('proven')
    expect(await before.checked({ claims: { nonce: nonceOf(after) } })).toBe('use_dpop_nonce')
    const ahead = await createCheckerSetup(required)
    ahead.clock.now += 5 * MINUTE
    expect(await after.checked({ claims: { nonce: nonceOf(ahead) } })).toBe('proven')
    ahead.clock.now += 5 * MINUTE
    expect(await after.checked({ claims: { nonce: nonceOf(ahead) } })).toBe('use_dpop_nonce')
  })

  test('D-16: makes nonces unpredictable', async () => {
    const one = await createCheckerSetup({ nonce: { secrets: ['another secret of nonces, over 32 bytes'] } })
    const two = await createCheckerSetup(required)
    const seen = new Set<string>()
    for (let slot = 0; slot < 50; slot += 1) {
      seen.add(nonceOf(one)).add(nonceOf(two))
      one.clock.now += 5 * MINUTE
      two.clock.now += 5 * MINUTE
    }
    expect(seen.size).toBe(100)
  })

  test('D-08 D-16: ignores the clock of the client if the proof has a nonce', async () => {
    const app = await createCheckerSetup({ nonce: { secrets: NONCE_SECRETS } })
    expect(await app.checked({ claims: { iat: 0 } })).toBe('use_dpop_nonce')
    expect(await app.checked({ claims: { iat: 0, nonce: nonceOf(app) } })).toBe('proven')
    expect(await app.checked({})).toBe('proven')
    expect(await app.checked({ claims: { nonce: 'of another server' } })).toBe('use_dpop_nonce')
  })

  test('D-09 D-16: accepts a proof with a nonce once while the nonce is valid', async () => {
    const app = await createCheckerSetup(required)
    const proof = await app.prove({ claims: { nonce: nonceOf(app), iat: 0 } })
    expect(checkResultOf(await app.check(proof))).toBe('proven')
    for (let minute = 0; minute < 12; minute += 1) {
      expect(checkResultOf(await app.check(proof))).toBe(minute < 10 ? BAD : 'use_dpop_nonce')
      app.clock.now += MINUTE
    }
  })

  test('rejects an invalid proof before its nonce is checked', async () => {
    const { checked } = await createCheckerSetup(required)
    expect(await checked({ claims: { htm: 'GET' } })).toBe(BAD)
  })

  test('ignores a nonce in the proof if nonces are off', async () => {
    const { checked, checker } = await createCheckerSetup()
    expect(await checked({ claims: { nonce: 'of another server' } })).toBe('proven')
    expect(checker.nonceHeaders(START)).toEqual([])
  })
})

test('rejects invalid options', () => {
  const secrets = NONCE_SECRETS
  const wrong: unknown[] = [
    { algorithms: [] },
    { algorithms: ['HS256'] },
    { algorithms: ['none' as ProofAlgorithm] },
    { algorithms: 'ES256' },
    { maxAgeSeconds: 0 },
    { maxAgeSeconds: 60_000 },
    { maxAgeSeconds: '60' },
    { nonces: {} },
    { nonce: {} },
    { nonce: { secrets: [] } },
    { nonce: { secrets: [undefined] } },
    { nonce: { secrets: ['short'] } },
    { nonce: { secrets: secrets[0] } },
    { nonce: { secrets, seconds: 1 } },
    { nonce: { secrets, required: 'yes' } },
    { nonce: { secrets, forced: true } },
  ]
  for (const options of wrong)
    expect(() => proofChecker(options as DpopOptions), JSON.stringify(options)).toThrow(ConfigurationError)
})
