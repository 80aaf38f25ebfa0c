import { compactVerify, importJWK } from 'jose'
import { isCompactJwt, parseJsonObject } from '../../crypto/compact-jwt.js'
import { isAsymmetric, PRIVATE_MEMBERS, pickPublicMembers, jwkThumbprint } from '../../crypto/jwk.js'
import { isJwtType } from '../../crypto/jwt-type.js'

/** The accepted signature algorithms of proofs, in order of preference. None of them is symmetric. */
export const PROOF_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA', 'ES384', 'PS256', 'RS256'] as const
export type ProofAlgorithm = (typeof PROOF_ALGORITHMS)[number]

/** A proof with a valid signature of the key that it contains. Its claims have not been checked yet. */
export interface Proof {
  /** Thumbprint of the key (RFC 7638). */
  readonly jkt: string
  readonly jti: string
  readonly htm: string
  readonly htu: string
  /** NumericDate: seconds. */
  readonly iat: number
  readonly nonce: string | null
  readonly ath: string | null
}

/** A proof with an RSA key of 4096 bits has about 2500 characters. */
const MAX_LENGTH = 4096
const TYPE = 'dpop+jwt'

/** 4096 bits. An attacker could cause excessive work with longer keys. */
const MAX_MODULUS_LENGTH = 683
/** Four bytes. With a long exponent, verification takes as long as signing. */
const MAX_EXPONENT_LENGTH = 6

/** Parses a proof and verifies its signature (RFC 9449 sections 4.2 and 4.3). Returns null for an invalid proof and never rejects. */
export async function parseProof(text: string, algorithms: readonly ProofAlgorithm[]): Promise<Proof | null> {
  if (text.length > MAX_LENGTH || !isCompactJwt(text)) return null
  const header = parseJsonObject(Buffer.from(text.slice(0, text.indexOf('.')), 'base64url'))
  if (header === null || !isJwtType(header['typ'], TYPE)) return null
  const algorithm = algorithms.find((candidate) => candidate === header['alg'])
  const jwk = algorithm === undefined ? null : parsePublicKey(header['jwk'], algorithm)
  if (algorithm === undefined || jwk === null) return null
  try {
    const key = await importJWK({ ...jwk }, algorithm)
    const { payload } = await compactVerify(text, key, { algorithms: [algorithm] })
    const claims = parseJsonObject(payload)
    return claims === null ? null : toProof(claims, jwkThumbprint(jwk))
  } catch {
    // Only the proof can cause an error here: it contains all input.
    return null
  }
}

function toProof({ jti, htm, htu, iat, nonce = null, ath = null }: Record<string, unknown>, jkt: string): Proof | null {
  if (typeof jti !== 'string' || jti === '' || typeof htm !== 'string' || typeof htu !== 'string') return null
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return null
  if (!isTextOrNull(nonce) || !isTextOrNull(ath)) return null
  return { jkt, jti, htm, htu, iat, nonce, ath }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}

/** Returns the public members of a key, or null for a private, symmetric or oversized key and for one that is not in canonical encoding. */
function parsePublicKey(value: unknown, algorithm: string): ReturnType<typeof pickPublicMembers> | null {
  if (typeof value !== 'object' || value === null) return null
  const stated = value as Record<string, unknown>
  if (!isAsymmetric(stated) || PRIVATE_MEMBERS.some((name) => name in stated)) return null
  if (stated['alg'] !== undefined && stated['alg'] !== algorithm) return null
  const jwk = pickPublicMembers(stated)
  const { kty, crv = '', ...numbers } = jwk
  if (typeof kty !== 'string' || typeof crv !== 'string' || !Object.values(numbers).every(isCanonical)) return null
  const isBounded = (jwk.n ?? '').length <= MAX_MODULUS_LENGTH && (jwk.e ?? '').length <= MAX_EXPONENT_LENGTH
  return isBounded ? jwk : null
}

/** A key must have exactly one encoding, and therefore one thumbprint. */
function isCanonical(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && Buffer.from(value, 'base64url').toString('base64url') === value
}
