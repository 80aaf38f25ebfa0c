import type { RefreshEvent } from './events.js'
import { callObserver } from './observer.js'

/** Where lines go: a file's or a process's stream, or whatever else takes text. */
export interface LineSink {
  write(line: string): unknown
}

/**
 * Writes every event as one line of JSON, for `onEvent`: `time` in ISO 8601, `event`, and what the event says. No token, secret or
 * key is in any of them; subjects are. Nothing that a request carried can end a line or begin another. A sink that fails causes a
 * process warning and nothing else.
 */
export function auditLog(sink: LineSink): (event: RefreshEvent) => void {
  return ({ type, at, ...rest }) => {
    const line = `${JSON.stringify({ time: new Date(at).toISOString(), event: type, ...rest })}\n`
    callObserver(
      () => sink.write(line),
      () => process.emitWarning(`the audit log failed on an event of type ${type}`, 'BatonWarning'),
    )
  }
}
