import { generateKeyPairSync, sign } from 'node:crypto'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** What the client `service` has registered. */
export const SERVICE_KEY = publicKey.export({ format: 'jwk' })

/** An assertion by which `service` authenticates (RFC 7523); `now` is epoch milliseconds. */
export function assertionBy({ aud, jti, now }: { aud: string; jti: string; now: number }): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const claims = { iss: 'service', sub: 'service', aud, jti, iat: now / 1000, exp: now / 1000 + 60 }
  const input = `${encode({ alg: 'ES256' })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}
