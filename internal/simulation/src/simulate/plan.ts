import type { Grace } from '@baton/core'
import { type Rng, createRng } from './rng.js'

/** An event at a planned time. */
export type Incident = { readonly atMs: number } & (
  | {
      readonly kind: 'a tab requests a token' | 'a tab crashes' | 'a tab is reloaded' | 'a tab opens'
      readonly tab: number
    }
  | { readonly kind: 'a tab receives 401'; readonly tab: number }
  | { readonly kind: 'sign-out' | 'sign-in as another user'; readonly tab: number }
  | {
      readonly kind: 'the browser is offline' | 'the store is unavailable' | 'the key service is unavailable'
      readonly ms: number
    }
  /** A replica takes over that has not received the last writes. */
  | { readonly kind: 'fail-over'; readonly lagMs: number }
  | {
      readonly kind:
        'the attacker copies the storage' | 'the attacker refreshes' | 'the attacker presents an older token'
    }
  | { readonly kind: 'the attacker acts as another client' | 'a malformed request arrives' }
  /** With all requirements, or without the code verifier. */
  | { readonly kind: 'the attacker redeems the code' | 'the attacker redeems the code without its verifier' }
  | { readonly kind: 'the wall clock is shifted'; readonly ms: number }
  | { readonly kind: 'all sessions are revoked' | 'purge' | 'the sessions are listed' }
)

/** The probability of each fault per message or command, from 0 to 1. */
export interface Rates {
  readonly lostRequest: number
  readonly lostResponse: number
  readonly copied: number
  readonly slow: number
  readonly storeFails: number
  readonly storeFailsLate: number
  readonly storeRepeats: number
  /** The store applies a revocation and rejects the call, as when too few replicas have the write. */
  readonly revokeRejects: number
}

/** All inputs of a run: the same plan gives the same run. */
export interface Plan {
  readonly seed: string
  readonly engine: 'memory' | 'sqlite' | 'postgres' | 'redis'
  readonly carrier: 'token' | 'cookie'
  /** The retries that the grace window accepts. */
  readonly grace: Grace
  readonly graceSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly accessSeconds: number
  /** A service that may be slow or unavailable issues the access tokens. */
  readonly keyService: boolean
  /** How users sign in. Users with a legacy token sign in by password later. */
  readonly signIn: 'password' | 'code' | 'legacy token'
  /** The app sends an Idempotency-Key with a code. */
  readonly codeKeys: boolean
  /** Tokens are bound to a key of the browser (DPoP). The server may require nonces in proofs. */
  readonly proofs: 'none' | 'plain' | 'with nonces'
  /** All tabs share a lock; otherwise each tab has its own. */
  readonly sharedLock: boolean
  readonly tabs: number
  /** The clocks of the servers and the proofs of the client have fractions, like `time.time()` of Python. */
  readonly fractions: boolean
  /** The observing callbacks of the app reject or throw. */
  readonly failingCallbacks: boolean
  /** The app itself aborts a sign-in after 30 seconds; otherwise it relies on the signal of the client. */
  readonly signInLimit: boolean
  /** The offset of the clock of each server process, in milliseconds. */
  readonly skewsMs: readonly number[]
  readonly rates: Rates
  readonly incidents: readonly Incident[]
  readonly lengthMs: number
}

/** A repeated entry is chosen more often. */
const SIGN_IN_METHODS = ['password', 'password', 'password', 'code', 'code', 'code', 'legacy token'] as const

const SECOND = 1000
const MINUTE = 60 * SECOND

export function createPlan(seed: string): Plan {
  const rng = createRng(`${seed}/plan`)
  const lengthMs = rng.between(2, 8) * MINUTE
  const tabs = rng.between(1, 3)
  const engine = rng.pick(['memory', 'sqlite', 'postgres', 'redis', 'redis'])
  const carrier = rng.pick(['token', 'token', 'cookie'])
  const signIn = carrier === 'cookie' ? 'password' : rng.pick(SIGN_IN_METHODS)
  const proofs = signIn === 'code' ? rng.pick(['none', 'none', 'plain', 'with nonces']) : 'none'
  const isCalm = rng.chance(0.2)
  // A separate generator, so that plans of other seeds do not change.
  const graceChances = createRng(`${seed}/grace`)
  const grace = graceChances.chance(0.2) ? 'same-attempt' : 'any-attempt'
  const faultChances = createRng(`${seed}/further faults`)
  const upTo = (most: number) => (isCalm || rng.chance(0.4) ? 0 : rng.fraction() * most)
  const hasShortLife = rng.chance(0.15)
  return {
    seed,
    engine,
    carrier,
    tabs,
    lengthMs,
    grace,
    graceSeconds: rng.pick([30, 30, 30, 10, 0]),
    idleSeconds: hasShortLife ? 150 : 3600,
    absoluteSeconds: hasShortLife ? rng.between(200, 400) : 7200,
    accessSeconds: rng.pick([30, 60, 90]),
    keyService: rng.chance(0.25),
    signIn,
    codeKeys: rng.chance(0.6),
    proofs,
    sharedLock: rng.chance(0.85),
    fractions: faultChances.chance(0.5),
    failingCallbacks: faultChances.chance(0.1),
    signInLimit: faultChances.chance(0.5),
    skewsMs: Array.from({ length: 3 }, () => (isCalm ? 0 : rng.between(-1000, 1000))),
    rates: {
      lostRequest: upTo(0.2),
      lostResponse: upTo(0.25),
      copied: upTo(0.1),
      slow: upTo(0.15),
      storeFails: upTo(0.1),
      storeFailsLate: upTo(0.1),
      storeRepeats: upTo(0.15),
      revokeRejects: faultChances.chance(0.5) ? 0 : faultChances.fraction() * 0.5,
    },
    incidents: [
      ...createIncidents(rng, { lengthMs, tabs, engine, signIn, proofs }),
      ...(grace === 'same-attempt' ? createFollowingAttacker(graceChances, { lengthMs, tabs }) : []),
    ].sort((one, other) => one.atMs - other.atMs),
  }
}

