import { demandName, demandObject } from './demand.js'
import { ConfigurationError } from './errors.js'
import { sameText } from './same-text.js'

/**
 * The key that a token is bound to, as in a `cnf` claim (RFC 7800): the JWK thumbprint of a DPoP key (RFC 9449 section 6.1) or the
 * SHA-256 thumbprint of a client certificate (RFC 8705 section 3.1), both in base64url.
 */
export type Confirmation = { readonly jkt: string } | { readonly 'x5t#S256': string }

/** Returns the text that verifiers are computed over, such as `jkt:…`; empty for no confirmation. */
export function confirmationText(confirmation: Confirmation | null): string {
  if (confirmation === null) return ''
  return 'jkt' in confirmation ? `jkt:${confirmation.jkt}` : `x5t#S256:${confirmation['x5t#S256']}`
}

/** Returns true if both name the same key, or both are null. Compares in constant time. */
export function sameConfirmation(one: Confirmation | null, other: Confirmation | null): boolean {
  return sameText(confirmationText(one), confirmationText(other))
}

/** Throws `ConfigurationError` unless the value is a confirmation with one member. */
export function assertConfirmation(option: string, value: unknown): asserts value is Confirmation {
  demandObject(option, value)
  const members = Object.entries(value)
  const [member, thumbprint] = members[0] ?? []
  if (members.length !== 1 || (member !== 'jkt' && member !== 'x5t#S256'))
    throw new ConfigurationError(option, "must have one member, jkt or x5t#S256, such as { jkt: '…' } (RFC 7800)")
  demandName(`${option}.${member}`, thumbprint)
}
