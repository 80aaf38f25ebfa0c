import { createHash } from 'node:crypto'

/** Identifies a token without revealing it: eight hex digits of a hash, enough for a demonstration. */
export function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 8)
}

/** Returns the family of an access token. Does not verify the token. */
export function readFamilyId(accessToken: string): string | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
    return readString(claims, 'sid')
  } catch {
    return null
  }
}

/** Returns a member of a parsed value if it is a string. */
export function readString(value: unknown, name: string): string | null {
  if (typeof value !== 'object' || value === null) return null
  const found: unknown = Reflect.get(value, name)
  return typeof found === 'string' ? found : null
}
