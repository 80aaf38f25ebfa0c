import type { RefreshEvent } from '@baton/core'

/** Stands in for the log and the alerts of an app. No event contains a token. */
export function report(event: RefreshEvent): void {
  if (event.type === 'reuse')
    console.warn(`reuse: family ${event.familyId} of ${event.subject} was revoked, its token was copied`)
  if (event.type === 'fault') console.error(`fault: ${event.code} in ${event.operation}`)
  // A parent process, such as the demo or a test, receives the events.
  if (process.connected) process.send?.(event)
}
