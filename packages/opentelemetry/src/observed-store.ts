import type { TokenStore } from '@baton/core'
import { type Attributes, SpanKind } from '@opentelemetry/api'
import { DURATION_BOUNDARIES, meterOf, type ObserveOptions, observeOptions, tracerOf } from './instruments.js'
import { timedSpan } from './timed-span.js'

export type { ObserveOptions } from './instruments.js'

/**
 * Returns a store that calls `store` and records a span and `baton.store.duration` for every call. Results and errors are unchanged.
 * Spans contain the id of the family, which is a hash, and never a subject, a key or the message of a driver.
 *
 * @example
 * ```ts
 * import { observedStore } from '@baton/opentelemetry'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const store = observedStore(memoryStore())
 * ```
 */
export function observedStore(store: TokenStore, options: ObserveOptions = {}): TokenStore {
  const providers = observeOptions.parse('observedStore', options)
  const tracer = tracerOf(providers)
  const duration = meterOf(providers).createHistogram('baton.store.duration', {
    description: 'Duration of calls of the token store.',
    unit: 's',
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
  })

  function observed<Answer>(
    operation: keyof TokenStore,
    run: () => Promise<Answer>,
    spanAttributes: Attributes = {},
  ): Promise<Answer> {
    const name = `baton.store ${operation}`
    const attributes = { 'baton.operation': operation }
    return timedSpan({ tracer, duration, name, kind: SpanKind.CLIENT, attributes, spanAttributes, run })
  }

  const of = (id: string) => ({ 'baton.family_id': id })
  return {
    create: (record, now) => observed('create', () => store.create(record, now), of(record.id)),
    find: (id) => observed('find', () => store.find(id), of(id)),
    rotate: (command) => observed('rotate', () => store.rotate(command), of(command.id)),
    revoke: (id, revocation) => observed('revoke', () => store.revoke(id, revocation), of(id)),
    list: (query) => observed('list', () => store.list(query)),
    listRevoked: (query) => observed('listRevoked', () => store.listRevoked(query)),
    purge: (now, limit) => observed('purge', () => store.purge(now, limit)),
    claimOnce: (claim, now) => observed('claimOnce', () => store.claimOnce(claim, now)),
  }
}
