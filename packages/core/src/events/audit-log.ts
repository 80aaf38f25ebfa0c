import type { RefreshEvent } from './events.js'
import { callObserver } from './observer.js'

/** The destination of the lines, such as a file stream or `process.stdout`. */
export interface LineSink {
  write(line: string): unknown
}

/**
 * Returns a function for `onEvent` that writes every event as one line of JSON: `time` in ISO 8601, `event`, and the members of the event.
 * Lines contain subjects, but no token, secret or key. Text from a request cannot end a line or start another one. If the sink fails, a
 * process warning is emitted and nothing else happens.
 *
 * @example
 * ```ts
 * import { auditLog, createRefreshTokens } from '@baton/core'
 * import { memoryStore } from '@baton/store-memory'
 *
 * const secrets = [process.env['BATON_SECRET']]
 * const tokens = createRefreshTokens({ store: memoryStore(), secrets, onEvent: auditLog(process.stdout) })
 * ```
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
