import { createECDH, createHash, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import type { Confirmation } from '@baton/core'
import type { Rng } from './rng.js'

/** The request that a proof is made for. */
interface ProofRequest {
  readonly method: string
  readonly url: string
  readonly accessToken: string | null
}

/** One key, and proofs of it (RFC 9449). */
export interface Prover {
  readonly confirmation: Confirmation
  prove(request: ProofRequest): string
  /** The nonce that the server requires in further proofs. */
  remember(nonce: string | null): void
}

interface ProverWorld {
  readonly rng: Rng
  /** Epoch milliseconds, by the clock of the holder of the key. */
  readonly now: () => number
  /** `iat` is a number with a fraction, as from `time.time()` of Python. */
  readonly fractions: boolean
}

/**
 * Creates a prover. It signs on the thread of the simulation, because the Web Crypto of the platform would use another
 * thread whose timing is not deterministic. Signatures differ from run to run, and nothing depends on them.
 */
export function createProver({ rng, now, fractions }: ProverWorld): Prover {
  const { key, jwk } = createKey(rng)
  let nonce: string | null = null
  return {
    confirmation: { jkt: computeThumbprint(jwk) },
    prove({ method, url, accessToken }) {
      const { origin, pathname } = new URL(url)
      const claims = {
        jti: rng.text(),
        htm: method,
        htu: origin + pathname,
        iat: fractions ? (now() + 0.1234) / 1000 : Math.floor(now() / 1000),
        ...(accessToken === null ? {} : { ath: sha256(accessToken) }),
        ...(nonce === null ? {} : { nonce }),
      }
      const text = `${encodeJson({ typ: 'dpop+jwt', alg: 'ES256', jwk })}.${encodeJson(claims)}`
      return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
    remember(received) {
      nonce = received ?? nonce
    },
  }
}

/** The claims of a proof, unverified. */
export interface ProofClaims {
  readonly confirmation: Confirmation
  readonly jti: string
  /** Epoch milliseconds. */
  readonly madeAt: number
  readonly nonce: string | null
}

export function decodeClaims(proof: string): ProofClaims {
  const [header, claims] = proof.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  const { jwk } = JSON.parse(header ?? '') as { jwk: PublicKey }
  const { jti, iat, nonce = null } = JSON.parse(claims ?? '') as { jti: string; iat: number; nonce?: string | null }
  return { confirmation: { jkt: computeThumbprint(jwk) }, jti, madeAt: iat * 1000, nonce }
}

/** Members in the order of RFC 7638. */
interface PublicKey {
  readonly crv: string
  readonly kty: string
  readonly x: string
  readonly y: string
}

function createKey(rng: Rng): { readonly key: KeyObject; readonly jwk: PublicKey } {
  const secret = Buffer.from(rng.bytes(32))
  // Below the order of the curve.
  secret[0] = 1
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(secret)
  const point = pair.getPublicKey()
  const jwk = {
    crv: 'P-256',
    kty: 'EC',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  }
  return { key: createPrivateKey({ key: { ...jwk, d: secret.toString('base64url') }, format: 'jwk' }), jwk }
}

function computeThumbprint({ crv, kty, x, y }: PublicKey): string {
  return sha256(JSON.stringify({ crv, kty, x, y }))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

function encodeJson(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
