import { createHash } from 'node:crypto'
import { type Confirmation, sameConfirmation } from '@baton/core'
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
import { type Proof, PROOF_ALGORITHMS, type ProofAlgorithm, readProof } from './proof.js'
import { isTarget, normalTarget } from './target.js'

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

/** Remembers what was used, `tokens` for example. `expiresAt` is whole epoch milliseconds. */
export interface UsedOnce {
  consumeOnce(request: { readonly purpose: string; readonly key: string; readonly expiresAt: number }): Promise<boolean>
}

interface Proving {
  readonly request: PlainRequest
  /** The URL that the client asked for; null, where nobody knows it, is matched by no proof. */
  readonly url: string | null
  /** Epoch milliseconds. */
  readonly now: number
  /** Comes along in the same request, and the proof must be made for it. */
  readonly accessToken?: string
  /** The key that must have signed the proof; absent for any key. */
  readonly confirmation?: Confirmation
  /** Lets a proof work once; without it, for as long as it is fresh. */
  readonly memory: UsedOnce | undefined
}

export type Proven =
  | {
      readonly ok: true
      /** Null if the request has no proof. */
      readonly confirmation: Confirmation | null
    }
  | {
      readonly ok: false
      /** `invalid_token` is for the access token that came along with a proof of another key. */
      readonly error: 'invalid_dpop_proof' | 'use_dpop_nonce' | 'invalid_token'
      /** A fixed sentence. */
      readonly description: string
    }

/** Judges the proofs of one endpoint. */
export interface ProofChecker {
  readonly algorithms: readonly ProofAlgorithm[]
  /** A bad proof is an error and never counts as none. Rejects with the fault of the memory only. */
  prove(proving: Proving): Promise<Proven>
  /** The nonce for the client's next proof, to go with whatever is answered to a request that brought one or should have. */
  nonceHeaders(now: number): readonly (readonly ['dpop-nonce', string])[]
}

const OTHER_KEY: Proven = {
  ok: false,
  error: 'invalid_token',
  description: 'The access token is bound to another key.',
}

const OTHER_URL =
  'The DPoP proof was made for another URL (htu). This server is known by the option publicUrl, else by the Host header.'

/** Clocks ahead of ours, by their own account. */
const MAX_CLOCK_SKEW_MS = 30_000

/** Throws `ConfigurationError`. */
export function proofChecker(options: DpopOptions = {}): ProofChecker {
  const { algorithms, maxAgeSeconds, nonce } = dpopOptions.parse('dpop', options, 'dpop.')
  const nonces = nonce === undefined ? null : createNonces(nonce)

  /** Until when the proof would be accepted if it came again, or what to answer. */
  function freshness({ iat, nonce }: Proof, now: number): number | Proven {
    if (nonces !== null && nonce !== null) return nonces.acceptableUntil(nonce, now) ?? askForNonce()
    if (nonces?.required === true) return askForNonce()
    const until = iat * 1000 + maxAgeSeconds * 1000
    if (now < until && iat * 1000 <= now + MAX_CLOCK_SKEW_MS) return until
    // A clock that is wrong will be wrong again, and with a nonce it does not matter.
    return nonces === null
      ? refuse('The DPoP proof is too old, or the clock of its client is wrong (iat).')
      : askForNonce()
  }

  return {
    algorithms,
    async prove({ request, url, now, accessToken, confirmation, memory }) {
      const headers = request.headers['dpop'] ?? []
      const [text] = headers
      if (text === undefined) return { ok: true, confirmation: null }
      // Some runtimes join what repeats with commas.
      if (headers.length > 1 || text.includes(',')) return refuse('The DPoP header is repeated; send one proof.')
      const proof = await readProof(text, algorithms)
      if (proof === null) return refuse('The DPoP proof is malformed, or its signature or algorithm is not accepted.')
      if (proof.htm !== request.method) return refuse('The DPoP proof was made for another method (htm).')
      if (url === null) return refuse('The Host header is missing or malformed, and the option publicUrl is not set.')
      if (!isTarget(proof.htu, url)) return refuse(OTHER_URL)
      if (accessToken !== undefined && proof.ath !== hashOf(accessToken))
        return refuse('The DPoP proof was made for another access token (ath).')
      if (confirmation !== undefined && !sameConfirmation(confirmation, { jkt: proof.jkt })) return OTHER_KEY
      const until = freshness(proof, now)
      if (typeof until !== 'number') return until
      const { jkt, htu, jti } = proof
      const claim = { purpose: 'dpop', key: JSON.stringify([jkt, normalTarget(htu), jti]), expiresAt: Math.ceil(until) }
      if (memory !== undefined && !(await memory.consumeOnce(claim))) return refuse('The DPoP proof has been used.')
      return { ok: true, confirmation: { jkt } }
    },
    nonceHeaders: (now) => (nonces === null ? [] : [['dpop-nonce', nonces.at(now)]]),
  }
}

function refuse(description: string): Proven {
  return { ok: false, error: 'invalid_dpop_proof', description }
}

function askForNonce(): Proven {
  return { ok: false, error: 'use_dpop_nonce', description: 'Make another DPoP proof, with the nonce of this answer.' }
}

function hashOf(accessToken: string): string {
  return createHash('sha256').update(accessToken).digest('base64url')
}
