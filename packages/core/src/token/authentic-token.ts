import type { FamilyId } from '../model/family.js'

/** A refresh token whose tag has been verified: this server issued it, whatever the state of its family is now. */
export interface AuthenticToken {
  readonly familyId: FamilyId
  readonly handle: Uint8Array
  readonly generation: number
  readonly createdAtSeconds: number
  /** True if every request with the token must prove possession of a key. */
  readonly bound: boolean
  readonly secret: Uint8Array
  /** Hash of `secret`. */
  readonly proof: Uint8Array
  readonly previousProof: Uint8Array
}

export const HANDLE_BYTES = 16
export const SECRET_BYTES = 24
export const PROOF_BYTES = 16
