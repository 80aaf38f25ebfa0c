import { createRefreshTokens } from '@baton/core'
import type { Endpoint } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { FAILING_CALLBACKS, watchUnhandled } from '@baton/test-servers'
import { context, metrics, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { MeterProvider, Tracer, TracerProvider } from '@opentelemetry/api'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { eventMetrics, observedEndpoint, observedStore } from '../src/index.js'

vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
let unhandled: ReturnType<typeof watchUnhandled>
beforeEach(() => {
  unhandled = watchUnhandled()
})
afterEach(() => unhandled.stop())

/** Instruments that fail once they are used, but not while they are created. */
function failingMeters(callback: () => unknown): MeterProvider {
  const meter = metrics.getMeter('test')
  const instrument = { add: (value: number) => (value > 0 ? callback() : undefined), record: callback } as never
  return {
    getMeter: () =>
      Object.assign(Object.create(meter), { createCounter: () => instrument, createHistogram: () => instrument }),
  }
}

/** Tracers of which one member fails. */
function failingTracers(callback: () => unknown, member: 'startActiveSpan' | 'span' | 'afterwards'): TracerProvider {
  const span = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: 0 })
  const failing = new Proxy(span, { get: () => callback })
  const startActiveSpan: Tracer['startActiveSpan'] = (...given: unknown[]) => {
    const run = given.at(-1) as (given: typeof span) => unknown
    if (member === 'startActiveSpan') return callback() as never
    context.with(ROOT_CONTEXT, () => run(member === 'span' ? failing : span))
    return (member === 'afterwards' ? callback() : undefined) as never
  }
  return { getTracer: () => ({ startSpan: () => span, startActiveSpan }) }
}

const CASES = FAILING_CALLBACKS.flatMap(([name, callback]) =>
  (['instruments', 'startActiveSpan', 'span', 'afterwards'] as const).map(
    (member) => [member, name, callback] as const,
  ),
)

test.each(CASES)('telemetry whose %s %s changes no outcome of store and endpoint', async (member, _name, callback) => {
  const options =
    member === 'instruments'
      ? { meterProvider: failingMeters(callback) }
      : { tracerProvider: failingTracers(callback, member) }
  const tokens = createRefreshTokens({
    store: observedStore(memoryStore(), options),
    secrets: ['s'.repeat(32)],
    onEvent: eventMetrics(member === 'instruments' ? options : {}),
  })
  const { refreshToken } = await tokens.issue({ subject: 'alice' })
  expect((await tokens.rotate({ refreshToken })).ok).toBe(true)

  const calls: string[] = []
  const endpoint: Endpoint = async ({ method }) => {
    calls.push(method)
    if (method === 'PUT') throw new Error('of the endpoint itself')
    return { status: 204, headers: [], body: null }
  }
  const observed = observedEndpoint('test', endpoint, options)
  const request = {
    url: '/',
    headers: {},
    remoteAddress: null,
    encrypted: true,
    body: { kind: 'parsed', value: null },
  } as const
  expect((await observed({ ...request, method: 'POST' })).status).toBe(204)
  await expect(observed({ ...request, method: 'PUT' })).rejects.toThrow('of the endpoint itself')
  expect(calls).toEqual(['POST', 'PUT'])
  expect(await unhandled.stop()).toEqual([])
})
