/** What `cnf` says of the key that an access token is bound to (RFC 7800). */
export type Confirmation = { readonly jkt: string } | { readonly 'x5t#S256': string }

/** The `cnf` of a token that is bound to `boundKey` (`jkt:…`, RFC 9449, or `x5t#S256:…`, RFC 8705); null for a bearer token. */
export function confirmationOf(boundKey: string | null): Confirmation | null {
  if (boundKey === null) return null
  const colon = boundKey.indexOf(':')
  const thumbprint = boundKey.slice(colon + 1)
  return boundKey.slice(0, colon) === 'jkt' ? { jkt: thumbprint } : { 'x5t#S256': thumbprint }
}

/** The `boundKey` that a `cnf` names: the inverse of `confirmationOf`. */
export function boundKeyOf(cnf: Confirmation): string {
  return 'jkt' in cnf ? `jkt:${cnf.jkt}` : `x5t#S256:${cnf['x5t#S256']}`
}

/** How a token that is bound to `boundKey` is sent: a certificate changes nothing in the header (RFC 8705 section 3). */
export function tokenTypeOf(boundKey: string | null): 'Bearer' | 'DPoP' {
  return boundKey?.startsWith('jkt:') === true ? 'DPoP' : 'Bearer'
}
