import { createSecondHolderDetector, type RefreshEvent, type SecondHolderDetectorOptions } from '@baton/core'
import { type Attributes, type Counter, trace } from '@opentelemetry/api'
import { meterOf, observe, type ObserveOptions } from './instruments.js'

export interface EventMetricsOptions extends Pick<ObserveOptions, 'meterProvider'> {
  /**
   * The clients to tell apart, by `baton.client_id`; all others count as `_OTHER`. Default: none are told apart, since whoever asks
   * may name any client, and a metric must not grow with that.
   */
  readonly clientIds?: readonly string[]
  /** When a second holder of a family is suspected; see `createSecondHolderDetector`. Each process looks at its own events. */
  readonly secondHolders?: SecondHolderDetectorOptions
}

const OTHER = '_OTHER'

/**
 * Counts what happens, for `onEvent`, and adds it to the span that is active, if there is one.
 *
 * - `baton.refreshes` by `baton.outcome`: `rotated`, `retried`, … and, for rejected requests, the reason
 * - `baton.retries` by `baton.attempt`: whether a retry came from the attempt that rotated
 * - `baton.families.started`
 * - `baton.families.ended` by `baton.reason`
 * - `baton.families.second_holder_suspected`: families that another attempt retried in several generations
 * - `baton.faults` by `error.type` and `baton.operation`
 *
 * What alerts look for (theft, rotations that a store lost, keys that differ) is there from the beginning, as zero.
 */
export function eventMetrics(options: EventMetricsOptions = {}): (event: RefreshEvent) => void {
  const { clientIds } = options
  const meter = meterOf(options)
  const refreshes = meter.createCounter('baton.refreshes', {
    description: 'Refreshes, by how they came out.',
    unit: '{refresh}',
  })
  const started = meter.createCounter('baton.families.started', { description: 'Logins.', unit: '{family}' })
  const ended = meter.createCounter('baton.families.ended', {
    description: 'Families that were ended before their time, by reason; reuse is theft.',
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
  const detectSecondHolder = createSecondHolderDetector(options.secondHolders)
  const faults = meter.createCounter('baton.faults', {
    description: 'What broke; nobody is signed out.',
    unit: '{fault}',
  })

  const clientOf = (clientId: string): Attributes =>
    clientIds === undefined ? {} : { 'baton.client_id': clientIds.includes(clientId) ? clientId : OTHER }

  // A counter that appears together with its first event has never risen, as Prometheus sees it; and for these the first one matters.
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

/** Whom it is about by family only: subjects are people, and traces go further than audit logs. */
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
