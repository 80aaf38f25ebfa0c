import { callObserver, describeFailure } from '@baton/core'
import { metrics, type Meter, type MeterProvider, trace, type Tracer, type TracerProvider } from '@opentelemetry/api'

const SCOPE = '@baton/opentelemetry'

/** Where metrics and spans go. Default: the global providers, which `@opentelemetry/sdk-node` and its like register. */
export interface ObserveOptions {
  readonly meterProvider?: MeterProvider
  readonly tracerProvider?: TracerProvider
}

export function meterOf({ meterProvider = metrics }: ObserveOptions): Meter {
  return meterProvider.getMeter(SCOPE)
}

export function tracerOf({ tracerProvider = trace }: ObserveOptions): Tracer {
  return tracerProvider.getTracer(SCOPE)
}

/** Seconds: one call takes from a fraction of a millisecond to the store's time-out. */
export const DURATION_BOUNDARIES = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Calls instruments, which the application provides and which must not change any outcome. */
export function observe(call: () => unknown): void {
  callObserver(call, (failure) =>
    process.emitWarning(`telemetry failed with ${describeFailure(failure)}`, 'BatonWarning'),
  )
}
