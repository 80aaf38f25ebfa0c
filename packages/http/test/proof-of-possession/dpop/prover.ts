import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'

export const TOKEN_URL = 'https://as.example/oauth/token'

export interface ProofChanges {
  readonly claims?: Record<string, unknown>
  readonly header?: Record<string, unknown>
}

/** A client with a key that creates proofs, valid by default. Undefined members are omitted. */
export async function createProver(now: () => number, alg = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  const jkt = await calculateJwkThumbprint(jwk)

  async function prove({ claims = {}, header = {} }: ProofChanges = {}): Promise<string> {
    const payload = { jti: randomUUID(), htm: 'POST', htu: TOKEN_URL, iat: Math.floor(now() / 1000), ...claims }
    return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>)
      .setProtectedHeader(JSON.parse(JSON.stringify({ typ: 'dpop+jwt', alg, jwk, ...header })) as { alg: string })
      .sign(privateKey)
  }

  return { jwk, jkt, confirmation: { jkt }, prove, privateJwk: () => exportJWK(privateKey) }
}

/** A compact JWS of any parts, unsigned or signed with another key. */
export function compact(header: object, payload: unknown, signature: string | Uint8Array = ''): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${encode(header)}.${encode(payload)}.${Buffer.from(signature).toString('base64url')}`
}

export function ath(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest('base64url')
}
