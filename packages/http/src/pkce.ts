import { createHash, timingSafeEqual } from 'node:crypto'

/** Claims that this is how a code verifier looks (RFC 7636 section 4.1). */
function isVerifier(text: string): boolean {
  return /^[A-Za-z0-9._~-]{43,128}$/.test(text)
}

/** Claims that this is how a challenge by S256 looks: a SHA-256 hash in base64url. */
export function isChallenge(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9_-]{43}$/.test(text)
}

/** Claims that `verifier` is what `challenge` was made from, by S256 and nothing else (RFC 7636 section 4.6). Constant time. */
export function answers(verifier: string, challenge: string): boolean {
  if (!isVerifier(verifier) || !isChallenge(challenge)) return false
  const made = createHash('sha256').update(verifier).digest('base64url')
  return timingSafeEqual(Buffer.from(made), Buffer.from(challenge))
}
