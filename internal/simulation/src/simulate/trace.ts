import type { FamilyRecord } from '@baton/core'
import type { Link } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'
import type { ProofClaims } from './prover.js'

/** One request at the server and its progress. */
export interface RequestTrace {
  /** Position in the order of arrival. */
  readonly order: number
  readonly purpose: 'refresh' | 'code' | 'other'
  /** The presented refresh token or code. */
  readonly text: string | null
  readonly key: string | null
  /** The proof of a key. */
  readonly proof: ProofClaims | null
  /** The request lacks a requirement: it comes from another client, or without the verifier or the key. */
  readonly impersonates: boolean
  /** By the exact clock, which no process has. */
  readonly arrivedAt: number
  /** The sender has stopped waiting, or the request is a copy made by the network. */
  readonly isOrphaned: () => boolean
  /** The number of writes of the family that the store had lost on arrival. */
  readonly losses: number
  /** A fault was injected into this request. */
  faultInjected: boolean
  /** The state of the store when it last processed the token. */
  observed: Observation | null
  /** The verifier that this request has written. */
  writtenVerifier: string | null
  swaps: number
  /** The family that this request has revoked. */
  endedFamily: FamilyHistory | null
  reports: number
  /** The rejection reason, from the events of the server. */
  reason: string | null
  /** The family that this request has created. */
  issued: string | null
}

interface Observation {
  readonly at: number
  readonly position: ChainPosition
  readonly revoked: boolean
  readonly expiresAt: number
}

/** The relevant parts of the response. */
export interface ResponseSummary {
  readonly at: number
  readonly status: number
  readonly error: string | null
  readonly refreshToken: string | null
  readonly retryAfter: string | null
  /** The nonce for the next proof. */
  readonly nonce: string | null
  /** The response sets or clears a cookie. */
  readonly touchesCookie: boolean
}

/** The recorded history of one family. */
export interface FamilyHistory {
  readonly id: string
  readonly subject: string
  record: FamilyRecord | null
  chain: readonly Link[]
  /** The number of requests that had arrived when a response reported reuse: a later one must not succeed. */
  verdictAt: number | null
  /** The ids of written revocations, and the number of reported ones. */
  readonly ends: Set<string>
  reports: number
  /** Reports that the store has not confirmed. */
  unconfirmedReports: number
  /** Writes that the store has lost. */
  losses: number
  isStolen: boolean
  /**
   * An orphaned request arrived after its token was replaced, or its code was redeemed again. No server can distinguish
   * that from an attack.
   */
  isExcused: boolean
  /**
   * A request was rejected after the expiry of the record that it read. A write of an earlier request that failed may be
   * applied later.
   */
  isExpired: boolean
  /** The store has purged the record. */
  isDeleted: boolean
}
