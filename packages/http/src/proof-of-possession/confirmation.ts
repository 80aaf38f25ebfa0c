import type { Confirmation } from '@baton/core'

/** How a token with this confirmation is sent: a certificate changes nothing in the header (RFC 8705 section 3). */
export function tokenTypeOf(confirmation: Confirmation | null): 'Bearer' | 'DPoP' {
  return confirmation !== null && 'jkt' in confirmation ? 'DPoP' : 'Bearer'
}
