import { type FamilyRecord, sameConfirmation } from '@baton/core'
import { Violation } from '../history/violation.js'
import type { Plan } from './plan.js'
import type { Answer, Visit } from './visit.js'

/** Judges what is done with proofs of keys, by when they were made and whether they were seen before. */
export interface ProofJudge {
  /** Notes that a request has come. */
  arrived(visit: Visit): void
  /** Throws unless the visit proves the key that the family is bound to. */
  demandProven(visit: Visit, record: FamilyRecord): void
  /** Throws for a success with a proof that has had one before. */
  demandFresh(visit: Visit): void
  /** Throws for a refusal of a proof that was good. */
  demandJustRefusal(visit: Visit, answer: Answer): void
  /** Notes the nonce of an answer. */
  answered(answer: Answer): void
}

export const PROOF_ERRORS: readonly unknown[] = ['invalid_dpop_proof', 'use_dpop_nonce']

/** The server's own limits, less what its clocks may be off. */
const SKEW_MS = 1000
const LEAST_AGE_MS = 60_000 - 1000 - SKEW_MS
const LEAST_AHEAD_MS = 30_000 - SKEW_MS
const LEAST_NONCE_MS = 300_000 - SKEW_MS

export function createProofJudge({ proofs }: Plan): ProofJudge {
  const seen = new Map<string, Visit>()
  const served = new Set<string>()
  const nonces = new Map<string, number>()

  function isOfGoodTime({ proof, arrivedAt }: Visit): boolean {
    if (proof === null) return false
    const age = arrivedAt - proof.madeAt
    return age < LEAST_AGE_MS && age > -LEAST_AHEAD_MS
  }

  function hasGoodNonce({ proof, arrivedAt }: Visit): boolean {
    const given = nonces.get(proof?.nonce ?? '')
    return given !== undefined && arrivedAt < given + LEAST_NONCE_MS
  }

  return {
    arrived(visit) {
      const { proof } = visit
      if (proof !== null && !seen.has(proof.jti)) seen.set(proof.jti, visit)
    },
    demandProven({ proof }, { grant: { confirmation } }) {
      if (confirmation !== null && !sameConfirmation(confirmation, proof?.confirmation ?? null))
        throw new Violation('I16', 'a bound family was served without the proof of its key')
    },
    demandFresh({ proof }) {
      if (proof === null) return
      if (served.has(proof.jti)) throw new Violation('I16', 'one proof was good twice')
      served.add(proof.jti)
    },
    demandJustRefusal(visit, { error }) {
      const { proof, sight, hurt } = visit
      if (sight !== null || visit.swaps > 0)
        throw new Violation('I11', 'the store was asked before the proof was judged')
      if (hurt) throw new Violation('I12', 'a failing store was answered with the refusal of a proof')
      if (proof === null) throw new Violation('I3', `without a proof, the answer was ${String(error)}`)
      if (error === 'use_dpop_nonce') {
        if (proofs !== 'with nonces') throw new Violation('I3', 'a nonce was demanded where there are none')
        if (hasGoodNonce(visit)) throw new Violation('I3', 'a good nonce was refused')
        return
      }
      if (seen.get(proof.jti) !== visit) return
      if (proofs === 'with nonces' ? hasGoodNonce(visit) : isOfGoodTime(visit))
        throw new Violation('I3', 'a good proof was refused')
    },
    answered({ at, nonce }) {
      if (nonce !== null) nonces.set(nonce, at)
    },
  }
}
