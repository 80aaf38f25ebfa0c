import { type FamilyRecord, isSameConfirmation } from '@baton/core'
import { Violation } from '../history/violation.js'
import type { Plan } from './plan.js'
import type { ResponseSummary, RequestTrace } from './trace.js'

/** Judges the handling of DPoP proofs by their time and by whether they were seen before. */
export interface ProofJudge {
  /** Records the arrival of a request. */
  requestArrived(trace: RequestTrace): void
  /** Throws unless the request proves the key that the family is bound to. */
  assertProven(trace: RequestTrace, record: FamilyRecord): void
  /** Throws if the same proof has succeeded before. */
  assertFresh(trace: RequestTrace): void
  /** Throws if a valid proof was rejected. */
  assertValidRejection(trace: RequestTrace, response: ResponseSummary): void
  /** Records the nonce of a response. The server derives it when the request arrives, which may be seconds before the response. */
  responseSent(trace: RequestTrace, response: ResponseSummary): void
}

export const PROOF_ERRORS: readonly unknown[] = ['invalid_dpop_proof', 'use_dpop_nonce']

/** The limits of the server, minus the maximum clock skew. */
const SKEW_MS = 1000
const MIN_AGE_MS = 60_000 - 1000 - SKEW_MS
const MIN_AHEAD_MS = 30_000 - SKEW_MS
const MIN_NONCE_AGE_MS = 300_000 - SKEW_MS

export function createProofJudge({ proofs }: Plan): ProofJudge {
  const seen = new Map<string, RequestTrace>()
  const served = new Set<string>()
  const nonces = new Map<string, number>()

  function isTimely({ proof, arrivedAt }: RequestTrace): boolean {
    if (proof === null) return false
    const age = arrivedAt - proof.madeAt
    return age < MIN_AGE_MS && age > -MIN_AHEAD_MS
  }

  function hasGoodNonce({ proof, arrivedAt }: RequestTrace): boolean {
    const given = nonces.get(proof?.nonce ?? '')
    return given !== undefined && arrivedAt < given + MIN_NONCE_AGE_MS
  }

  return {
    requestArrived(trace) {
      const { proof } = trace
      if (proof !== null && !seen.has(proof.jti)) seen.set(proof.jti, trace)
    },
    assertProven({ proof }, { grant: { confirmation } }) {
      if (confirmation !== null && !isSameConfirmation(confirmation, proof?.confirmation ?? null))
        throw new Violation('I16', 'a key-bound family was served without a proof of its key')
    },
    assertFresh({ proof }) {
      if (proof === null) return
      if (served.has(proof.jti)) throw new Violation('I16', 'one proof succeeded twice')
      served.add(proof.jti)
    },
    assertValidRejection(trace, { error }) {
      const { proof, observed, faultInjected } = trace
      if (observed !== null || trace.swaps > 0)
        throw new Violation('I11', 'the store was called before the proof was checked')
      if (faultInjected) throw new Violation('I12', 'a failing store led to a rejected proof')
      if (proof === null) throw new Violation('I3', `a request without a proof was rejected with ${String(error)}`)
      if (error === 'use_dpop_nonce') {
        if (proofs !== 'with nonces') throw new Violation('I3', 'a nonce was required although nonces are off')
        if (hasGoodNonce(trace)) throw new Violation('I3', 'a valid nonce was rejected')
        return
      }
      if (seen.get(proof.jti) !== trace) return
      if (proofs === 'with nonces' ? hasGoodNonce(trace) : isTimely(trace))
        throw new Violation('I3', 'a valid proof was rejected')
    },
    responseSent({ arrivedAt }, { nonce }) {
      if (nonce !== null) nonces.set(nonce, arrivedAt)
    },
  }
}
