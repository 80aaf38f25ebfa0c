import type { Endpoint } from '@baton/http'
import { SpanKind } from '@opentelemetry/api'
import { DURATION_BOUNDARIES, meterOf, type ObserveOptions, observeOptions, tracerOf } from './instruments.js'
import { timedSpan } from './timed-span.js'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/**
 * Returns an endpoint that calls `endpoint` and records a span and `baton.endpoint.duration` for every request. `name` identifies the
 * endpoint, such as `token`. Nothing of the URL, the headers or the body is recorded, because they contain tokens.
 *
 * @example
 * ```ts
 * import type { Endpoint } from '@baton/http'
 * import { observedEndpoint } from '@baton/opentelemetry'
 *
 * declare const endpoint: Endpoint
 * const observed = observedEndpoint('token', endpoint)
 * ```
 */
export function observedEndpoint(name: string, endpoint: Endpoint, options: ObserveOptions = {}): Endpoint {
  const providers = observeOptions.parse('observedEndpoint', options)
  const tracer = tracerOf(providers)
  const duration = meterOf(providers).createHistogram('baton.endpoint.duration', {
    description: 'Duration of requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: DURATION_BOUNDARIES },
  })
  return (request) =>
    timedSpan({
      tracer,
      duration,
      name: `baton.endpoint ${name}`,
      kind: SpanKind.INTERNAL,
      attributes: {
        'baton.endpoint': name,
        // The client chooses the method, and every text would add a time series.
        'http.request.method': METHODS.includes(request.method) ? request.method : '_OTHER',
      },
      run: () => endpoint(request),
      describe: ({ status }) => ({
        'http.response.status_code': status,
        ...(status >= 500 ? { 'error.type': String(status) } : {}),
      }),
    })
}
