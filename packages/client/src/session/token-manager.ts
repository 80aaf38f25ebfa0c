import type { AccessToken } from './access-token.js'
import { SessionError } from '../platform/errors.js'
import type { TokenSource } from './authorized-fetch.js'
import type { LiveSession } from './record.js'
import type { Refresh, Generation } from './refresh-decisions.js'
import type { SessionContext } from './context.js'
import { randomFraction } from '../platform/timing.js'
import {
  createState,
  findObstacle,
  findUsable,
  mayTryCookie,
  needsRefresh,
  EARLY_REFRESH_PAUSE_MS,
  reduce,
  type SessionSnapshot,
  type TokenEvent,
} from './token-state.js'

/** Holds the access token of this page. All callers that need another token share one refresh. */
export interface TokenManager extends TokenSource {
  readonly snapshot: () => SessionSnapshot
  /** Uses a session that was signed in on this page. The result of a refresh that started earlier is ignored. */
  signIn(session: LiveSession): void
  /** Discards the token after a sign-out on this page. */
  signOut(): void
  readonly start: () => void
  readonly dispose: () => void
}

interface TokenManagerSetup extends SessionContext {
  readonly refresh: Refresh
  /** Sends the pending revocations. */
  readonly flush: () => Promise<unknown>
}

/** Creates a token manager. The rules are in `token-state.ts`; this function runs the effects that they return. */
export function createTokenManager(setup: TokenManagerSetup): TokenManager {
  const { environment, endpoints, storage, emit, records, flush } = setup
  let state = createState(endpoints.isCookie)
  let refreshing: Promise<SessionError | null> | null = null
  let stop: (() => void) | null = null
  let cancelRetry: () => void = () => undefined

  const clock = () => ({ now: environment.now(), elapsed: environment.elapsed() })

  async function dispatch(event: TokenEvent): Promise<void> {
    const { state: next, effects = [] } = reduce(state, event, { ...clock(), fraction: randomFraction(environment) })
    state = next
    for (const effect of effects) {
      if (effect.type === 'emit') emit(effect.name, effect.event)
      else if (effect.type === 'read') await readStorage(true)
      else void flush()
    }
  }

  async function readStorage(isRejected = false): Promise<void> {
    const { epoch } = state
    await dispatch({ type: 'read', record: await records.read(), epoch, isRejected })
  }

  /** Resolves with null after a refresh, or with the error if there is no token other than `stale`. All callers share one refresh. */
  function refresh(stale: Generation | null): Promise<SessionError | null> {
    const { epoch } = state
    refreshing ??= setup
      .refresh(stale, () => findUsable(state, clock()), mayTryCookie(state))
      .finally(() => (refreshing = null))
      .then(async (result) => {
        await dispatch({ type: 'refreshed', result, epoch })
        return result instanceof SessionError ? result : null
      })
    return refreshing
  }

  /** Resolves with a token of the session `sid` (null: any) other than `stale`. Rejects with a `SessionError`. */
  async function renew(stale: Generation | null, sid: string | null): Promise<AccessToken> {
    for (;;) {
      const error = await refresh(stale)
      const usable = current(sid)
      // A new token is returned even if it has expired. Otherwise a server that issues expired tokens would cause an endless loop.
      const token = error ? usable : state.token
      if (token && token.generationId !== stale?.generationId) return token
      // Without an error, the refresh was for another session: repeat it.
      if (error) throw error
    }
  }

  /** Returns the token, or null if it has expired. Throws if the session is not `sid` (null: any), in which the call started. */
  function current(sid: string | null): AccessToken | null {
    const reason = findObstacle(state, sid)
    if (reason) throw new SessionError('signed_out', reason)
    return findUsable(state, clock())
  }

  async function getToken({ early }: { readonly early: boolean }): Promise<AccessToken> {
    const { sid } = state.snapshot
    if (!stop || !sid) await readStorage()
    const token = current(sid)
    if (token && !needsRefresh(state, token, clock())) return token
    const renewed = renew(state.token, sid)
    if (!token) return renewed
    // A failed refresh has no effect on callers while the token is valid.
    const newest = renewed.catch(() => current(sid) ?? token)
    newest.catch(() => undefined)
    return early ? newest : token
  }

  async function replaceRejected(rejected: AccessToken): Promise<AccessToken | SessionError> {
    try {
      const token = current(rejected.sid)
      return token && token.generationId !== rejected.generationId ? token : await renew(rejected, rejected.sid)
    } catch (error) {
      if (error instanceof SessionError) return error
      throw error
    }
  }

  /** Reads the storage and refreshes if necessary. Repeats until the status is known. */
  function wake(): void {
    cancelRetry()
    readStorage()
      .then(() => getToken({ early: true }))
      .catch(() => {
        if (stop && state.snapshot.status === 'unknown')
          cancelRetry = environment.setTimer(EARLY_REFRESH_PAUSE_MS, wake, 'background')
      })
    void flush()
  }

  return {
    getToken,
    replaceRejected,
    snapshot: () => state.snapshot,
    signIn: (session) => void dispatch({ type: 'signedIn', session }),
    signOut: () => void dispatch({ type: 'signedOut' }),
    start() {
      if (stop) return
      const stops = [storage.listen?.(() => void readStorage()), environment.onWake(wake), () => cancelRetry()]
      stop = () => stops.forEach((call) => call?.())
      wake()
    },
    dispose() {
      stop?.()
      stop = null
    },
  }
}
