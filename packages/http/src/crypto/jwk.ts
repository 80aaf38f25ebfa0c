import { createHash, type webcrypto } from 'node:crypto'

/** A JSON Web Key (RFC 7517). Derived from the Web Crypto type, which all versions of the Node.js declarations contain. */
export type JsonWebKey = Pick<webcrypto.JsonWebKey, keyof webcrypto.JsonWebKey> & { kid?: string }

/** The members of a public key, in the order of RFC 7638 section 3.2. */
const PUBLIC_MEMBERS = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
} as const

/** Members that a public key must not have. */
export const PRIVATE_MEMBERS: readonly string[] = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** Returns the members of the public key only: no private member, `use` or `alg`. */
export function pickPublicMembers(jwk: JsonWebKey): JsonWebKey {
  const members = PUBLIC_MEMBERS[jwk.kty as keyof typeof PUBLIC_MEMBERS]
  return Object.fromEntries(members.map((name) => [name, jwk[name]]))
}

/** Returns true for a key type with public keys. */
export function isAsymmetric({ kty }: { readonly kty?: unknown }): boolean {
  return typeof kty === 'string' && Object.hasOwn(PUBLIC_MEMBERS, kty)
}

/** Returns the SHA-256 thumbprint of a key (RFC 7638). */
export function jwkThumbprint(jwk: JsonWebKey): string {
  return createHash('sha256')
    .update(JSON.stringify(pickPublicMembers(jwk)))
    .digest('base64url')
}
