import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { describeValue, oneOf, type Rule, secret as secretRule } from '@baton/core/options'
import { type JsonWebKey, pickPublicMembers, jwkThumbprint } from '../crypto/jwk.js'

/** The signature algorithm of access tokens: `ES256` by default, `EdDSA` (Ed25519), or `RS256` for old verifiers. */
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256'

/** A JWK (optionally with `kid` and `alg`), a PEM text, or a `KeyObject` of `node:crypto`. */
export type KeyMaterial = JsonWebKey | string | KeyObject

/** A key, or a key with the `kid` under which it is published. Default `kid`: its thumbprint (RFC 7638). */
export type SigningKey = KeyMaterial | { readonly key: KeyMaterial; readonly kid?: string }

/** A public key of a JWK set: no private member, with `kid`, `alg` and `use`. */
export type PublicJwk = Readonly<Record<string, string>> & {
  readonly kty: string
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly use: 'sig'
}

/** A validated key of the ring. */
export interface CheckedKey {
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly publicJwk: PublicJwk
  /** Null for a key that only verifies. */
  readonly privateJwk: JsonWebKey | null
}

export interface CheckedSigningKey extends CheckedKey {
  readonly privateJwk: JsonWebKey
}

const MIN_RSA_BITS = 2048
const signingAlgorithm = oneOf('ES256', 'EdDSA', 'RS256')
/** The order of P-256's base point (FIPS 186-4, D.1.2.3). */
const P256_ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')

/**
 * Generates a private signing key as a JWK that can be stored as JSON. Store it like any other secret and configure every instance
 * with the same key: with a new key at each start, earlier access tokens are rejected.
 *
 * @example
 * ```ts
 * import { generateSigningKey } from '@baton/http'
 * import { writeFileSync } from 'node:fs'
 *
 * writeFileSync('signing-key.json', JSON.stringify(generateSigningKey('EdDSA')), { mode: 0o600 })
 * ```
 */
export function generateSigningKey(algorithm: SigningAlgorithm = 'ES256'): JsonWebKey {
  const { privateKey } = generateKeyPair(signingAlgorithm.parse(algorithm, 'algorithm'))
  const jwk = privateKey.export({ format: 'jwk' })
  return { ...jwk, kid: jwkThumbprint(jwk), alg: algorithm, use: 'sig' }
}

function generateKeyPair(algorithm: SigningAlgorithm) {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: MIN_RSA_BITS })
  }
}

/**
 * Derives a private ES256 key from a secret. The same secret always yields the same key, so no key file is needed. The derivation is
 * HKDF-SHA-256 with its own label, without the values outside the curve's order. It reveals nothing about other keys derived from the
 * secret. The secret must be at least 32 bytes and *random*: the public key is published, so a passphrase could be
 * guessed. Use a separate secret, not one of the refresh tokens: this secret is enough to forge access tokens.
 * For a key ring, use `signingSecrets.map((secret) => deriveSigningKey(secret))`.
 *
 * @example
 * ```ts
 * import { deriveSigningKey, jwtAccessTokens } from '@baton/http'
 *
 * const accessTokens = jwtAccessTokens({
 *   issuer: 'https://login.example',
 *   audience: 'https://api.example',
 *   keys: [deriveSigningKey(process.env['BATON_SIGNING_SECRET'])],
 * })
 * ```
 */
export function deriveSigningKey(secret: string | Uint8Array | undefined): JsonWebKey {
  const bytes = secretRule().parse(secret, 'secret')
  const d = deriveScalar(bytes)
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(d)
  // Uncompressed point: 0x04, then x and y of 32 bytes each.
  const point = curve.getPublicKey()
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    d: d.toString('base64url'),
  }
  return { ...jwk, kid: jwkThumbprint(jwk), alg: 'ES256', use: 'sig' }
}

/**
 * Returns the first candidate from 1 to the order of the curve minus 1 (FIPS 186-5, appendix A.2.2). One secret in 2^32 needs a second
 * candidate.
 */
function deriveScalar(secret: Uint8Array): Buffer {
  for (let counter = 0; ; counter += 1) {
    const info = `ES256 signing key ${counter}`
    const candidate = Buffer.from(hkdfSync('sha256', secret, 'baton/access-token/v1', info, P256_ORDER.length))
    if (candidate.some((byte) => byte !== 0) && Buffer.compare(candidate, P256_ORDER) < 0) return candidate
  }
}

/**
 * A key ring `[current, ...older]`. The first key must be private and is tested by a signature, so that a wrong key is detected here
 * and not after a rotation. Messages contain no key material.
 */
export function signingKeys(): Rule<readonly SigningKey[], readonly [CheckedSigningKey, ...CheckedKey[]]> {
  const expected = 'a list of at least one key, the first one private'
  return {
    expected,
    parse(value, option) {
      if (!Array.isArray(value) || value.length === 0)
        throw new ConfigurationError(
          option,
          `must be ${expected}, got ${Array.isArray(value) ? 'an empty list' : describeValue(value)}; create a key with generateSigningKey()`,
        )
      return checkKeys(value as readonly SigningKey[], option)
    },
  }
}

