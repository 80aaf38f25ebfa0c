import { ConfigurationError } from '../model/errors.js'
import type { FamilyId } from '../model/family.js'
import { declareOptions, integer, optional, type OptionsOf, withDefault } from '../options.js'
import type { RefreshEvent } from './events.js'

const MAX_GENERATIONS = 30
const MAX_FAMILIES = 1_000_000

const secondHolderOptions = declareOptions({
  /** How many generations of one family must have been retried by another attempt: 2 to 30, default 3. */
  generations: withDefault(integer({ min: 2, max: MAX_GENERATIONS }), 3),
  /**
   * Among how many consecutive generations: `generations` to 30, default 8. More than `generations` allows for generations whose
   * events another process received.
   */
  among: optional(integer({ min: 2, max: MAX_GENERATIONS })),
  /** How many families are stored: 1 to 1 000 000, default 10 000. The one retried least recently is removed first. */
  maxFamilies: withDefault(integer({ min: 1, max: MAX_FAMILIES }), 10_000),
})

export type SecondHolderDetectorOptions = OptionsOf<typeof secondHolderOptions>

/** A family whose predecessor tokens keep being presented by another attempt than the one that rotated. */
export interface SecondHolderSuspicion {
  readonly familyId: FamilyId
  readonly subject: string
  readonly clientId: string
  /** The latest generation that was retried by another attempt. */
  readonly generation: number
}

/** Bit n of `retried` stands for generation `latest - n`: it was retried by another attempt. */
interface Entry {
  readonly latest: number
  readonly retried: number
  readonly reported: boolean
}

/**
 * Creates a function for `onEvent`, or for a stream of events from all processes. It returns a suspicion, once per family, when
 * several generations of the family were retried by another attempt within the grace window: a second holder of the token may be
 * following its owner, or the client sends several refreshes at once. Needs clients that send an Idempotency-Key; retries between
 * requests without a key prove nothing. Memory is bounded. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { createSecondHolderDetector, type RefreshEvent } from '@baton/core'
 *
 * const detectSecondHolder = createSecondHolderDetector()
 * const onEvent = (event: RefreshEvent) => {
 *   const suspicion = detectSecondHolder(event)
 *   if (suspicion !== null) console.warn('second holder suspected', suspicion.familyId)
 * }
 * ```
 */
export function createSecondHolderDetector(
  given?: SecondHolderDetectorOptions,
): (event: RefreshEvent) => SecondHolderSuspicion | null {
  const { generations, maxFamilies, ...options } = secondHolderOptions.parse('createSecondHolderDetector', given)
  const { among = Math.max(8, generations) } = options
  if (among < generations)
    throw new ConfigurationError('among', `must be at least generations (${String(generations)}), got ${String(among)}`)
  const entries = new Map<FamilyId, Entry>()
  // A Map keeps the order of insertion, and its iterator continues from its position: the next key is the one retried least recently. A
  // new iterator would skip all deleted entries again.
  const oldestFirst = entries.keys()

  function remember(familyId: FamilyId, entry: Entry): void {
    entries.delete(familyId)
    entries.set(familyId, entry)
    if (entries.size <= maxFamilies) return
    const oldest = oldestFirst.next()
    if (oldest.done !== true) entries.delete(oldest.value)
  }

  return (event) => {
    if (event.type === 'reuse' || event.type === 'revoked') entries.delete(event.familyId)
    if (event.type !== 'retried' || (event.attempt !== 'other' && event.attempt !== 'without_key')) return null
    const { familyId, subject, clientId, generation } = event
    const before = entries.get(familyId) ?? { latest: generation, retried: 0, reported: false }
    const latest = Math.max(before.latest, generation)
    const retried = shifted(before.retried, latest - before.latest, among) | bitOf(latest - generation, among)
    const suspected = before.reported || countBits(retried) >= generations
    remember(familyId, { latest, retried, reported: suspected })
    return suspected && !before.reported ? { familyId, subject, clientId, generation: latest } : null
  }
}

function shifted(bits: number, by: number, among: number): number {
  return by >= among ? 0 : (bits << by) & (2 ** among - 1)
}

function bitOf(age: number, among: number): number {
  return age >= among ? 0 : 1 << age
}

function countBits(bits: number): number {
  let count = 0
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1
  return count
}
