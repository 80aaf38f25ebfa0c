import type { FamilyRecord } from '@baton/core'
import type { Link } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'
import type { ProofClaims } from './prover.js'

/** One request at the server, and what has become of it so far. */
export interface RequestTrace {
  /** In the order of their arrival. */
  readonly order: number
  readonly purpose: 'refresh' | 'code' | 'other'
  /** The refresh token that it carries, or the code. */
  readonly text: string | null
  readonly key: string | null
  /** Its proof of a key. */
  readonly proof: ProofClaims | null
  /** It lacks something that it takes: it comes from another client, or without the verifier or the key. */
  readonly impersonates: boolean
  /** By the clock that nobody has. */
  readonly arrivedAt: number
  /** Nobody waits for its answer any more, or it is a copy that the network has made. */
  readonly isOrphaned: () => boolean
  /** Losses of the store before it came. */
  readonly losses: number
  /** A fault was put in its way. */
  faultInjected: boolean
  /** How the store looked when it was last asked about the token. */
  observed: Observation | null
  /** The verifier of the swap that it made. */
  writtenVerifier: string | null
  swaps: number
  /** The family whose revocation it set. */
  endedFamily: FamilyHistory | null
  reports: number
  /** What the server's events say about it. */
  reason: string | null
  /** The family that it has begun. */
  issued: string | null
}

interface Observation {
  readonly at: number
  readonly position: ChainPosition
  readonly revoked: boolean
  readonly expiresAt: number
}

/** What came back to the sender, as far as it matters here. */
export interface ResponseSummary {
  readonly at: number
  readonly status: number
  readonly error: string | null
  readonly refreshToken: string | null
  readonly retryAfter: string | null
  /** For the next proof. */
  readonly nonce: string | null
  /** A cookie was set or cleared. */
  readonly touchesCookie: boolean
}

/** One family, from outside. */
export interface FamilyHistory {
  readonly id: string
  readonly subject: string
  record: FamilyRecord | null
  chain: readonly Link[]
  /** The order of the visit that was told of reuse. */
  verdictAt: number | null
  /** Revocations that were written, and how many of them were reported. */
  ends: number
  reports: number
  /** Reports without a confirmation of the store. */
  unconfirmedReports: number
  /** Writes that the store has lost. */
  losses: number
  isStolen: boolean
  /** A stray request came when its token had long been replaced, or its code came again: no server can tell that from a theft. */
  isExcused: boolean
  /** The store has deleted it, as it was told to. */
  isDeleted: boolean
}
