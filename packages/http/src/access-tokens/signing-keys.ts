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
import { type JsonWebKey, publicMembersOf, thumbprintOf } from '../jwk.js'

/** What Baton signs access tokens with: `ES256` unless you have a reason, `EdDSA` (Ed25519), or `RS256` for old verifiers. */
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256'

/** A JWK (with `kid` and `alg` if you like), a PEM text, or a `KeyObject` of `node:crypto`. */
export type KeyMaterial = JsonWebKey | string | KeyObject

/** A key, or a key with the `kid` that it is published under. Default: its thumbprint (RFC 7638). */
export type SigningKey = KeyMaterial | { readonly key: KeyMaterial; readonly kid?: string }

/** A public key as it stands in a JWK set: no private member, with `kid`, `alg` and `use`. */
export type PublicJwk = Readonly<Record<string, string>> & {
  readonly kty: string
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly use: 'sig'
}

/** One key of the ring, checked. */
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

const LEAST_RSA_BITS = 2048
const LEAST_SECRET_BYTES = 32
/** The order of P-256's base point (FIPS 186-4, D.1.2.3). */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/**
 * Makes a private signing key, as a JWK that survives `JSON.stringify`. Keep it as you keep any secret, and give every instance
 * the same one: a key made anew at each start refuses all access tokens from before it.
 */
export function generateSigningKey(algorithm: SigningAlgorithm = 'ES256'): JsonWebKey {
  const { privateKey } = keyPairFor(algorithm)
  const jwk = privateKey.export({ format: 'jwk' })
  return { ...jwk, kid: thumbprintOf(jwk), alg: algorithm, use: 'sig' }
}

function keyPairFor(algorithm: SigningAlgorithm) {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: LEAST_RSA_BITS })
    default:
      throw new ConfigurationError('algorithm', `${JSON.stringify(algorithm)} is none of 'ES256', 'EdDSA', 'RS256'`)
  }
}

/**
 * Derives a private ES256 key from a secret: the same secret always yields the same key, so there is no key file to keep. The
 * derivation (HKDF-SHA-256 with a label of its own, reduced modulo the curve's order from 128 bits more than it has) tells
 * nothing about other keys derived from that secret. The secret must be at least 32 bytes and *random*: the public key is
 * published, so a passphrase could be guessed against it. Use a separate secret, not one of the refresh tokens: a reader of this
 * secret can forge access tokens, and a reader of the other one can forge nothing.
 * A ring is `signingSecrets.map((secret) => deriveSigningKey(secret))`.
 */
export function deriveSigningKey(secret: string | Uint8Array | undefined): JsonWebKey {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  // Callers without types reach this with process.env values.
  if (!(bytes instanceof Uint8Array) || bytes.length < LEAST_SECRET_BYTES)
    throw new ConfigurationError(
      'secret',
      `must be at least ${LEAST_SECRET_BYTES} random bytes; make some with: openssl rand -hex 32`,
    )
  const wide = Buffer.from(hkdfSync('sha256', bytes, 'baton/access-token/v1', 'ES256 signing key', 48))
  const scalar = (BigInt(`0x${wide.toString('hex')}`) % (P256_ORDER - 1n)) + 1n
  const d = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex')
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
  return { ...jwk, kid: thumbprintOf(jwk), alg: 'ES256', use: 'sig' }
}

/**
 * Checks `[current, ...older]`. The first one must be private and is made to sign, so that a wrong key shows here and not
 * after a rotation. Throws `ConfigurationError`, without key material in its message.
 */
export function checkKeys(keys: readonly SigningKey[]): readonly [CheckedSigningKey, ...CheckedKey[]] {
  // Callers without types reach this with a single key.
  if (!Array.isArray(keys) || keys.length === 0)
    throw new ConfigurationError(
      'keys',
      'must be a list of at least one private key; make one with generateSigningKey()',
    )
  const [first, ...others] = (keys as readonly SigningKey[]).map((key, index) => checkKey(key, `keys[${index}]`))
  if (first === undefined) throw new ConfigurationError('keys', 'is empty')
  const { privateJwk } = first
  if (privateJwk === null)
    throw new ConfigurationError('keys[0]', 'is a public key, but the first key signs; put a private key in front')
  const kids = [first, ...others].map(({ kid }) => kid)
  const repeated = kids.findIndex((kid, index) => kids.indexOf(kid) !== index)
  if (repeated !== -1)
    throw new ConfigurationError(`keys[${repeated}]`, `has the kid ${JSON.stringify(kids[repeated])} of an earlier key`)
  return [{ ...first, privateJwk }, ...others]
}

