import { type KeyObject, verify } from 'node:crypto'
import { isJwtType } from '../crypto/jwt-type.js'
import { decodeCanonical, decodeObject, splitJwt } from '../crypto/compact-jwt.js'
import type { AccessTokenClaims, Verification } from './access-token.js'
import { parseClaims } from './claims.js'
import type { SigningAlgorithm } from './signing-keys.js'

/** The media type of access tokens (RFC 9068 section 2.1). */
export const ACCESS_TOKEN_TYPE = 'at+jwt'

/** Returns true if the signature of a text is valid. */
export type SignatureVerifier = (signedText: string, signature: Uint8Array) => boolean

interface VerificationKey {
  /** Only tokens with exactly this algorithm are verified with the key (RFC 8725 section 3.1). */
  readonly alg: SigningAlgorithm
  readonly isSignatureValid: SignatureVerifier
}

interface JwtVerifierOptions {
  readonly issuer: string
  readonly findKey: (kid: string) => VerificationKey | undefined
}

/**
 * Creates a function that verifies the access tokens of an issuer (RFC 9068 section 4) except for the audience. It runs synchronously and
 * does not throw. The signature is checked last, because it takes far more time than everything else.
 */
export function createJwtVerifier({
  issuer,
  findKey,
}: JwtVerifierOptions): (accessToken: string, now: number) => Verification<AccessTokenClaims> {
  const decodeHeader = memoizeLast(decodeObject)
  return (accessToken, now) => {
    const jwt = splitJwt(accessToken)
    const header = jwt && decodeHeader(jwt.header)
    if (jwt === null || header === null) return INVALID
    const { alg, kid, typ, crit } = header
    const key = typeof kid === 'string' ? findKey(kid) : undefined
    // No extension is known, so that every critical one must be rejected (RFC 7515 section 4.1.11).
    if (key?.alg !== alg || key === undefined || crit !== undefined || !isJwtType(typ, ACCESS_TOKEN_TYPE))
      return INVALID
    const payload = decodeObject(jwt.payload)
    const claims = payload && parseClaims(payload)
    const signature = decodeCanonical(jwt.signature)
    if (claims === null || signature === null || claims.iss !== issuer || !isCurrent(claims, now)) return INVALID
    return key.isSignatureValid(jwt.signedText, signature) ? { claims } : FORGED
  }
}

/** Keeps the last result: all tokens of a key have the same header. */
function memoizeLast<Result>(compute: (text: string) => Result): (text: string) => Result {
  let last: { readonly text: string; readonly result: Result } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, result: compute(text) }
    return last.result
  }
}

/** Found out in microseconds, so that it need not be cached. */
const INVALID = { claims: null, isFinal: false } as const
/** The same text will never have a valid signature of the key with this `kid`. */
const FORGED = { claims: null, isFinal: true } as const

/** Returns true if the token is valid at `now` by `exp` and `nbf`, in whole seconds. */
function isCurrent({ exp, nbf }: AccessTokenClaims, now: number): boolean {
  const nowSeconds = Math.floor(now / 1000)
  return exp > nowSeconds && (nbf === undefined || (typeof nbf === 'number' && nbf <= nowSeconds))
}

/** Returns a function that verifies signatures with a key that has been parsed once. It runs synchronously in this thread. */
export function signatureVerifier(alg: SigningAlgorithm, key: KeyObject): SignatureVerifier {
  const digest = alg === 'EdDSA' ? null : 'sha256'
  const material = alg === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  return (signedText, signature) => {
    try {
      return verify(digest, Buffer.from(signedText, 'latin1'), material, signature)
    } catch {
      // OpenSSL throws for some malformed signatures.
      return false
    }
  }
}
