import type { Session } from './session/session.js'
import type { SessionSnapshot } from './session/token-state.js'
import { checkOptions } from './platform/options.js'
import { useCallback, useSyncExternalStore } from 'react'

const SERVER_SNAPSHOT: SessionSnapshot = { status: 'unknown', sid: null, scope: null, reason: null }

/** The number of components that use a session. The first one starts it, the last one stops it. */
const useCounts = new WeakMap<Session, number>()

/**
 * Returns the snapshot of a session and re-renders when it changes, also after changes in another tab. The session is started while at
 * least one component uses it. The status is `unknown` on a server, and until the storage has been read.
 *
 * @example
 * ```ts
 * import { useSession } from '@baton/client/react'
 *
 * export function Greeting() {
 *   const { status, sid } = useSession(session)
 *   return status === 'signedIn' ? `session ${sid ?? ''}` : status
 * }
 * ```
 */
export function useSession(session: Session): SessionSnapshot {
  checkOptions({ session }, { session: '.snapshot' }, {})
  const subscribe = useCallback(
    (onChange: () => void) => {
      const endings = (['signedIn', 'refreshed', 'synced', 'signedOut'] as const).map((type) =>
        session.on(type, onChange),
      )
      changeUseCount(session, 1)
      return () => {
        for (const end of endings) end()
        changeUseCount(session, -1)
      }
    },
    [session],
  )
  return useSyncExternalStore(
    subscribe,
    () => session.snapshot(),
    () => SERVER_SNAPSHOT,
  )
}

function changeUseCount(session: Session, change: 1 | -1): void {
  const now = (useCounts.get(session) ?? 0) + change
  useCounts.set(session, now)
  if (now === 0) session.dispose()
  else session.start()
}
