import type { FamilyRecord } from '@baton/core'
import type { CoreCall, CoreOptions, Origin } from './core-call.js'
import type { Link } from '../history/lineage.js'
import type { ChainPosition } from '../history/chain-position.js'

/** Tabs A and B share their storage; tab C was duplicated from them and keeps its own. */
export type Holder = 'tab A' | 'tab B' | 'tab C' | 'attacker'

/** Where honest holders keep their token. */
export type Place = 'shared storage' | 'storage of tab C'

/** What may still befall a world. Whatever is not listed may happen any number of times. */
export interface Budget {
  /** Steps of the clock. */
  readonly clock: number
  /** Requests that travel while others are served. */
  readonly delays: number
  /** Requests that the network delivers a second time, at any later moment. */
  readonly copies: number
  /** Holders that stop waiting: the request or its answer is lost, or still on its way. */
  readonly losses: number
  /** Store calls and app work that fail, before or after taking effect. */
  readonly faults: number
  /** Commands that the driver executes twice. */
  readonly repeats: number
  /** Times that the store falls back, by one write or two. */
  readonly rollbacks: number
  readonly steals: number
  readonly logouts: number
}

/** One small world, to be searched in every order of its events. */
export interface Setup {
  readonly name: string
  readonly core: CoreOptions
  readonly startsFrom: Origin
  readonly holders: readonly Holder[]
  /** Honest holders send an Idempotency-Key, one for each token and storage. */
  readonly idempotencyKeys: boolean
  /** The thief copies the key of the attempt along with the token. */
  readonly attackerCopiesKey: boolean
  /** The thief also tries as another client, and without the key of a bound family. */
  readonly attackerImpersonates: boolean
  readonly confidential: boolean
  /** The app works before every answer. */
  readonly hasHook: boolean
  /** How far the clock may step, in milliseconds. */
  readonly ticks: readonly number[]
  readonly budget: Budget
  /** Requests that are on their way or being served at the same time. */
  readonly maxInFlight: number
}

/** What the store held when it last decided about a presented token, in the terms of history. */
interface Observation {
  readonly position: ChainPosition
  readonly revoked: boolean
  readonly expired: boolean
}

/** One request, from its sender and back. */
export interface Flight {
  readonly holder: Holder
  readonly text: string
  readonly key: string | null
  readonly impersonates: boolean
  readonly kind: 'rotate' | 'redeem' | 'revoke'
  readonly process: number
  /** Of this flight alone: where its randomness comes from. */
  readonly seed: string
  readonly phase: 'travels' | 'is in progress' | 'has completed'
  /** Its sender still waits for the answer. */
  readonly awaited: boolean
  /** Null until it arrives. */
  readonly call: CoreCall | null
  /** It arrived after a verdict of reuse had been given. */
  readonly afterVerdict: boolean
  /** A fault was put in its way. */
  readonly faultInjected: boolean
  /** The driver has executed its pending command once already. */
  readonly repeating: boolean
  readonly observed: Observation | null
  /** The verifier of the swap that it made. */
  readonly writtenVerifier: string | null
  readonly swaps: number
  /** It set the revocation that the store holds. */
  readonly ended: boolean
  /** How often the store had fallen back when it arrived. */
  readonly fallbacks: number
}

/** What the store could fall back to. */
export interface Snapshot {
  /** Null before there is a family. */
  readonly record: FamilyRecord | null
  readonly chain: readonly Link[]
  readonly verdict: boolean
  readonly reported: boolean
}

export interface World extends Snapshot {
  readonly now: number
  /** What the family begins with, if that is a code. */
  readonly code: { readonly text: string; readonly expiresAt: number } | null
  /** How often the store has fallen back. */
  readonly fallbacks: number
  /** How many requests have been sent. */
  readonly sent: number
  readonly remaining: Budget
  /** The last two states of the store, latest first. */
  readonly past: readonly Snapshot[]
  readonly places: Readonly<Record<Place, string | null>>
  /** Every token that the thief has had, latest first. */
  readonly stolenTokens: readonly string[]
  readonly stolenKey: string | null
  readonly flights: readonly Flight[]
}

export function getPlace(holder: Holder): Place | null {
  if (holder === 'attacker') return null
  return holder === 'tab C' ? 'storage of tab C' : 'shared storage'
}
