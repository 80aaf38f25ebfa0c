import { ConfigurationError, type RefreshEvent } from '@baton/core'

/** How often each kind of event has happened. */
export interface Counts {
  /** Since when, in epoch milliseconds. */
  readonly since: number
  readonly total: Readonly<Partial<Record<RefreshEvent['type'], number>>>
  /** In the last 60 seconds. */
  readonly lately: Readonly<Partial<Record<RefreshEvent['type'], number>>>
}

/**
 * What the console remembers of events: a store keeps one record per family, so pictures need a memory of their own. Write one over
 * a database to see what other processes saw, and what was before they started.
 */
export interface EventLog {
  /** Give it to `onEvent`. */
  record(event: RefreshEvent): unknown
  /** What is known of these families, in any order. */
  eventsOf(familyIds: readonly string[]): Promise<readonly RefreshEvent[]>
  /** Families of the subject of which something is known, newest first; living ones may be missing. */
  familiesOf(subject: string): Promise<readonly string[]>
  counts(): Promise<Counts>
}

export interface MemoryEventLogOptions {
  /** Families that are remembered; those that were silent for longest are forgotten first. Default 1000. */
  readonly mostFamilies?: number
  /** Events of one family: the first one stays, and then the newest. Default 100. */
  readonly mostEvents?: number
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
  /** Milliseconds of a clock that never goes back, for the last minute. Default `performance.now`. */
  readonly elapsed?: () => number
}

const LATELY_MS = 60_000
const LATELY_PARTS = 60

/** Remembers events of this process, in bounded memory. Throws `ConfigurationError` for bad options. */
export function memoryEventLog(options: MemoryEventLogOptions = {}): EventLog {
  const { mostFamilies = 1000, mostEvents = 100, now = Date.now, elapsed = () => performance.now() } = options
  demandCount('mostFamilies', mostFamilies, 1)
  demandCount('mostEvents', mostEvents, 2)
  /** In the order of their last event. */
  const families = new Map<string, RefreshEvent[]>()
  // Goes on where it stood: a new iterator would pass all deleted entries again.
  const longestSilentFirst = families.keys()
  const counter = createCounter({ since: now(), elapsed })

  return {
    record(event) {
      counter.count(event.type)
      if (!('familyId' in event) || event.familyId === null) return
      const events = families.get(event.familyId)
      // A rejected request may name any family: it adds none and removes none.
      if (event.type === 'rejected' && events === undefined) return
      families.delete(event.familyId)
      families.set(event.familyId, bounded([...(events ?? []), event], mostEvents))
      if (families.size <= mostFamilies) return
      const longestSilent = longestSilentFirst.next()
      if (longestSilent.done !== true) families.delete(longestSilent.value)
    },
    async eventsOf(familyIds) {
      return familyIds.flatMap((id) => families.get(id) ?? [])
    },
    async familiesOf(subject) {
      const known = [...families].filter(([, events]) =>
        events.some((event) => 'subject' in event && event.subject === subject),
      )
      return known.map(([id]) => id).reverse()
    },
    counts: async () => counter.counts(),
  }
}

function bounded(events: readonly RefreshEvent[], most: number): RefreshEvent[] {
  return events.length <= most ? [...events] : [...events.slice(0, 1), ...events.slice(1 - most)]
}

type Tally = Partial<Record<RefreshEvent['type'], number>>

/** Counts without end, and by the second for the last minute. */
function createCounter({ since, elapsed }: { readonly since: number; readonly elapsed: () => number }) {
  const total: Tally = {}
  const parts = new Map<number, Tally>()
  const currentPart = () => Math.floor((elapsed() * LATELY_PARTS) / LATELY_MS)

  function forget(): void {
    for (const part of parts.keys()) if (part <= currentPart() - LATELY_PARTS) parts.delete(part)
  }

  return {
    count(type: RefreshEvent['type']): void {
      forget()
      const part = currentPart()
      const tally = parts.get(part) ?? {}
      parts.set(part, tally)
      for (const each of [total, tally]) each[type] = (each[type] ?? 0) + 1
    },
    counts(): Counts {
      forget()
      const lately: Tally = {}
      for (const tally of parts.values())
        for (const type of Object.keys(tally) as RefreshEvent['type'][])
          lately[type] = (lately[type] ?? 0) + (tally[type] ?? 0)
      return { since, total: { ...total }, lately }
    },
  }
}

function demandCount(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return
  throw new ConfigurationError(option, `${String(value)} is not a whole number of ${String(least)} or more`)
}
