import { createHash } from 'node:crypto'

/** Tells tokens apart without showing them: eight hex digits of a hash, enough for a demonstration. */
export function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 8)
}

/** The family that an access token belongs to. Reads the claim only: whether the token is good is for the server to say. */
export function familyOf(accessToken: string): string | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())
    return textOf(claims, 'sid')
  } catch {
    return null
  }
}

/** A property of a value from the wire, if it is a string. */
export function textOf(value: unknown, name: string): string | null {
  if (typeof value !== 'object' || value === null) return null
  const found: unknown = Reflect.get(value, name)
  return typeof found === 'string' ? found : null
}
