import type { Confirmation } from '@baton/core'

/** Returns the `token_type` for a confirmation. A token that is bound to a certificate is a bearer token (RFC 8705 section 3). */
export function tokenTypeFor(confirmation: Confirmation | null): 'Bearer' | 'DPoP' {
  return confirmation !== null && 'jkt' in confirmation ? 'DPoP' : 'Bearer'
}