function checkKey(key: SigningKey, option: string): CheckedKey {
  const { material, kid } = unwrap(key, option)
  const keyObject = keyObjectOf(material, option)
  const alg = algorithmOf(keyObject, option)
  if (isJwk(material)) demandSameUse(material, alg, option)
  const publicKey = keyObject.type === 'private' ? createPublicKey(keyObject) : keyObject
  const jwk = publicKey.export({ format: 'jwk' })
  const checkedKid = kid ?? thumbprintOf(jwk)
  if (checkedKid === '') throw new ConfigurationError(option, 'has an empty kid; leave it out to use the thumbprint')
  if (keyObject.type === 'private') demandMatchingHalves(keyObject, publicKey, option)
  return {
    kid: checkedKid,
    alg,
    publicJwk: { ...publicMembersOf(jwk), kid: checkedKid, alg, use: 'sig' } as PublicJwk,
    privateJwk: keyObject.type === 'private' ? keyObject.export({ format: 'jwk' }) : null,
  }
}

function unwrap(key: SigningKey, option: string): { material: KeyMaterial; kid: string | undefined } {
  if (typeof key === 'string' || key instanceof KeyObject) return { material: key, kid: undefined }
  if (typeof (key as unknown) !== 'object' || (key as unknown) === null)
    throw new ConfigurationError(option, `must be a JWK, a PEM text or a KeyObject, got ${typeof key}`)
  const wrapped = key as { key?: KeyMaterial; kid?: unknown }
  const { kid } = wrapped
  if (kid !== undefined && typeof kid !== 'string')
    throw new ConfigurationError(option, 'has a kid that is not a string')
  if (wrapped.key === undefined) return { material: key, kid }
  const inner = unwrap(wrapped.key, option)
  return { material: inner.material, kid: kid ?? inner.kid }
}

function isJwk(material: KeyMaterial): material is JsonWebKey {
  return typeof material !== 'string' && !(material instanceof KeyObject)
}

function keyObjectOf(material: KeyMaterial, option: string): KeyObject {
  if (material instanceof KeyObject) return material
  if (typeof material === 'string' && material.trimStart().startsWith('{'))
    throw new ConfigurationError(option, 'is a JWK as text; give JSON.parse of it')
  if (isJwk(material) && material.kty === 'oct')
    throw new ConfigurationError(
      option,
      'is a symmetric key, which every verifier could sign with; use an EC, Ed25519 or RSA key',
    )
  try {
    if (typeof material === 'string')
      return material.includes('PRIVATE KEY') ? createPrivateKey(material) : createPublicKey(material)
    const input = { key: material, format: 'jwk' } as const
    return material.d === undefined ? createPublicKey(input) : createPrivateKey(input)
  } catch (error) {
    // The reason of OpenSSL names what is wrong with the encoding and quotes none of it.
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new ConfigurationError(
      option,
      `is not a key that can be read (${reason}); an encrypted PEM must be decrypted first`,
    )
  }
}

function algorithmOf(key: KeyObject, option: string): SigningAlgorithm {
  const { asymmetricKeyType, asymmetricKeyDetails } = key
  if (asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256'
  if (asymmetricKeyType === 'ed25519') return 'EdDSA'
  if (asymmetricKeyType === 'rsa') {
    const bits = asymmetricKeyDetails?.modulusLength ?? 0
    if (bits >= LEAST_RSA_BITS) return 'RS256'
    throw new ConfigurationError(option, `is an RSA key of ${bits} bits; at least ${LEAST_RSA_BITS} are needed`)
  }
  const got = [asymmetricKeyType ?? 'symmetric', asymmetricKeyDetails?.namedCurve].filter(Boolean).join(' ')
  throw new ConfigurationError(option, `is a key of type ${got}; use EC P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256)`)
}

function demandSameUse(jwk: JsonWebKey, alg: SigningAlgorithm, option: string): void {
  const stated = jwk['alg']
  // RFC 9864 gives EdDSA over Ed25519 a name of its own.
  if (stated !== undefined && stated !== alg && !(alg === 'EdDSA' && stated === 'Ed25519'))
    throw new ConfigurationError(
      option,
      `says alg ${JSON.stringify(stated)}, but keys of its type sign with ${alg} here`,
    )
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig')
    throw new ConfigurationError(
      option,
      `says use ${JSON.stringify(jwk['use'])}, but this key signs; set "sig" or leave it out`,
    )
}

function demandMatchingHalves(privateKey: KeyObject, publicKey: KeyObject, option: string): void {
  const message = Buffer.from('baton')
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  let matching: boolean
  try {
    matching = verify(digest, message, publicKey, sign(digest, message, privateKey))
  } catch {
    matching = false
  }
  if (!matching)
    throw new ConfigurationError(option, 'cannot sign: its private and its public part do not belong together')
}
