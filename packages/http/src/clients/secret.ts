import { createHash, timingSafeEqual } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { describeValue, type Rule } from '@baton/core/options'

/** 160 bits in base64, the minimum of RFC 6749 section 10.10 for generated credentials. */
const MIN_LENGTH = 27

/** A hash from `hashClientSecret`; with `expiresAt` (epoch milliseconds) the secret is accepted until then. */
export type SecretHash = string | { readonly hash: string; readonly expiresAt: number }

const HASH = /^sha256:[A-Za-z0-9_-]{43}$/
/** Compared for a client that does not exist or has no secret; no known secret has this hash. */
const DUMMY_HASH = `sha256:${'A'.repeat(43)}`

/**
 * Returns the hash under which the secret of a client is stored: `sha256:…`. A fast hash is secure for random secrets only, so a
 * secret of less than 27 characters is rejected; create one with `openssl rand -hex 32`.
 *
 * @example
 * ```ts
 * import { hashClientSecret } from '@baton/http'
 *
 * const clients = [
 *   { clientId: 'backend', secretHashes: [hashClientSecret('3c1f0c57b0e94b0d8f0f2b6f7f4c9a35')] },
 * ]
 * ```
 */
export function hashClientSecret(secret: string): string {
  if (typeof secret === 'string' && secret.length >= MIN_LENGTH) return hashSecret(secret)
  // A secret that is too short must not be printed either.
  const got = typeof secret === 'string' ? `${String(secret.length)} characters` : describeValue(secret)
  throw new ConfigurationError(
    'secret',
    `must be at least ${String(MIN_LENGTH)} random characters, got ${got}; create one with: openssl rand -hex 32`,
  )
}

/** Hashes a secret of a static list without a minimum length: the hash never leaves this process. */
export function hashSecret(secret: string): string {
  return `sha256:${createHash('sha256').update('baton/client-secret/v1\0').update(secret).digest('base64url')}`
}

/** A hash from `hashClientSecret`. Messages do not repeat the value, which may be a secret in plain text. */
export function secretHash(): Rule<SecretHash> {
  const expected = 'a hash from hashClientSecret, or { hash, expiresAt }'
  return {
    expected,
    parse(value, option) {
      if (isSecretHash(value)) return value
      const got = typeof value === 'string' ? 'other text' : describeValue(value)
      throw new ConfigurationError(option, `must be ${expected}, got ${got}`)
    },
  }
}

function isSecretHash(value: unknown): value is SecretHash {
  if (typeof value === 'string') return HASH.test(value)
  if (typeof value !== 'object' || value === null || !('hash' in value) || !('expiresAt' in value)) return false
  return typeof value.hash === 'string' && HASH.test(value.hash) && Number.isFinite(value.expiresAt)
}

/** Returns the hashes of secrets that are accepted at `now`. */
export function unexpiredHashes(hashes: readonly SecretHash[], now: number): string[] {
  return hashes.flatMap((entry) => {
    if (typeof entry === 'string') return entry
    return now < entry.expiresAt ? entry.hash : []
  })
}

/** Returns true if the secret has one of these hashes. Takes the same time with or without hashes, and with or without a match. */
export function matchesSecret(hashes: readonly string[] | null, secret: string): boolean {
  const presented = Buffer.from(hashSecret(secret))
  let isMatch = false
  for (const hash of hashes === null || hashes.length === 0 ? [DUMMY_HASH] : hashes) {
    const stored = Buffer.from(hash)
    if (stored.length === presented.length && timingSafeEqual(stored, presented)) isMatch = true
  }
  return isMatch
}
