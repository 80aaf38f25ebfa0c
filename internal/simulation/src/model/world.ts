import type { FamilyRecord } from '@baton/core'
import type { CoreCall, CoreOptions, Origin } from './core-call.js'
import type { Link } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'

/** Tabs A and B share their storage. Tab C was duplicated from them and has its own. */
export type Holder = 'tab A' | 'tab B' | 'tab C' | 'attacker'

/** The storage of a legitimate holder. */
export type Place = 'shared storage' | 'storage of tab C'

/** How often each event may still happen. Other events may happen any number of times. */
export interface Budget {
  /** Steps of the clock. */
  readonly clock: number
  /** Requests that are delayed while others are served. */
  readonly delays: number
  /** Requests that the network delivers a second time, at any later moment. */
  readonly copies: number
  /** Holders that stop waiting: the request or its response is lost or delayed. */
  readonly losses: number
  /** Store calls and hooks that fail, before or after taking effect. */
  readonly faults: number
  /** Commands that the driver executes twice. */
  readonly repeats: number
  /** Rollbacks of the store, by one write or two. */
  readonly rollbacks: number
  readonly steals: number
  readonly logouts: number
}

/** One small world, searched in every order of its events. */
export interface Setup {
  readonly name: string
  readonly core: CoreOptions
  readonly startsFrom: Origin
  readonly holders: readonly Holder[]
  /** Legitimate holders send an Idempotency-Key, one for each token and storage. */
  readonly idempotencyKeys: boolean
  /** The attacker copies the Idempotency-Key along with the token. */
  readonly attackerCopiesKey: boolean
  /** The attacker also tries as another client, and without the key of a bound family. */
  readonly attackerImpersonates: boolean
  readonly confidential: boolean
  /** The app has a hook before every response. */
  readonly hasHook: boolean
  /** The possible steps of the clock, in milliseconds. */
  readonly ticks: readonly number[]
  readonly budget: Budget
  /** The maximum number of requests in flight. */
  readonly maxInFlight: number
}

/** What the store contained when it last processed the presented token. */
interface Observation {
  readonly position: ChainPosition
  readonly revoked: boolean
  readonly expired: boolean
}

/** One request, from its sender to the server and back. */
export interface Flight {
  readonly holder: Holder
  readonly text: string
  readonly key: string | null
  readonly impersonates: boolean
  readonly kind: 'rotate' | 'redeem' | 'revoke'
  readonly process: number
  /** The seed for the randomness of this request only. */
  readonly seed: string
  readonly phase: 'travels' | 'is in progress' | 'has completed'
  /** The sender still waits for the response. */
  readonly awaited: boolean
  /** Null until the request arrives. */
  readonly call: CoreCall | null
  /** The request arrived after a reuse verdict. */
  readonly afterVerdict: boolean
  /** A fault was injected into this request. */
  readonly faultInjected: boolean
  /** The driver has already executed the pending command once. */
  readonly repeating: boolean
  readonly observed: Observation | null
  /** The verifier that this request has written. */
  readonly writtenVerifier: string | null
  readonly swaps: number
  /** This request set the revocation that the store contains. */
  readonly ended: boolean
  /** The number of rollbacks when the request arrived. */
  readonly fallbacks: number
}

/** A state that the store can roll back to. */
export interface Snapshot {
  /** Null until a family exists. */
  readonly record: FamilyRecord | null
  readonly chain: readonly Link[]
  readonly verdict: boolean
  readonly reported: boolean
}

export interface World extends Snapshot {
  readonly now: number
  /** The code that the family starts from, if any. */
  readonly code: { readonly text: string; readonly expiresAt: number } | null
  /** The number of rollbacks of the store. */
  readonly fallbacks: number
  /** The number of requests sent. */
  readonly sent: number
  readonly remaining: Budget
  /** The last two states of the store, latest first. */
  readonly past: readonly Snapshot[]
  readonly places: Readonly<Record<Place, string | null>>
  /** All tokens of the attacker, latest first. */
  readonly stolenTokens: readonly string[]
  readonly stolenKey: string | null
  readonly flights: readonly Flight[]
}

export function getPlace(holder: Holder): Place | null {
  if (holder === 'attacker') return null
  return holder === 'tab C' ? 'storage of tab C' : 'shared storage'
}
