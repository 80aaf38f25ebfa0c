import type { Grace } from '@baton/core'
import { type Rng, createRng } from './rng.js'

/** One thing that befalls the world at a certain time. */
export type Incident = { readonly atMs: number } & (
  | {
      readonly kind: 'a tab asks for a token' | 'a tab crashes' | 'a tab is reloaded' | 'a tab opens'
      readonly tab: number
    }
  | { readonly kind: 'a tab is told 401'; readonly tab: number }
  | { readonly kind: 'sign-out' | 'sign-in as somebody else'; readonly tab: number }
  | { readonly kind: 'the browser is offline' | 'the store is out' | 'the key service is out'; readonly ms: number }
  /** A replica takes over that has not seen the last writes. */
  | { readonly kind: 'fail-over'; readonly lagMs: number }
  | { readonly kind: 'the thief copies all that is stored' | 'the thief refreshes' | 'the thief tries an older token' }
  | { readonly kind: 'the thief pretends to be another client' | 'somebody sends rubbish' }
  /** With all that it takes, or without the secret that belongs to it. */
  | { readonly kind: 'the thief redeems the code' | 'the thief has the code and no verifier' }
  | { readonly kind: 'the wall clock jumps'; readonly ms: number }
  | { readonly kind: 'all sessions are ended' | 'purge' | 'the sessions are listed' }
)

/** How often something goes wrong with each message or command, of one. */
export interface Rates {
  readonly lostRequest: number
  readonly lostResponse: number
  readonly copied: number
  readonly slow: number
  readonly storeFails: number
  readonly storeFailsLate: number
  readonly storeRepeats: number
  /** The store applies a revocation and rejects the call, as where too few replicas have the write. */
  readonly revokeRejects: number
}

/** All that a run depends on: the same plan makes the same run. */
export interface Plan {
  readonly seed: string
  readonly engine: 'memory' | 'sqlite' | 'postgres' | 'redis'
  readonly carrier: 'token' | 'cookie'
  /** Which retries the grace window accepts. */
  readonly grace: Grace
  readonly graceSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly accessSeconds: number
  /** Access tokens come from a service that may be slow or out. */
  readonly keyService: boolean
  /** How people sign in; whoever has a token of another system signs in by password later on. */
  readonly signIn: 'password' | 'code' | 'token of another system'
  /** The app sends an Idempotency-Key along with a code. */
  readonly codeKeys: boolean
  /** Tokens are bound to a key of the browser (DPoP), and the server may want to have nonces in its proofs. */
  readonly proofs: 'none' | 'plain' | 'with nonces'
  /** Tabs have a lock that all of them see; without it each has its own. */
  readonly sharedLock: boolean
  readonly tabs: number
  /** The clocks of the servers and the proofs of the client count fractions, as `time.time()` of Python does. */
  readonly fractions: boolean
  /** The callbacks of the app that only observe reject or throw. */
  readonly failingCallbacks: boolean
  /** The app itself gives up a sign-in after 30 seconds; else it relies on the signal of the client. */
  readonly signInLimit: boolean
  /** How far the clock of each server process is off, in milliseconds. */
  readonly skewsMs: readonly number[]
  readonly rates: Rates
  readonly incidents: readonly Incident[]
  readonly lengthMs: number
}

/** In these shares. */
const SIGN_IN_METHODS = ['password', 'password', 'password', 'code', 'code', 'code', 'token of another system'] as const

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
  // A source of its own, so that other plans stay as they were.
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

/** A thief that presents the predecessor just after the owner has refreshed. */
function createFollowingAttacker(rng: Rng, { lengthMs, tabs }: Pick<Plan, 'lengthMs' | 'tabs'>): Incident[] {
  if (!rng.chance(0.5)) return []
  const refreshAt = rng.between(SECOND, lengthMs)
  return [
    { atMs: refreshAt - 1, kind: 'the thief copies all that is stored' },
    { atMs: refreshAt, kind: 'a tab is told 401', tab: rng.between(0, tabs - 1) },
    { atMs: refreshAt + rng.between(0, 20 * SECOND), kind: 'the thief refreshes' },
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
  some(1, 30, () => ({ atMs: atMs(), kind: 'a tab asks for a token', tab: tab() }))
  some(0.4, 3, () => ({ atMs: atMs(), kind: 'a tab is told 401', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab crashes', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab is reloaded', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab opens', tab: tab() }))
  some(0.15, 2, () => ({ atMs: atMs(), kind: 'sign-out', tab: tab() }))
  some(0.2, 2, () => ({ atMs: atMs(), kind: 'sign-in as somebody else', tab: tab() }))
  const startsOf = (kind: Incident['kind']) => incidents.filter((one) => one.kind === kind).map((one) => one.atMs)
  for (const signOutAt of startsOf('sign-out')) {
    // What the server could not be told then, it is told when somebody else is there.
    if (rng.chance(0.3))
      incidents.push({ atMs: signOutAt - SECOND, kind: 'the store is out', ms: rng.between(2, 30) * SECOND })
    if (rng.chance(0.5))
      incidents.push({ atMs: rng.between(signOutAt, lengthMs), kind: 'sign-in as somebody else', tab: tab() })
  }
  for (const signInAt of startsOf('sign-in as somebody else')) {
    // A refresh for who was there before is under way.
    if (rng.chance(0.6))
      incidents.push({ atMs: signInAt - rng.between(0, SECOND / 4), kind: 'a tab is told 401', tab: tab() })
  }
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the browser is offline', ms: rng.between(1, 90) * SECOND }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the store is out', ms: rng.between(1, 30) * SECOND }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'the key service is out', ms: rng.between(1, 30) * SECOND }))
  if (engine === 'redis')
    some(0.5, 2, () => ({ atMs: atMs(), kind: 'fail-over', lagMs: rng.pick([50, 500, 2000, 90 * SECOND]) }))
  // Without a nonce, a proof is as old as the wall clock says, and nobody gets on before that is set right.
  if (proofs !== 'plain')
    some(0.2, 1, () => ({ atMs: atMs(), kind: 'the wall clock jumps', ms: rng.between(-3600, 3600) * SECOND }))
  some(0.07, 1, () => ({ atMs: atMs(), kind: 'all sessions are ended' }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'purge' }))
  some(0.3, 1, () => ({ atMs: atMs(), kind: 'the sessions are listed' }))
  some(0.2, 2, () => ({ atMs: atMs(), kind: 'somebody sends rubbish' }))
  if (rng.chance(0.35)) {
    const stolenAt = atMs()
    const later = () => rng.between(stolenAt, lengthMs)
    incidents.push({ atMs: stolenAt, kind: 'the thief copies all that is stored' })
    some(0.8, 4, () => ({ atMs: later(), kind: 'the thief refreshes' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the thief tries an older token' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the thief pretends to be another client' }))
  }
  if (signIn === 'code' && rng.chance(0.3)) {
    // Whoever reads codes has them at once.
    const [signInAt] = startsOf('sign-in as somebody else')
    const soon = () => rng.between(0, 2 * SECOND) + (signInAt ?? rng.between(0, 60) * SECOND)
    some(0.7, 2, () => ({ atMs: soon(), kind: 'the thief redeems the code' }))
    some(0.5, 2, () => ({ atMs: soon(), kind: 'the thief has the code and no verifier' }))
  }
  return incidents
}
