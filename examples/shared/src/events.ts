import type { RefreshEvent } from '@baton/core'

/** What an app would send to its log and its alerts. No event contains a token. */
export function report(event: RefreshEvent): void {
  if (event.type === 'reuse')
    console.warn(`reuse: family ${event.familyId} of ${event.subject} was ended, its token is in two hands`)
  if (event.type === 'fault') console.error(`fault: ${event.code} in ${event.operation}`)
  // A parent that has forked this server, such as the demo or a test, may look on.
  if (process.connected) process.send?.(event)
}
