import { createSecondHolderDetector, type RefreshEvent, type SecondHolderDetectorOptions } from '@baton/core'
import { type Attributes, type Counter, trace } from '@opentelemetry/api'
import { declareOptions, listOf, optional, type OptionsOf, rule, text } from '@baton/core/options'
import { meterOf, observe, observeOptions } from './instruments.js'

const eventMetricsOptions = declareOptions({
  meterProvider: observeOptions.fields.meterProvider,
  /**
   * The clients that `baton.client_id` names; all others count as `_OTHER`. Default: no client is named, because a request may name any
   * client, and every name would add a time series.
   */
  clientIds: optional(listOf(text(), { max: 1000 })),
  /**
   * When a second holder of a family is suspected: `{ generations, among, maxFamilies }`. Each process checks its own events. Default: the
   * defaults of `createSecondHolderDetector`.
   */
  secondHolders: optional(
    rule<SecondHolderDetectorOptions>('an object', (value) => typeof value === 'object' && value !== null),
  ),
})

export type EventMetricsOptions = OptionsOf<typeof eventMetricsOptions>

const OTHER = '_OTHER'

/**
 * Returns a function for `onEvent` that counts the events and adds each to the active span. Throws `ConfigurationError` for unknown or
 * invalid options.
 *
 * - `baton.refreshes` by `baton.outcome`: `rotated`, `retried`, … and, for rejected requests, the reason
 * - `baton.retries` by `baton.attempt`: whether a retry repeats the attempt that rotated
 * - `baton.families.started`
 * - `baton.families.ended` by `baton.reason`
 * - `baton.families.second_holder_suspected`: families of which another attempt retried several generations
 * - `baton.faults` by `error.type` and `baton.operation`
 *
 * The series that alerts use (reuse, lost rotations, unknown keys) exist from the start with the value zero.
 *
 * @example
 * ```ts
 * import { createRefreshTokens } from '@baton/core'
 * import { eventMetrics } from '@baton/opentelemetry'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const tokens = createRefreshTokens({
 *   store: memoryStore(),
 *   secrets: ['a secret of at least thirty-two bytes'],
 *   onEvent: eventMetrics({ clientIds: ['web', 'ios'] }),
 * })
 * ```
 */
export function eventMetrics(options: EventMetricsOptions = {}): (event: RefreshEvent) => void {
  const { clientIds, meterProvider, secondHolders } = eventMetricsOptions.parse('eventMetrics', options)
  const meter = meterOf({ meterProvider })
  const refreshes = meter.createCounter('baton.refreshes', {
    description: 'Refreshes, by outcome.',
    unit: '{refresh}',
  })
  const started = meter.createCounter('baton.families.started', { description: 'Logins.', unit: '{family}' })
  const ended = meter.createCounter('baton.families.ended', {
    description: 'Families that were revoked, by reason.',
    unit: '{family}',
  })
  const retries = meter.createCounter('baton.retries', {
    description: 'Retries of a predecessor, by whether they repeat the attempt that rotated.',
    unit: '{refresh}',
  })
  const suspected = meter.createCounter('baton.families.second_holder_suspected', {
    description: 'Families of which several generations were retried by another attempt.',
    unit: '{family}',
  })
  const detectSecondHolder = createSecondHolderDetector(secondHolders)
  const faults = meter.createCounter('baton.faults', {
    description: 'Failures of the store or of hooks; no session ends.',
    unit: '{fault}',
  })

  const clientOf = (clientId: string): Attributes =>
    clientIds === undefined ? {} : { 'baton.client_id': clientIds.includes(clientId) ? clientId : OTHER }

  // Prometheus sees no increase in a series that appears with its first event, and for these series the first event matters.
  for (const clientId of [...(clientIds ?? []), OTHER]) {
    const ofClient = clientOf(clientId)
    ended.add(0, { 'baton.reason': 'reuse', ...ofClient })
    suspected.add(0, ofClient)
    for (const outcome of ['healed', 'rollback', 'reuse', 'unknown_key'])
      refreshes.add(0, { 'baton.outcome': outcome, ...ofClient })
  }
  for (const operation of ['rotate', 'redeem'])
    faults.add(0, { 'error.type': 'record_key_missing', 'baton.operation': operation })

  function count(event: RefreshEvent): void {
    switch (event.type) {
      case 'issued':
        increment(started, { 'baton.offline': event.offline, ...clientOf(event.clientId) })
        return
      case 'rotated':
      case 'renewed':
      case 'healed':
        increment(refreshes, { 'baton.outcome': event.type, ...clientOf(event.clientId) })
        return
      case 'imported':
        increment(started, { 'baton.imported': true, ...clientOf(event.clientId) })
        increment(refreshes, { 'baton.outcome': event.type, ...clientOf(event.clientId) })
        return
      case 'retried':
        increment(refreshes, { 'baton.outcome': event.type, 'baton.retried_by': event.by, ...clientOf(event.clientId) })
        increment(retries, { 'baton.attempt': event.attempt, ...clientOf(event.clientId) })
        return
      case 'rejected':
        increment(refreshes, { 'baton.outcome': event.reason, ...clientOf(event.clientId) })
        return
      case 'reuse':
        increment(refreshes, { 'baton.outcome': event.type, ...clientOf(event.clientId) })
        increment(ended, { 'baton.reason': event.type, ...clientOf(event.clientId) })
        return
      case 'revoked':
        increment(ended, { 'baton.reason': event.reason, ...clientOf(event.clientId) })
        return
      case 'fault':
        increment(faults, { 'error.type': event.code, 'baton.operation': event.operation })
        return
    }
  }

  return (event) => {
    count(event)
    const suspicion = detectSecondHolder(event)
    if (suspicion !== null) increment(suspected, clientOf(suspicion.clientId))
    observe(() => trace.getActiveSpan()?.addEvent(`baton.${event.type}`, spanAttributesOf(event)))
  }
}

function increment(counter: Counter, attributes: Attributes): void {
  observe(() => counter.add(1, attributes))
}

/** Names the family, never the subject: subjects are personal data, and traces are read by more people than audit logs. */
function spanAttributesOf(event: RefreshEvent): Attributes {
  switch (event.type) {
    case 'fault':
      return { 'error.type': event.code, 'baton.operation': event.operation }
    case 'rejected':
      return {
        'baton.reason': event.reason,
        ...(event.familyId === null ? {} : { 'baton.family_id': event.familyId }),
      }
    case 'revoked':
      return { 'baton.family_id': event.familyId, 'baton.reason': event.reason }
    case 'issued':
      return { 'baton.family_id': event.familyId }
    case 'retried':
      return {
        'baton.family_id': event.familyId,
        'baton.generation': event.generation,
        'baton.attempt': event.attempt,
      }
    default:
      return { 'baton.family_id': event.familyId, 'baton.generation': event.generation }
  }
}
