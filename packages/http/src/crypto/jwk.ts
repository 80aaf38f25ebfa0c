import { createHash, type webcrypto } from 'node:crypto'

/** A key as JSON (RFC 7517). By way of Web Crypto, which every version of Node's declarations has; the name beside it went away. */
export type JsonWebKey = Pick<webcrypto.JsonWebKey, keyof webcrypto.JsonWebKey> & { kid?: string }

/** The members that make up a public key, in the order that RFC 7638 section 3.2 hashes them in. */
const PUBLIC_MEMBERS = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
} as const

/** What no public key has. */
export const PRIVATE_MEMBERS: readonly string[] = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** The public key and nothing else: no private member, no statement about its use. */
export function publicMembersOf(jwk: JsonWebKey): JsonWebKey {
  const members = PUBLIC_MEMBERS[jwk.kty as keyof typeof PUBLIC_MEMBERS]
  return Object.fromEntries(members.map((name) => [name, jwk[name]]))
}

/** Claims that this is a kind of key that has a public half. */
export function isAsymmetric({ kty }: { readonly kty?: unknown }): boolean {
  return typeof kty === 'string' && Object.hasOwn(PUBLIC_MEMBERS, kty)
}

/** RFC 7638 with SHA-256. */
export function thumbprintOf(jwk: JsonWebKey): string {
  return createHash('sha256')
    .update(JSON.stringify(publicMembersOf(jwk)))
    .digest('base64url')
}
