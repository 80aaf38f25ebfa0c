import type { Relation } from '../decision/decide.js'
import type { FamilyRecord } from '../model/family.js'
import { isSameText } from '../model/same-text.js'
import type { AuthenticToken } from './authentic-token.js'
import { type Binding, computePreviousVerifier, computeVerifier, deriveSuccessor } from './derive.js'
import type { KeyRing } from './keys.js'

/** Returns how an authentic token relates to the record of its family. The only place where tokens and records are compared. */
export function findRelation(
  token: AuthenticToken,
  { current }: FamilyRecord,
  ring: KeyRing,
  binding: Binding,
): Exclude<Relation, 'legacy'> {
  switch (token.generation - current.generation) {
    case 0:
      return isSameText(computeVerifier(token, binding), current.verifier) ? 'current' : 'unrelated'
    case -1: {
      const key = ring.find(current.keyId)
      if (key === undefined) return 'unverifiable'
      const successor = deriveSuccessor(token, key, current.nonce)
      return isSameText(computeVerifier(successor, binding), current.verifier) ? 'predecessor' : 'unrelated'
    }
    case 1:
      return isSameText(computePreviousVerifier(token, binding), current.verifier) ? 'one_ahead' : 'unrelated'
    default:
      return token.generation > current.generation ? 'far_ahead' : 'unrelated'
  }
}
