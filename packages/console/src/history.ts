import type { RefreshEvent, RevocationReason } from '@baton/core'

/** A generation of a family. Instants are epoch milliseconds. */
export interface Step {
  readonly generation: number
  readonly at: number
  /** How it came into being. */
  readonly how: 'issued' | 'rotated' | 'healed' | 'imported'
  /** How often it was handed out again. */
  readonly retries: number
}

/** The history of a family, as far as its events are recorded. */
export interface History {
  readonly steps: readonly Step[]
  /** A token that had been rotated away came back; `presented` is null where it was the code that the family began with. */
  readonly theft: { readonly at: number; readonly presented: number | null } | null
  readonly end: { readonly at: number; readonly reason: RevocationReason } | null
}

/**
 * Returns the history of one family from its events. They may be in any order and contain duplicates.
 *
 * @example
 * ```ts
 * import { historyOf, memoryEventLog } from '@baton/console'
 *
 * const log = memoryEventLog()
 * const { steps, end } = historyOf(await log.eventsOf(['AAAAAAAAAAAAAAAAAAAAAA']))
 * ```
 */
export function historyOf(events: readonly RefreshEvent[]): History {
  const steps = new Map<number, Step>()
  let theft: History['theft'] = null
  let end: History['end'] = null
  for (const event of events) {
    switch (event.type) {
      case 'issued':
        steps.set(0, { retries: 0, ...steps.get(0), generation: 0, at: event.at, how: 'issued' })
        break
      case 'rotated':
      case 'healed':
      case 'imported':
        steps.set(event.generation, {
          retries: steps.get(event.generation)?.retries ?? 0,
          generation: event.generation,
          at: event.at,
          how: event.type,
        })
        break
      case 'retried': {
        const { generation, at } = event
        // What happened before the log began is not in it.
        const step = steps.get(generation) ?? { generation, at, how: 'rotated' as const, retries: 0 }
        steps.set(generation, { ...step, retries: step.retries + 1 })
        break
      }
      case 'reuse':
        theft = { at: event.at, presented: event.presentedGeneration }
        end = { at: event.at, reason: 'reuse' }
        break
      case 'revoked':
        end = { at: event.at, reason: event.reason }
        break
      default:
        break
    }
  }
  return { steps: [...steps.values()].sort((a, b) => a.generation - b.generation), theft, end }
}
