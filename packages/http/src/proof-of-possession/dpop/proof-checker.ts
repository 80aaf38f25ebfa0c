import { createHash } from 'node:crypto'
import { type Confirmation, isSameConfirmation } from '@baton/core'
import {
  declareOptions,
  listOf,
  nested,
  oneOf,
  optional,
  type OptionsOf,
  seconds,
  withDefault,
} from '@baton/core/options'
import type { PlainRequest } from '../../messages/message.js'
import { createNonces, nonceOptions } from './nonces.js'
import { type Proof, PROOF_ALGORITHMS, type ProofAlgorithm, parseProof } from './proof.js'
import { isTarget, normalizeTarget } from './target.js'

/** How DPoP proofs are verified (RFC 9449). */
export const dpopOptions = declareOptions({
  /** The accepted signature algorithms. Default: ES256, Ed25519 (also as EdDSA), ES384, PS256 and RS256. */
  algorithms: withDefault(listOf(oneOf(...PROOF_ALGORITHMS), { min: 1 }), PROOF_ALGORITHMS),
  /** The maximum age of a proof by its `iat`, in seconds: 5 to 300, default 60. For a proof with a nonce, the nonce decides. */
  maxAgeSeconds: withDefault(seconds({ min: 5, max: 300 }), 60),
  /** Enables nonces, which do not depend on the clock of the client (RFC 9449 section 8). Default: no nonces. */
  nonce: optional(nested(nonceOptions)),
})

export type DpopOptions = OptionsOf<typeof dpopOptions>

/** Accepts each key once, such as `RefreshTokens`. `expiresAt` is an integer in epoch milliseconds. */
export interface OneTimeKeyStore {
  consumeOnce(request: { readonly purpose: string; readonly key: string; readonly expiresAt: number }): Promise<boolean>
}

interface ProofRequest {
  readonly request: PlainRequest
  /** The URL of the request; null if it is unknown, in which case every proof is rejected. */
  readonly url: string | null
  /** Epoch milliseconds. */
  readonly now: number
  /** The access token of the request, which the proof must be made for. */
  readonly accessToken?: string
  /** The key that must have signed the proof. Default: any key. */
  readonly confirmation?: Confirmation
  /** Accepts a proof only once. Without it, a proof is accepted until it expires. */
  readonly oneTimeKeys: OneTimeKeyStore | undefined
}

export type Proven =
  | {
      readonly ok: true
      /** Null if the request has no proof. */
      readonly confirmation: Confirmation | null
    }
  | {
      readonly ok: false
      /** `invalid_token`: the proof was signed by another key than that of the access token. */
      readonly error: 'invalid_dpop_proof' | 'use_dpop_nonce' | 'invalid_token'
      /** A constant sentence. */
      readonly description: string
    }

/** Verifies the DPoP proofs of one endpoint. */
export interface ProofChecker {
  readonly algorithms: readonly ProofAlgorithm[]
  /** Verifies the proof of a request. An invalid proof is an error, never a missing one. Rejects only if `oneTimeKeys` does. */
  prove(request: ProofRequest): Promise<Proven>
  /** Returns the header with the nonce for the next proof, for the response to a request with a proof or without a required one. */
  nonceHeaders(now: number): readonly (readonly ['dpop-nonce', string])[]
}

const WRONG_KEY: Proven = {
  ok: false,
  error: 'invalid_token',
  description: 'The access token is bound to another key.',
}

const WRONG_URL =
  'The DPoP proof was made for another URL (htu). This server is known by the option publicUrl, else by the Host header.'

/** The accepted skew of a client clock that is ahead. */
const MAX_CLOCK_SKEW_MS = 30_000

/** Creates a verifier of DPoP proofs (RFC 9449 section 4.3). Throws `ConfigurationError`. */
export function proofChecker(options: DpopOptions = {}): ProofChecker {
  const { algorithms, maxAgeSeconds, nonce } = dpopOptions.parse('dpop', options, 'dpop.')
  const nonces = nonce === undefined ? null : createNonces(nonce)

  /** Returns until when a repeated proof would be accepted, or the rejection. */
  function checkAge({ iat, nonce }: Proof, now: number): number | Proven {
    if (nonces !== null && nonce !== null) return nonces.acceptableUntil(nonce, now) ?? requireNonce()
    if (nonces?.required === true) return requireNonce()
    const until = iat * 1000 + maxAgeSeconds * 1000
    if (now < until && iat * 1000 <= now + MAX_CLOCK_SKEW_MS) return until
    // With a nonce, the clock of the client does not matter.
    return nonces === null
      ? reject('The DPoP proof is too old, or the clock of its client is wrong (iat).')
      : requireNonce()
  }

  return {
    algorithms,
    async prove({ request, url, now, accessToken, confirmation, oneTimeKeys }) {
      const headers = request.headers['dpop'] ?? []
      const [text] = headers
      if (text === undefined) return { ok: true, confirmation: null }
      // Some runtimes join repeated headers with a comma.
      if (headers.length > 1 || text.includes(',')) return reject('The DPoP header is repeated; send one proof.')
      const proof = await parseProof(text, algorithms)
      if (proof === null) return reject('The DPoP proof is malformed, or its signature or algorithm is not accepted.')
      if (proof.htm !== request.method) return reject('The DPoP proof was made for another method (htm).')
      if (url === null) return reject('The Host header is missing or malformed, and the option publicUrl is not set.')
      if (!isTarget(proof.htu, url)) return reject(WRONG_URL)
      if (accessToken !== undefined && proof.ath !== hashAccessToken(accessToken))
        return reject('The DPoP proof was made for another access token (ath).')
      if (confirmation !== undefined && !isSameConfirmation(confirmation, { jkt: proof.jkt })) return WRONG_KEY
      const until = checkAge(proof, now)
      if (typeof until !== 'number') return until
      const { jkt, htu, jti } = proof
      const oneTimeKey = {
        purpose: 'dpop',
        key: JSON.stringify([jkt, normalizeTarget(htu), jti]),
        expiresAt: Math.ceil(until),
      }
      if (oneTimeKeys !== undefined && !(await oneTimeKeys.consumeOnce(oneTimeKey)))
        return reject('The DPoP proof has been used.')
      return { ok: true, confirmation: { jkt } }
    },
    nonceHeaders: (now) => (nonces === null ? [] : [['dpop-nonce', nonces.at(now)]]),
  }
}

function reject(description: string): Proven {
  return { ok: false, error: 'invalid_dpop_proof', description }
}

function requireNonce(): Proven {
  return {
    ok: false,
    error: 'use_dpop_nonce',
    description: 'Make another DPoP proof, with the nonce of this response.',
  }
}

function hashAccessToken(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest('base64url')
}
