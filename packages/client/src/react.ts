import type { Session } from './session/session.js'
import type { SessionSnapshot } from './session/token-state.js'
import { checkOptions } from './platform/options.js'
import { useCallback, useSyncExternalStore } from 'react'

const SERVER_SNAPSHOT: SessionSnapshot = { status: 'unknown', sid: null, scope: null, reason: null }

/** How many components use a session: it is started for the first of them, and stopped after the last. */
const useCounts = new WeakMap<Session, number>()

/**
 * What a page may show of the session, and again at each change, here or in another tab. The session is started for as long as
 * anybody uses it. On a server, and until the storage has been read, its status is `unknown`.
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
