import { createHash, timingSafeEqual } from 'node:crypto'
import { ConfigurationError } from '@baton/core'

/** 160 bits in base64: RFC 6749 section 10.10 wants no less of a secret that nobody has to remember. */
const LEAST_LENGTH = 27

/** A hash made by `hashClientSecret`; with `expiresAt` (epoch milliseconds) the secret stops working then. */
export type SecretHash = string | { readonly hash: string; readonly expiresAt: number }

const FORM = /^sha256:[A-Za-z0-9_-]{43}$/
/** Stands in for the hash of a client that does not exist or has none; no secret that anybody knows hashes to it. */
const NOBODY = `sha256:${'A'.repeat(43)}`

/**
 * The form in which a client's secret may be stored: `sha256:…`. A fast hash is enough for random secrets and for nothing else, so
 * anything under 27 characters is refused; make one with `openssl rand -hex 32`.
 */
export function hashClientSecret(secret: string): string {
  if (typeof secret !== 'string' || secret.length < LEAST_LENGTH)
    throw new ConfigurationError(
      'secret',
      `is under ${String(LEAST_LENGTH)} characters, so its hash could be guessed back; make one with: openssl rand -hex 32`,
    )
  return hashOf(secret)
}

/** For secrets whose hash never leaves this process: guessing them offline takes a memory dump, which has more than hashes. */
export function hashOf(secret: string): string {
  return `sha256:${createHash('sha256').update('baton/client-secret/v1\0').update(secret).digest('base64url')}`
}

export function isSecretHash(value: unknown): value is SecretHash {
  if (typeof value === 'string') return FORM.test(value)
  if (typeof value !== 'object' || value === null || !('hash' in value) || !('expiresAt' in value)) return false
  return typeof value.hash === 'string' && FORM.test(value.hash) && Number.isFinite(value.expiresAt)
}

/** The hashes of secrets that work at `now`. */
export function liveHashes(hashes: readonly SecretHash[], now: number): string[] {
  return hashes.flatMap((entry) => {
    if (typeof entry === 'string') return entry
    return now < entry.expiresAt ? entry.hash : []
  })
}

/** Takes the same time whether there are hashes or not, and whether one of them matches or not. */
export function isSecretOf(hashes: readonly string[] | null, secret: string): boolean {
  const presented = Buffer.from(hashOf(secret))
  let isMatch = false
  for (const hash of hashes === null || hashes.length === 0 ? [NOBODY] : hashes) {
    const stored = Buffer.from(hash)
    if (stored.length === presented.length && timingSafeEqual(stored, presented)) isMatch = true
  }
  return isMatch
}