/** An attacker that presents the predecessor just after the owner has refreshed. */
function createFollowingAttacker(rng: Rng, { lengthMs, tabs }: Pick<Plan, 'lengthMs' | 'tabs'>): Incident[] {
  if (!rng.chance(0.5)) return []
  const refreshAt = rng.between(SECOND, lengthMs)
  return [
    { atMs: refreshAt - 1, kind: 'the attacker copies the storage' },
    { atMs: refreshAt, kind: 'a tab receives 401', tab: rng.between(0, tabs - 1) },
    { atMs: refreshAt + rng.between(0, 20 * SECOND), kind: 'the attacker refreshes' },
  ]
}

function createIncidents(
  rng: Rng,
  { lengthMs, tabs, engine, signIn, proofs }: Pick<Plan, 'lengthMs' | 'tabs' | 'engine' | 'signIn' | 'proofs'>,
): Incident[] {
  const atMs = () => rng.between(SECOND, lengthMs)
  const tab = () => rng.between(0, tabs - 1)
  const incidents: Incident[] = []
  const some = (likelihood: number, most: number, make: () => Incident) => {
    if (!rng.chance(likelihood)) return
    for (let count = rng.between(1, most); count > 0; count -= 1) incidents.push(make())
  }
  some(1, 30, () => ({ atMs: atMs(), kind: 'a tab requests a token', tab: tab() }))
  some(0.4, 3, () => ({ atMs: atMs(), kind: 'a tab receives 401', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab crashes', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab is reloaded', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab opens', tab: tab() }))
  some(0.15, 2, () => ({ atMs: atMs(), kind: 'sign-out', tab: tab() }))
  some(0.2, 2, () => ({ atMs: atMs(), kind: 'sign-in as another user', tab: tab() }))
  const startsOf = (kind: Incident['kind']) => incidents.filter((one) => one.kind === kind).map((one) => one.atMs)
  for (const signOutAt of startsOf('sign-out')) {
    // A revocation that the server missed is sent again after another user has signed in.
    if (rng.chance(0.3))
      incidents.push({ atMs: signOutAt - SECOND, kind: 'the store is unavailable', ms: rng.between(2, 30) * SECOND })
    if (rng.chance(0.5))
      incidents.push({ atMs: rng.between(signOutAt, lengthMs), kind: 'sign-in as another user', tab: tab() })
  }
  for (const signInAt of startsOf('sign-in as another user')) {
    // A refresh of the previous user is in flight.
    if (rng.chance(0.6))
      incidents.push({ atMs: signInAt - rng.between(0, SECOND / 4), kind: 'a tab receives 401', tab: tab() })
  }
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the browser is offline', ms: rng.between(1, 90) * SECOND }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the store is unavailable', ms: rng.between(1, 30) * SECOND }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'the key service is unavailable', ms: rng.between(1, 30) * SECOND }))
  if (engine === 'redis')
    some(0.5, 2, () => ({ atMs: atMs(), kind: 'fail-over', lagMs: rng.pick([50, 500, 2000, 90 * SECOND]) }))
  // Without nonces a proof is dated by the wall clock, and no request succeeds until the clock is right again.
  if (proofs !== 'plain')
    some(0.2, 1, () => ({ atMs: atMs(), kind: 'the wall clock is shifted', ms: rng.between(-3600, 3600) * SECOND }))
  some(0.07, 1, () => ({ atMs: atMs(), kind: 'all sessions are revoked' }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'purge' }))
  some(0.3, 1, () => ({ atMs: atMs(), kind: 'the sessions are listed' }))
  some(0.2, 2, () => ({ atMs: atMs(), kind: 'a malformed request arrives' }))
  if (rng.chance(0.35)) {
    const stolenAt = atMs()
    const later = () => rng.between(stolenAt, lengthMs)
    incidents.push({ atMs: stolenAt, kind: 'the attacker copies the storage' })
    some(0.8, 4, () => ({ atMs: later(), kind: 'the attacker refreshes' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the attacker presents an older token' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the attacker acts as another client' }))
  }
  if (signIn === 'code' && rng.chance(0.3)) {
    // An attacker that reads codes has them at once.
    const [signInAt] = startsOf('sign-in as another user')
    const soon = () => rng.between(0, 2 * SECOND) + (signInAt ?? rng.between(0, 60) * SECOND)
    some(0.7, 2, () => ({ atMs: soon(), kind: 'the attacker redeems the code' }))
    some(0.5, 2, () => ({ atMs: soon(), kind: 'the attacker redeems the code without its verifier' }))
  }
  return incidents
}
