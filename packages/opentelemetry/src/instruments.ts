import { callObserver, describeFailure } from '@baton/core'
import { declareOptions, objectWith, optional, type OptionsOf } from '@baton/core/options'
import { metrics, type Meter, type MeterProvider, trace, type Tracer, type TracerProvider } from '@opentelemetry/api'

const SCOPE = '@baton/opentelemetry'

/** The providers of meters and tracers. Default: the global ones, which for example `@opentelemetry/sdk-node` registers. */
export const observeOptions = declareOptions({
  /** The provider of the metrics. Default: the global meter provider. */
  meterProvider: optional(objectWith<MeterProvider>(['getMeter'], 'a MeterProvider of OpenTelemetry')),
  /** The provider of the spans. Default: the global tracer provider. */
  tracerProvider: optional(objectWith<TracerProvider>(['getTracer'], 'a TracerProvider of OpenTelemetry')),
})

export type ObserveOptions = OptionsOf<typeof observeOptions>

export function meterOf({ meterProvider = metrics }: Pick<ObserveOptions, 'meterProvider'>): Meter {
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
