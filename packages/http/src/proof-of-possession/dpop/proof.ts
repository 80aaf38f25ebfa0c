import { compactVerify, importJWK } from 'jose'
import { isAsymmetric, PRIVATE_MEMBERS, publicMembersOf, thumbprintOf } from '../../crypto/jwk.js'
import { isJwtType } from '../../crypto/jwt-type.js'

/** What proofs may be signed with, best first. None of them is symmetric. */
export const PROOF_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA', 'ES384', 'PS256', 'RS256'] as const
export type ProofAlgorithm = (typeof PROOF_ALGORITHMS)[number]

/** A proof whose signature fits the key that it brought: whoever made it has that key. Nothing else has been judged yet. */
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

/** A proof by an RSA key of 4096 bits takes about 2500. */
const MAX_LENGTH = 4096
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const TYPE = 'dpop+jwt'

/** 4096 bits: checking a signature by a longer key would be work that anybody can order. */
const MAX_MODULUS_LENGTH = 683
/** Four bytes: with a long exponent, checking takes as long as signing. */
const MAX_EXPONENT_LENGTH = 6

/** Reads a proof and verifies its signature (RFC 9449 sections 4.2 and 4.3); null for anything that is none. Never rejects. */
export async function readProof(text: string, algorithms: readonly ProofAlgorithm[]): Promise<Proof | null> {
  if (text.length > MAX_LENGTH || !COMPACT.test(text)) return null
  const header = membersOf(Buffer.from(text.slice(0, text.indexOf('.')), 'base64url'))
  if (header === null || !isJwtType(header['typ'], TYPE)) return null
  const algorithm = algorithms.find((candidate) => candidate === header['alg'])
  const jwk = algorithm === undefined ? null : publicKeyOf(header['jwk'], algorithm)
  if (algorithm === undefined || jwk === null) return null
  try {
    const key = await importJWK({ ...jwk }, algorithm)
    const { payload } = await compactVerify(text, key, { algorithms: [algorithm] })
    const claims = membersOf(payload)
    return claims === null ? null : proofOf(claims, thumbprintOf(jwk))
  } catch {
    // Whatever goes wrong here is the proof's fault: everything came with it.
    return null
  }
}

function proofOf({ jti, htm, htu, iat, nonce = null, ath = null }: Record<string, unknown>, jkt: string): Proof | null {
  if (typeof jti !== 'string' || jti === '' || typeof htm !== 'string' || typeof htu !== 'string') return null
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return null
  if (!isTextOrNull(nonce) || !isTextOrNull(ath)) return null
  return { jkt, jti, htm, htu, iat, nonce, ath }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}

/** The key without anything but what makes it one; null for private, symmetric and oversized ones, and for a second spelling. */
function publicKeyOf(value: unknown, algorithm: string): ReturnType<typeof publicMembersOf> | null {
  if (typeof value !== 'object' || value === null) return null
  const stated = value as Record<string, unknown>
  if (!isAsymmetric(stated) || PRIVATE_MEMBERS.some((name) => name in stated)) return null
  if (stated['alg'] !== undefined && stated['alg'] !== algorithm) return null
  const jwk = publicMembersOf(stated)
  const { kty, crv = '', ...numbers } = jwk
  if (typeof kty !== 'string' || typeof crv !== 'string' || !Object.values(numbers).every(isCanonical)) return null
  const isBounded = (jwk.n ?? '').length <= MAX_MODULUS_LENGTH && (jwk.e ?? '').length <= MAX_EXPONENT_LENGTH
  return isBounded ? jwk : null
}

/** One key, one spelling, one thumbprint. */
function isCanonical(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && Buffer.from(value, 'base64url').toString('base64url') === value
}

/** The members of a JSON object in strict UTF-8. */
function membersOf(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}
