import {
  type Attributes,
  type Histogram,
  type Span,
  type SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api'

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

/** Runs within a span of its own, and measures it in seconds. Whatever it answers or throws passes unchanged. */
export async function timedSpan<Answer>(options: TimedSpan<Answer>): Promise<Answer> {
  const { tracer, duration, name, kind, attributes, spanAttributes = {}, run, describe = () => ({}) } = options
  return tracer.startActiveSpan(name, { kind, attributes: { ...attributes, ...spanAttributes } }, async (span) => {
    const startedAt = performance.now()
    const end = (outcome: Attributes) => {
      duration.record((performance.now() - startedAt) / 1000, { ...attributes, ...outcome })
      close(span, outcome)
    }
    try {
      const answer = await run()
      end(describe(answer))
      return answer
    } catch (failure) {
      // Not its message: drivers put hosts, users and values into theirs.
      end({ 'error.type': kindOf(failure) })
      throw failure
    }
  })
}

function close(span: Span, outcome: Attributes): void {
  span.setAttributes(outcome)
  if (outcome['error.type'] !== undefined) span.setStatus({ code: SpanStatusCode.ERROR })
  span.end()
}

/** A driver's code, such as ECONNREFUSED, else the name of the error's class: both come from programs and are few. */
function kindOf(failure: unknown): string {
  if (!(failure instanceof Error)) return 'unknown'
  const { code } = failure as { code?: unknown }
  return typeof code === 'string' && /^[A-Za-z0-9_.]{1,64}$/.test(code) ? code : failure.name
}
