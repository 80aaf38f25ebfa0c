import { type Chances, chancesOf } from './chances.js'

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
  | { readonly kind: 'the wall clock jumps'; readonly ms: number }
  | { readonly kind: 'all sessions are ended' | 'purge' | 'the sessions are listed' }
)

/** How often something goes wrong with each message or command, of one. */
export interface Rates {
  readonly lostRequest: number
  readonly lostAnswer: number
  readonly copied: number
  readonly slow: number
  readonly storeFails: number
  readonly storeFailsLate: number
  readonly storeRepeats: number
}

/** All that a run depends on: the same plan makes the same run. */
export interface Plan {
  readonly seed: string
  readonly engine: 'memory' | 'sqlite' | 'postgres' | 'redis'
  readonly carrier: 'token' | 'cookie'
  readonly graceSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly accessSeconds: number
  /** Access tokens come from a service that may be slow or out. */
  readonly keyService: boolean
  /** The session begins with a token of another system. */
  readonly imported: boolean
  /** Tabs have a lock that all of them see; without it each has its own. */
  readonly sharedLock: boolean
  readonly tabs: number
  /** How far the clock of each server process is off, in milliseconds. */
  readonly skewsMs: readonly number[]
  readonly rates: Rates
  readonly incidents: readonly Incident[]
  readonly lengthMs: number
}

const SECOND = 1000
const MINUTE = 60 * SECOND

export function planOf(seed: string): Plan {
  const chances = chancesOf(`${seed}/plan`)
  const lengthMs = chances.between(2, 8) * MINUTE
  const tabs = chances.between(1, 3)
  const engine = chances.oneOf(['memory', 'sqlite', 'postgres', 'redis', 'redis'])
  const carrier = chances.oneOf(['token', 'token', 'cookie'])
  const isCalm = chances.happens(0.2)
  const upTo = (most: number) => (isCalm || chances.happens(0.4) ? 0 : chances.fraction() * most)
  const hasShortLife = chances.happens(0.15)
  return {
    seed,
    engine,
    carrier,
    tabs,
    lengthMs,
    graceSeconds: chances.oneOf([30, 30, 30, 10, 0]),
    idleSeconds: hasShortLife ? 150 : 3600,
    absoluteSeconds: hasShortLife ? chances.between(200, 400) : 7200,
    accessSeconds: chances.oneOf([30, 60, 90]),
    keyService: chances.happens(0.25),
    imported: carrier === 'token' && chances.happens(0.15),
    sharedLock: chances.happens(0.85),
    skewsMs: Array.from({ length: 3 }, () => (isCalm ? 0 : chances.between(-1000, 1000))),
    rates: {
      lostRequest: upTo(0.2),
      lostAnswer: upTo(0.25),
      copied: upTo(0.1),
      slow: upTo(0.15),
      storeFails: upTo(0.1),
      storeFailsLate: upTo(0.1),
      storeRepeats: upTo(0.15),
    },
    incidents: incidentsOf(chances, { lengthMs, tabs, engine }),
  }
}

function incidentsOf(
  chances: Chances,
  { lengthMs, tabs, engine }: Pick<Plan, 'lengthMs' | 'tabs' | 'engine'>,
): Incident[] {
  const atMs = () => chances.between(SECOND, lengthMs)
  const tab = () => chances.between(0, tabs - 1)
  const incidents: Incident[] = []
  const some = (likelihood: number, most: number, make: () => Incident) => {
    if (!chances.happens(likelihood)) return
    for (let count = chances.between(1, most); count > 0; count -= 1) incidents.push(make())
  }
  some(1, 6, () => ({ atMs: atMs(), kind: 'a tab asks for a token', tab: tab() }))
  some(0.4, 3, () => ({ atMs: atMs(), kind: 'a tab is told 401', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab crashes', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab is reloaded', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'a tab opens', tab: tab() }))
  some(0.1, 1, () => ({ atMs: atMs(), kind: 'sign-out', tab: tab() }))
  some(0.1, 1, () => ({ atMs: atMs(), kind: 'sign-in as somebody else', tab: tab() }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the browser is offline', ms: chances.between(1, 90) * SECOND }))
  some(0.3, 2, () => ({ atMs: atMs(), kind: 'the store is out', ms: chances.between(1, 30) * SECOND }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'the key service is out', ms: chances.between(1, 30) * SECOND }))
  if (engine === 'redis')
    some(0.5, 2, () => ({ atMs: atMs(), kind: 'fail-over', lagMs: chances.oneOf([50, 500, 2000, 90 * SECOND]) }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'the wall clock jumps', ms: chances.between(-3600, 3600) * SECOND }))
  some(0.07, 1, () => ({ atMs: atMs(), kind: 'all sessions are ended' }))
  some(0.2, 1, () => ({ atMs: atMs(), kind: 'purge' }))
  some(0.3, 1, () => ({ atMs: atMs(), kind: 'the sessions are listed' }))
  some(0.2, 2, () => ({ atMs: atMs(), kind: 'somebody sends rubbish' }))
  if (chances.happens(0.35)) {
    const stolenAt = atMs()
    const later = () => chances.between(stolenAt, lengthMs)
    incidents.push({ atMs: stolenAt, kind: 'the thief copies all that is stored' })
    some(0.8, 4, () => ({ atMs: later(), kind: 'the thief refreshes' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the thief tries an older token' }))
    some(0.3, 2, () => ({ atMs: later(), kind: 'the thief pretends to be another client' }))
  }
  return incidents.sort((one, other) => one.atMs - other.atMs)
}
