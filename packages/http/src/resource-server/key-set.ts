import { createPublicKey } from 'node:crypto'
import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose'
import { isAsymmetric, type JsonWebKey, pickPublicMembers, PRIVATE_MEMBERS } from '../crypto/jwk.js'
import { IssuerError, quote } from './issuer-error.js'

/** The accepted signature algorithms of access tokens and the keys for them (RFC 7518 section 3.1, RFC 8037, RFC 9864). None is symmetric. */
const KEY_TYPES = {
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  Ed25519: { kty: 'OKP', crv: 'Ed25519' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
} as const satisfies Readonly<Record<string, { readonly kty: string; readonly crv?: string }>>

/** A signature algorithm of access tokens that another server issues. */
export type VerificationAlgorithm = keyof typeof KEY_TYPES

export const VERIFICATION_ALGORITHMS = Object.keys(KEY_TYPES) as readonly VerificationAlgorithm[]

const DOCUMENT = 'the key set'
const MAX_KEYS = 100
const MIN_RSA_BITS = 2048

/** The public keys of an issuer. */
export interface KeySet {
  /** Equal for sets of the same keys. */
  readonly fingerprint: string
  /** Returns the key for the header of a token. Rejects with an error of jose, or with `IssuerError` for an unusable key. */
  readonly getKey: JWTVerifyGetKey
}

/** Returns true for the error of `getKey` if the key set has no key for the token; a newer key set may have one. */
export function isUnknownKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey
}

/**
 * Parses the JWK set of an issuer (RFC 7517 section 5). Keys for other purposes or of unknown types are ignored. Throws `IssuerError` for
 * a set that is ambiguous, has an invalid key or has no key for signatures.
 */
export function parseKeySet({ keys }: Readonly<Record<string, unknown>>): KeySet {
  if (!Array.isArray(keys)) throw new IssuerError(DOCUMENT, 'has no list "keys"')
  if (keys.length > MAX_KEYS)
    throw new IssuerError(DOCUMENT, `has ${String(keys.length)} keys, expected at most ${String(MAX_KEYS)}`)
  const usable = keys.filter(isSignatureKey).map(toPublicJwk)
  if (usable.length === 0) throw new IssuerError(DOCUMENT, 'has no public key for signatures')
  assertDistinct(usable)
  const find = createLocalJWKSet({ keys: usable })
  return {
    fingerprint: JSON.stringify(usable),
    async getKey(header, token) {
      try {
        return await find(header, token)
      } catch (error) {
        if (TOKEN_FAULTS.some((fault) => error instanceof fault)) throw error
        throw new IssuerError(DOCUMENT, 'has a key that cannot be imported', { cause: error })
      }
    },
  }
}

/** The errors of a key set that only the header of a token causes. */
const TOKEN_FAULTS = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported]

interface SignatureKey extends JsonWebKey {
  readonly kty: string
  readonly alg?: VerificationAlgorithm
}

function isSignatureKey(value: unknown): value is SignatureKey {
  if (typeof value !== 'object' || value === null || !isAsymmetric(value)) return false
  const { use = 'sig', key_ops: operations = ['verify'], alg, crv } = value as Readonly<Record<string, unknown>>
  const isKnown = crv === undefined || CURVES.has(crv)
  const isForVerification = use === 'sig' && Array.isArray(operations) && operations.includes('verify')
  return isKnown && isForVerification && (alg === undefined || ALGORITHMS.has(alg))
}

const ALGORITHMS: ReadonlySet<unknown> = new Set(VERIFICATION_ALGORITHMS)
const CURVES: ReadonlySet<unknown> = new Set(
  Object.values(KEY_TYPES).flatMap((type) => ('crv' in type ? type.crv : [])),
)

/** Keeps only the members that matter, so that another order or a new certificate is not a new key. */
function toPublicJwk(key: SignatureKey): JWK {
  const { kid, alg } = key
  const document = kid === undefined ? DOCUMENT : `${DOCUMENT}: the key with the kid ${quote(kid)}`
  if (kid !== undefined && typeof (kid as unknown) !== 'string')
    throw new IssuerError(DOCUMENT, 'has a kid that is not a string')
  if (PRIVATE_MEMBERS.some((name) => name in key))
    throw new IssuerError(document, 'has private members; this key must be replaced, because anyone can sign with it')
  if (alg !== undefined && !fits(key, alg))
    throw new IssuerError(
      document,
      `has the alg ${alg}, which does not fit its kty ${key.kty} and crv ${quote(key.crv)}`,
    )
  const jwk = pickPublicMembers(key)
  assertStrong(jwk, document)
  return { ...jwk, kty: key.kty, ...(kid === undefined ? {} : { kid }), ...(alg === undefined ? {} : { alg }) }
}

function fits({ kty, crv }: SignatureKey, alg: VerificationAlgorithm): boolean {
  const expected: { readonly kty: string; readonly crv?: string } = KEY_TYPES[alg]
  return kty === expected.kty && crv === expected.crv
}

function assertStrong(jwk: JsonWebKey, document: string): void {
  let bits: number | undefined
  try {
    bits = createPublicKey({ key: jwk, format: 'jwk' }).asymmetricKeyDetails?.modulusLength
  } catch (cause) {
    throw new IssuerError(document, 'has members that do not form a key', { cause })
  }
  if (bits !== undefined && bits < MIN_RSA_BITS)
    throw new IssuerError(document, `is an RSA key of ${String(bits)} bits, expected ${String(MIN_RSA_BITS)} or more`)
}

/** With two keys of one `kid`, which key verifies a token would depend on their order. */
function assertDistinct(keys: readonly JWK[]): void {
  const seen = new Set<string | undefined>()
  for (const { kid } of keys) {
    if (seen.has(kid))
      throw new IssuerError(
        DOCUMENT,
        kid === undefined ? 'has several keys without kid' : `has several keys with the kid ${quote(kid)}`,
      )
    seen.add(kid)
  }
}