function checkKeys(keys: readonly SigningKey[], option: string): readonly [CheckedSigningKey, ...CheckedKey[]] {
  const [first, ...others] = keys.map((key, index) => checkKey(key, `${option}[${String(index)}]`))
  const privateJwk = first?.privateJwk ?? null
  if (first === undefined || privateJwk === null)
    throw new ConfigurationError(
      `${option}[0]`,
      'must be a private key, got a public key; the first key signs, so put a private key in front',
    )
  const kids = [first, ...others].map(({ kid }) => kid)
  const repeated = kids.findIndex((kid, index) => kids.indexOf(kid) !== index)
  if (repeated !== -1)
    throw new ConfigurationError(
      `${option}[${String(repeated)}]`,
      `must have its own kid, got ${JSON.stringify(kids[repeated])}, the kid of an earlier key`,
    )
  return [{ ...first, privateJwk }, ...others]
}

function checkKey(key: SigningKey, option: string): CheckedKey {
  const { material, kid } = unwrapKey(key, option)
  const keyObject = toKeyObject(material, option)
  const alg = algorithmFor(keyObject, option)
  if (isJwk(material)) assertSameUse(material, alg, option)
  const publicKey = keyObject.type === 'private' ? createPublicKey(keyObject) : keyObject
  const jwk = publicKey.export({ format: 'jwk' })
  const checkedKid = kid ?? jwkThumbprint(jwk)
  if (checkedKid === '')
    throw new ConfigurationError(option, 'must have a kid, got an empty kid; omit it to use the thumbprint')
  if (keyObject.type === 'private') assertMatchingParts(keyObject, publicKey, option)
  return {
    kid: checkedKid,
    alg,
    publicJwk: { ...pickPublicMembers(jwk), kid: checkedKid, alg, use: 'sig' } as PublicJwk,
    privateJwk: keyObject.type === 'private' ? keyObject.export({ format: 'jwk' }) : null,
  }
}

function unwrapKey(key: SigningKey, option: string): { material: KeyMaterial; kid: string | undefined } {
  if (typeof key === 'string' || key instanceof KeyObject) return { material: key, kid: undefined }
  if (typeof (key as unknown) !== 'object' || (key as unknown) === null)
    throw new ConfigurationError(option, `must be a JWK, a PEM text or a KeyObject, got ${describeValue(key)}`)
  const wrapped = key as { key?: KeyMaterial; kid?: unknown }
  const { kid } = wrapped
  if (kid !== undefined && typeof kid !== 'string')
    throw new ConfigurationError(option, `must have text as kid, got ${describeValue(kid)}`)
  if (wrapped.key === undefined) return { material: key, kid }
  const inner = unwrapKey(wrapped.key, option)
  return { material: inner.material, kid: kid ?? inner.kid }
}

function isJwk(material: KeyMaterial): material is JsonWebKey {
  return typeof material !== 'string' && !(material instanceof KeyObject)
}

function toKeyObject(material: KeyMaterial, option: string): KeyObject {
  if (material instanceof KeyObject) return material
  if (typeof material === 'string' && material.trimStart().startsWith('{'))
    throw new ConfigurationError(option, 'must be a JWK as an object, got JSON text; use JSON.parse')
  if (isJwk(material) && material.kty === 'oct')
    throw new ConfigurationError(
      option,
      'must be an EC, Ed25519 or RSA key, got a symmetric key, with which every verifier could sign',
    )
  try {
    if (typeof material === 'string')
      return material.includes('PRIVATE KEY') ? createPrivateKey(material) : createPublicKey(material)
    const input = { key: material, format: 'jwk' } as const
    return material.d === undefined ? createPublicKey(input) : createPrivateKey(input)
  } catch (error) {
    // The error code of OpenSSL describes the encoding and contains no key material.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new ConfigurationError(
      option,
      `must be a JWK, a PEM text or a KeyObject, got a text or an object that cannot be parsed (${code}); decrypt an encrypted PEM first`,
    )
  }
}

function algorithmFor(key: KeyObject, option: string): SigningAlgorithm {
  const { asymmetricKeyType, asymmetricKeyDetails } = key
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256'
  if (asymmetricKeyType === 'ed25519') return 'EdDSA'
  const bits = asymmetricKeyDetails?.modulusLength ?? 0
  if (asymmetricKeyType === 'rsa' && bits >= MIN_RSA_BITS) return 'RS256'
  const type = [asymmetricKeyType ?? 'symmetric', asymmetricKeyDetails?.namedCurve].filter(Boolean).join(' ')
  const got = asymmetricKeyType === 'rsa' ? `an RSA key of ${String(bits)} bits` : `a key of type ${type}`
  throw new ConfigurationError(
    option,
    `must be a key of EC P-256 (ES256), Ed25519 (EdDSA) or RSA with ${String(MIN_RSA_BITS)} bits or more (RS256), got ${got}`,
  )
}

function assertSameUse(jwk: JsonWebKey, alg: SigningAlgorithm, option: string): void {
  const stated = jwk['alg']
  // RFC 9864 defines the name Ed25519 for EdDSA over Ed25519.
  if (stated !== undefined && stated !== alg && !(alg === 'EdDSA' && stated === 'Ed25519'))
    throw new ConfigurationError(option, `must have the alg of its key type, ${alg}, got alg ${JSON.stringify(stated)}`)
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig')
    throw new ConfigurationError(option, `must have use "sig" or none, got use ${JSON.stringify(jwk['use'])}`)
}

function assertMatchingParts(privateKey: KeyObject, publicKey: KeyObject, option: string): void {
  const message = Buffer.from('baton')
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  let matching: boolean
  try {
    matching = verify(digest, message, publicKey, sign(digest, message, privateKey))
  } catch {
    matching = false
  }
  if (!matching)
    throw new ConfigurationError(
      option,
      'must have a private and a public part of one key, got parts that do not match',
    )
}
