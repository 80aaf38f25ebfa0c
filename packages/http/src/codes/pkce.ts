import { createHash, timingSafeEqual } from 'node:crypto'

/** The form of an S256 code challenge: a SHA-256 hash in base64url (RFC 7636 section 4.2). */
export const CODE_CHALLENGE = /^[A-Za-z0-9_-]{43}$/

/** The form of a code verifier (RFC 7636 section 4.1). */
const CODE_VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/

/** Returns true if the S256 challenge was made from this verifier (RFC 7636 section 4.6). Compares in constant time. */
export function isVerifierFor(verifier: string, challenge: string): boolean {
  if (!CODE_VERIFIER.test(verifier) || !CODE_CHALLENGE.test(challenge)) return false
  const expected = createHash('sha256').update(verifier).digest('base64url')
  return timingSafeEqual(Buffer.from(expected), Buffer.from(challenge))
}
