import type { FamilyId } from '../model/family.js'
import { declareOptions, listOf, type OptionsOf, secret, withDefault } from '../options.js'
import { createKeyRing } from './keys.js'
import { readTokenHeader, parseToken, tokenPrefix } from './format.js'

const describeTokenOptions = declareOptions({
  /** The secrets that may have signed the token. Default: none, so that `authentic` is null. */
  secrets: withDefault(listOf(secret()), []),
  /** As in `createRefreshTokens`. */
  tokenPrefix,
})

export type DescribeTokenOptions = OptionsOf<typeof describeTokenOptions>

/** The parts of a refresh token that are not secret. */
export interface TokenDescription {
  readonly familyId: FamilyId
  readonly generation: number
  /** When the family was created, in epoch milliseconds, rounded down to a second. */
  readonly createdAt: number
  /** True if every request with the token must prove possession of a key. */
  readonly bound: boolean
  /** The id of the secret that signed the token. */
  readonly keyId: string
  /**
   * True if one of the secrets signed the token; false for a forged token and for another secret; null without secrets. An authentic token
   * may be revoked or expired.
   */
  readonly authentic: boolean | null
}

/**
 * Decodes a token without the store, for debugging. Returns null for text that is not a token of Baton. Throws `ConfigurationError` for
 * invalid options.
 *
 * @example
 * ```ts
 * import { describeToken } from '@baton/core'
 *
 * const [, , refreshToken = ''] = process.argv
 * console.log(describeToken(refreshToken)?.familyId)
 * ```
 */
export function describeToken(refreshToken: string, options?: DescribeTokenOptions): TokenDescription | null {
  const { secrets, tokenPrefix } = describeTokenOptions.parse('describeToken', options)
  const head = readTokenHeader(refreshToken, tokenPrefix)
  if (head === null) return null
  const { familyId, generation, createdAtSeconds, bound, keyId } = head
  const authentic =
    secrets.length === 0 ? null : parseToken(refreshToken, tokenPrefix, createKeyRing(secrets)).kind === 'authentic'
  return { familyId, generation, createdAt: createdAtSeconds * 1000, bound, keyId, authentic }
}
