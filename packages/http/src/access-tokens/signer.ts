import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { CheckedSigningKey, SigningAlgorithm } from './signing-keys.js'

/** Signs claims as a compact JWS (RFC 7515 section 7.1). */
export type Signer = (claims: object) => Promise<string>

/** Creates a signer with one key, for tokens of one type. The key is parsed and the header encoded once. */
export function createSigner({ privateJwk, alg, kid }: CheckedSigningKey, typ: string): Signer {
  const key = createPrivateKey({ key: privateJwk, format: 'jwk' })
  const head = `${base64url(JSON.stringify({ alg, typ, kid }))}.`
  const signed = signFunction(alg, key)
  return async (claims) => {
    const text = head + base64url(JSON.stringify(claims))
    return `${text}.${(await signed(Buffer.from(text))).toString('base64url')}`
  }
}

/**
 * Signs synchronously with elliptic curves, which is faster than a switch to another thread. An RSA signature takes ten times as long and
 * would block other requests.
 */
function signFunction(alg: SigningAlgorithm, key: KeyObject): (text: Uint8Array) => Buffer | Promise<Buffer> {
  switch (alg) {
    case 'ES256':
      return (text) => sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' })
    case 'EdDSA':
      return (text) => sign(null, text, key)
    case 'RS256':
      return (text) => signInThread('sha256', text, key)
  }
}

const signInThread = promisify(sign)

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}
