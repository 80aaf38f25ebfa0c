import {
  type Attributes,
  type Histogram,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'
import { observe } from './instruments.js'

export interface TimedSpan<Answer> {
  readonly tracer: Tracer
  readonly duration: Histogram
  readonly name: string
  readonly kind: SpanKind
  /** Of the span and of the measurement: few values each. */
  readonly attributes: Attributes
  /** Of the span alone: as many values as there are families. */
  readonly spanAttributes?: Attributes
  readonly run: () => Promise<Answer>
  /** What the answer adds to both. With `error.type` among it the span counts as failed. */
  readonly describe?: (answer: Answer) => Attributes
}

/** Runs within a new span and records the duration in seconds. Returns and throws what `run` does, also if telemetry fails. */
export async function timedSpan<Answer>(options: TimedSpan<Answer>): Promise<Answer> {
  const { tracer, name, kind, attributes, spanAttributes = {}, run } = options
  let running: Promise<Answer> | undefined
  observe(() =>
    tracer.startActiveSpan(name, { kind, attributes: { ...attributes, ...spanAttributes } }, (span) => {
      running ??= measured(options, span)
    }),
  )
  return running ?? run()
}

async function measured<Answer>(options: TimedSpan<Answer>, span: Span): Promise<Answer> {
  const { duration, attributes, run, describe = () => ({}) } = options
  const startedAt = performance.now()
  const end = (outcome: Attributes) => {
    observe(() => duration.record((performance.now() - startedAt) / 1000, { ...attributes, ...outcome }))
    observe(() => span.setAttributes(outcome))
    if (outcome['error.type'] !== undefined) observe(() => span.setStatus({ code: SpanStatusCode.ERROR }))
    observe(() => span.end())
  }
  let answer: Answer
  try {
    answer = await run()
  } catch (failure) {
    // Not its message: drivers put hosts, users and values into theirs.
    end({ 'error.type': kindOf(failure) })
    throw failure
  }
  end(describe(answer))
  return answer
}

/** A driver's code, such as ECONNREFUSED, else the name of the error's class: both come from programs and are few. */
function kindOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'unknown'
  const { code } = failure as { code?: unknown }
  return typeof code === 'string' && /^[A-Za-z0-9_.]{1,64}$/.test(code) ? code : failure.name
}
