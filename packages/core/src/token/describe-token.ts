import type { FamilyId } from '../model/family.js'
import { createKeyRing } from './keys.js'
import { readTokenHeader, parseToken } from './format.js'

/** What a refresh token says about itself to whoever has it. Nothing in here is secret. */
export interface TokenDescription {
  readonly familyId: FamilyId
  readonly generation: number
  /** When its family began, in epoch milliseconds of a whole second. */
  readonly createdAt: number
  /** It works only with the proof of a key. */
  readonly bound: boolean
  /** Names the secret under which it was made. */
  readonly keyId: string
  /**
   * Whether one of the secrets made it: false for a forgery, or for a token under a secret that is not among them; null where no
   * secrets were given. Whether it still works only the store knows.
   */
  readonly authentic: boolean | null
}

/**
 * Reads a token offline, for a person who has one and wonders what it is. Null for what does not look like a token of ours. Throws
 * `ConfigurationError` for secrets that cannot be.
 */
export function describeToken(
  refreshToken: string,
  {
    secrets = [],
    tokenPrefix = 'brt_',
  }: { readonly secrets?: readonly (string | Uint8Array)[]; readonly tokenPrefix?: string } = {},
): TokenDescription | null {
  const head = readTokenHeader(refreshToken, tokenPrefix)
  if (head === null) return null
  const { familyId, generation, createdAtSeconds, bound, keyId } = head
  const authentic =
    secrets.length === 0 ? null : parseToken(refreshToken, tokenPrefix, createKeyRing(secrets)).kind === 'authentic'
  return { familyId, generation, createdAt: createdAtSeconds * 1000, bound, keyId, authentic }
}
