import type { RefreshEvent } from '@baton/core'
import { declareOptions, func, integer, type OptionsOf, withDefault } from '@baton/core/options'

/** The number of events of each type. */
export interface Counts {
  /** The start of the count, in epoch milliseconds. */
  readonly since: number
  readonly total: Readonly<Partial<Record<RefreshEvent['type'], number>>>
  /** In the last 60 seconds. */
  readonly lately: Readonly<Partial<Record<RefreshEvent['type'], number>>>
}

/**
 * Keeps the events that the console draws. A store has only one record per family, so the history needs a separate log. Implement it
 * with a database to include events of other processes and from before a restart.
 */
export interface EventLog {
  /** Records one event. Pass it as `onEvent`. */
  record(event: RefreshEvent): unknown
  /** Returns the recorded events of these families, in any order. */
  eventsOf(familyIds: readonly string[]): Promise<readonly RefreshEvent[]>
  /** Returns the families of the subject that have recorded events, newest first. Active families may be missing. */
  familiesOf(subject: string): Promise<readonly string[]>
  counts(): Promise<Counts>
}

const memoryEventLogOptions = declareOptions({
  /** The largest number of families; the one without events for the longest time is removed first. Default 1000. */
  maxFamilies: withDefault(integer({ min: 1, max: 10_000_000 }), 1000),
  /** The largest number of events of one family: the first one and the newest ones are kept. Default 100. */
  maxEvents: withDefault(integer({ min: 2, max: 1_000_000 }), 100),
  /** Epoch milliseconds. Default `Date.now`. */
  now: withDefault(func<() => number>(), Date.now),
  /** Milliseconds of a monotonic clock, for the last minute. Default `performance.now`. */
  elapsed: withDefault(func<() => number>(), () => performance.now()),
})

export type MemoryEventLogOptions = OptionsOf<typeof memoryEventLogOptions>

const LATELY_MS = 60_000
const LATELY_PARTS = 60

/**
 * Keeps events of this process, in bounded memory. Throws `ConfigurationError` for unknown or invalid options.
 *
 * @example
 * ```ts
 * import { memoryEventLog } from '@baton/console'
 *
 * const log = memoryEventLog({ maxFamilies: 10_000 })
 * ```
 */
export function memoryEventLog(options: MemoryEventLogOptions = {}): EventLog {
  const { maxFamilies, maxEvents, now, elapsed } = memoryEventLogOptions.parse('memoryEventLog', options)
  /** In the order of their last event. */
  const families = new Map<string, RefreshEvent[]>()
  // One iterator for all removals: a new iterator would pass all deleted entries again.
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
      families.set(event.familyId, bounded([...(events ?? []), event], maxEvents))
      if (families.size <= maxFamilies) return
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

function bounded(events: readonly RefreshEvent[], max: number): RefreshEvent[] {
  return events.length <= max ? [...events] : [...events.slice(0, 1), ...events.slice(1 - max)]
}

type Tally = Partial<Record<RefreshEvent['type'], number>>

/** Counts all events, and those of the last minute by the second. */
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
