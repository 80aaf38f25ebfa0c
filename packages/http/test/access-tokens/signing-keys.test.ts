import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { deriveSigningKey, generateSigningKey, jwtAccessTokens, type SigningKey } from '../../src/index.js'
import { ISSUER } from '../app.js'

const MINE = generateSigningKey()
const privateKey = createPrivateKey({ key: MINE, format: 'jwk' })
const publicKey = createPublicKey(privateKey)
const pem = (key: typeof privateKey) => key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' })
const bareJwk = privateKey.export({ format: 'jwk' })

function publish(...keys: SigningKey[]) {
  return jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys }).jwks().keys
}

describe('formats of keys', () => {
  it.each<[string, SigningKey]>([
    ['as a JWK', MINE],
    ['as a JWK without kid and alg', bareJwk],
    ['as PEM (PKCS #8)', String(pem(privateKey))],
    ['as PEM (SEC 1)', String(privateKey.export({ format: 'pem', type: 'sec1' }))],
    ['as a KeyObject', privateKey],
    ['beside its kid', { key: privateKey, kid: String(MINE['kid']) }],
  ])('accepts %s and publishes the same key', (_, key) => {
    expect(publish(key)).toEqual(publish(MINE))
  })

  it('accepts a key with an explicit kid', () => {
    expect(publish({ key: MINE, kid: '2026-01' })[0]?.kid).toBe('2026-01')
    expect(publish({ ...MINE, kid: 'in the JWK' })[0]?.kid).toBe('in the JWK')
  })

  it('accepts a public key after the signing key', () => {
    const current = generateSigningKey('EdDSA')
    const all = publish(current, MINE)
    expect(publish(current, publicKey)).toEqual(all)
    expect(publish(current, String(pem(publicKey)))).toEqual(all)
    expect(publish(current, publicKey.export({ format: 'jwk' }))).toEqual(all)
  })
})

describe('default kid (RFC 7638)', () => {
  const jwkThumbprint = (jwk: JsonWebKey) => publish(MINE, jwk)[1]?.kid

  it('computes the thumbprint of RSA keys as kid', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs' +
      'tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn' +
      '1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    expect(jwkThumbprint({ kty: 'RSA', e: 'AQAB', n })).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  })

  it('computes the thumbprint of Ed25519 keys as kid', () => {
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
    expect(jwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x })).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })

  it('computes the thumbprint of P-256 keys as kid', () => {
    const x = 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs'
    const y = '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA'
    expect(jwkThumbprint({ kty: 'EC', crv: 'P-256', x, y })).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I')
  })
})

describe('invalid signing keys', () => {
  const other = generateSigningKey()
  it.each<[string, readonly SigningKey[], RegExp]>([
    ['a public key in front', [publicKey], /^option "keys\[0\]" .*private key in front/],
    ['halves of two keys', [{ ...MINE, x: other.x, y: other.y } as JsonWebKey], /^option "keys\[0\]" /],
    ['the same key twice', [MINE, publicKey], /^option "keys\[1\]" .*earlier key/],
    ['one kid twice', [MINE, { key: other, kid: String(MINE['kid']) }], /^option "keys\[1\]" .*earlier key/],
    ['an empty kid', [{ key: MINE, kid: '' }], /^option "keys\[0\]" .*empty kid/],
    ['a symmetric key', [{ kty: 'oct', k: 'c2VjcmV0' }], /^option "keys\[0\]" .*symmetric/],
    [
      'another curve',
      [generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
      /must be a key of EC P-256 .*got a key of type ec secp384r1/,
    ],
    ['a key for agreement', [generateKeyPairSync('x25519').privateKey], /x25519/],
    ['a short RSA key', [generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey], /1024 bits/],
    ['a JWK for another algorithm', [{ ...MINE, alg: 'ES384' }], /alg "ES384"/],
    ['a JWK for encryption', [{ ...MINE, use: 'enc' }], /use "enc"/],
    ['a JWK as text', [JSON.stringify(MINE)], /JSON\.parse/],
    ['text that is no key', ['rubbish'], /cannot be parsed/],
    ['an object that is no key', [{ kty: 'EC' }], /cannot be parsed/],
    ['nothing', [undefined as unknown as SigningKey], /got undefined/],
  ])('rejects an invalid key at construction: %s', (_, keys, message) => {
    expect(() => publish(...keys)).toThrow(expect.objectContaining({ name: 'ConfigurationError' }))
    expect(() => publish(...keys)).toThrow(message)
  })

  it('E-06: rejects an invalid key without a part of it in the message', () => {
    const secret = String(MINE.d)
    for (const bad of [
      { ...MINE, x: other.x } as JsonWebKey,
      JSON.stringify(MINE),
      { ...MINE, d: secret.slice(0, 20) } as JsonWebKey,
    ])
      expect(() => publish(bad)).toThrow(expect.not.stringContaining(secret.slice(0, 8)))
  })
})

describe('deriveSigningKey', () => {
  it('derives one key from one secret, as text or as bytes', () => {
    const secret = 'a random secret of more than 32 bytes'
    expect(deriveSigningKey(secret)).toEqual(deriveSigningKey(Buffer.from(secret)))
    expect(deriveSigningKey(secret)).not.toEqual(deriveSigningKey(`${secret}.`))
  })

  it('derives a valid key pair from any secret', () => {
    for (let index = 0; index < 200; index++)
      expect(() => publish(deriveSigningKey(`${'secret '.repeat(5)}${index}`))).not.toThrow()
  })

  it('derives the same key as earlier versions', () => {
    expect(deriveSigningKey('a secret that stands for all secrets')).toMatchObject({
      kid: 'LSFJh1P7-B7hrLNm8v1IaXdfi4INK8XZAIpe2lukL70',
    })
  })

  it('rejects short and missing secrets', () => {
    expect(() => deriveSigningKey('short')).toThrow(/^option "secret" must be at least 32 random bytes, got 5 bytes/)
    expect(() => deriveSigningKey(undefined as unknown as string)).toThrow(/^option "secret" /)
  })
})

it('rejects an unknown algorithm for generateSigningKey', () => {
  expect(() => generateSigningKey('HS256' as 'ES256')).toThrow(
    /^option "algorithm" must be "ES256" or "EdDSA" or "RS256", got "HS256"/,
  )
})
