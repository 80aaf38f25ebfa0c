import type { TokenStore } from '@baton/core'
import { type Attributes, SpanKind } from '@opentelemetry/api'
import { DURATION_BOUNDARIES, meterOf, type ObserveOptions, tracerOf } from './instruments.js'
import { timedSpan } from './timed-span.js'

export type { ObserveOptions } from './instruments.js'

/**
 * The same store, with a span and a measurement of `baton.store.duration` around every call. What it answers and how it fails is
 * untouched. Spans carry the family's id, which is a hash; never a subject, a key or what a driver says.
 */
export function observedStore(store: TokenStore, options: ObserveOptions = {}): TokenStore {
  const tracer = tracerOf(options)
  const duration = meterOf(options).createHistogram('baton.store.duration', {
    description: 'How long calls of the token store take.',
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
    purge: (now, limit) => observed('purge', () => store.purge(now, limit)),
    claimOnce: (claim, now) => observed('claimOnce', () => store.claimOnce(claim, now)),
  }
}
