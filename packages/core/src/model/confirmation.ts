import { type Rule, text } from '../options.js'
import { ConfigurationError } from './errors.js'
import { isSameText } from './same-text.js'
import { assertObject } from './validate.js'

/**
 * The key that a token is bound to, as in a `cnf` claim (RFC 7800): the JWK thumbprint of a DPoP key (RFC 9449 section 6.1) or the
 * SHA-256 thumbprint of a client certificate (RFC 8705 section 3.1), both in base64url.
 */
export type Confirmation = { readonly jkt: string } | { readonly 'x5t#S256': string }

/**
 * Returns the text that verifiers are computed over, such as `jkt:…`; empty for no confirmation.
 *
 * @example
 * ```ts
 * import { serializeConfirmation } from '@baton/core'
 *
 * serializeConfirmation({ jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' }) // 'jkt:0ZcOCORZNYy-…'
 * ```
 */
export function serializeConfirmation(confirmation: Confirmation | null): string {
  if (confirmation === null) return ''
  return 'jkt' in confirmation ? `jkt:${confirmation.jkt}` : `x5t#S256:${confirmation['x5t#S256']}`
}

/**
 * Returns true if both name the same key, or both are null. Compares in constant time.
 *
 * @example
 * ```ts
 * import { type Confirmation, isSameConfirmation } from '@baton/core'
 *
 * const isBoundTo = (family: { confirmation: Confirmation | null }, jkt: string) =>
 *   isSameConfirmation(family.confirmation, { jkt })
 * ```
 */
export function isSameConfirmation(one: Confirmation | null, other: Confirmation | null): boolean {
  return isSameText(serializeConfirmation(one), serializeConfirmation(other))
}

const thumbprint = text()

/** The rule for options that take a confirmation. */
export const confirmation: Rule<Confirmation> = {
  expected: "an object with one member, jkt or x5t#S256, such as { jkt: '…' } (RFC 7800)",
  parse(value, option) {
    assertObject(option, value)
    const [[member, given] = [], ...others] = Object.entries(value)
    if (others.length === 0 && member === 'jkt') return { jkt: thumbprint.parse(given, `${option}.jkt`) }
    if (others.length === 0 && member === 'x5t#S256')
      return { 'x5t#S256': thumbprint.parse(given, `${option}.x5t#S256`) }
    throw new ConfigurationError(option, `must be ${confirmation.expected}`)
  },
}
