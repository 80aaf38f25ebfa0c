import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { NOW } from './world.js'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { kty, crv, x, y } = publicKey.export({ format: 'jwk' })

/** A DPoP proof (RFC 9449) of this process's key, for a path of the server; the same claims make another proof of the same jti. */
export function prove(claims: {
  readonly jti: string
  readonly htm: string
  readonly path: string
  readonly nonce?: string
  readonly accessToken?: string
}): string {
  const { path, accessToken, ...others } = claims
  const ath = accessToken === undefined ? {} : { ath: createHash('sha256').update(accessToken).digest('base64url') }
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  const payload = { ...others, ...ath, htu: `http://localhost:3000${path}`, iat: NOW / 1000 }
  const input = `${encode(header)}.${encode(payload)}`
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}
