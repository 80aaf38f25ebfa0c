import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { CheckedSigningKey, SigningAlgorithm } from './signing-keys.js'

/** Signs claims as a compact JWS (RFC 7515 section 7.1). */
export type Signer = (claims: object) => Promise<string>

/** A signer with one key, for tokens of one type. The key is read and the header written once. */
export function signerOf({ privateJwk, alg, kid }: CheckedSigningKey, typ: string): Signer {
  const key = createPrivateKey({ key: privateJwk, format: 'jwk' })
  const head = `${encoded(JSON.stringify({ alg, typ, kid }))}.`
  const signed = signatureOf(alg, key)
  return async (claims) => {
    const text = head + encoded(JSON.stringify(claims))
    return `${text}.${(await signed(Buffer.from(text))).toString('base64url')}`
  }
}

/**
 * Signs on the spot where that takes less than handing the work to another thread. RSA takes ten times as long, and would hold up
 * everybody else.
 */
function signatureOf(alg: SigningAlgorithm, key: KeyObject): (text: Uint8Array) => Buffer | Promise<Buffer> {
  switch (alg) {
    case 'ES256':
      return (text) => sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' })
    case 'EdDSA':
      return (text) => sign(null, text, key)
    case 'RS256':
      return (text) => signElsewhere('sha256', text, key)
  }
}

const signElsewhere = promisify(sign)

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}
