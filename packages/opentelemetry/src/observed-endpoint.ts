import type { Endpoint } from '@baton/http'
import { SpanKind } from '@opentelemetry/api'
import { DURATION_BOUNDARIES, meterOf, type ObserveOptions, tracerOf } from './instruments.js'
import { timedSpan } from './timed-span.js'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/**
 * The same endpoint, with a span and a measurement of `baton.endpoint.duration` around every request. `name` says which one it is,
 * such as `token`. Nothing of the URL, the headers or the body is told: that is where tokens travel.
 */
export function observedEndpoint(name: string, endpoint: Endpoint, options: ObserveOptions = {}): Endpoint {
  const tracer = tracerOf(options)
  const duration = meterOf(options).createHistogram('baton.endpoint.duration', {
    description: 'How long endpoints take to answer.',
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
        // Whoever asks chooses the method; a metric must not take any text for one.
        'http.request.method': METHODS.includes(request.method) ? request.method : '_OTHER',
      },
      run: () => endpoint(request),
      describe: ({ status }) => ({
        'http.response.status_code': status,
        ...(status >= 500 ? { 'error.type': String(status) } : {}),
      }),
    })
}
