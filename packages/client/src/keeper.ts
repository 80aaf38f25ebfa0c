import { type AccessToken, accessTokenOf, leftOf } from './access-token.js'
import { SessionError } from './errors.js'
import type { TokenSource } from './guarded-fetch.js'
import type { LiveSession, SignedOutReason } from './record.js'
import { createRefresh } from './refresh.js'
import type { Refreshed, Seen } from './refresh-state.js'
import type { Setup } from './setup.js'
import type { Transport } from './transport.js'
import type { Vault } from './vault.js'

export type SessionStatus = 'unknown' | 'signedIn' | 'signedOut'

/** What a page may show. The same object until something changes. */
export interface SessionSnapshot {
  readonly status: SessionStatus
  /** Names the session; null where nobody is signed in. */
  readonly sid: string | null
  /** Space-separated; null where the server did not say. */
  readonly scope: string | null
  /** Why nobody is signed in. */
  readonly reason: SignedOutReason | null
}

/** Holds the access token of this page, and sees to it that one refresh at a time serves all who need another. */
export interface Keeper extends TokenSource {
  readonly snapshot: () => SessionSnapshot
  /** A sign-in here: what is held and shown is this session, whatever a refresh that began earlier comes to. */
  enter(session: LiveSession): void
  /** A sign-out here. */
  leave(): void
  readonly start: () => void
  readonly dispose: () => void
}

interface KeeperSetup extends Setup {
  readonly vault: Vault
  readonly transport: Transport
  /** Tells the server what is over. */
  readonly flush: () => Promise<unknown>
}

/** After a refresh that came to nothing, nobody refreshes ahead of time for so long. */
const QUIET_MS = 30_000

export function createKeeper(setup: KeeperSetup): Keeper {
  const { environment, endpoints, storage, emit, vault, flush } = setup
  const refreshOnce = createRefresh(setup)
  let held: AccessToken | null = null
  let shown: SessionSnapshot = { status: 'unknown', sid: null, scope: null, reason: null }
  let running: Promise<SessionError | null> | null = null
  let stopAll: (() => void) | null = null
  /** How often somebody has signed in or out here. */
  let turns = 0
  let quietUntil = 0
  let cancelRetry: () => void = () => undefined

  /** Takes over what is stored, whoever stored it. */
  async function look(hasAsked = false): Promise<void> {
    const turn = turns
    const record = await vault.read()
    const session = record?.session
    // What was read before a sign-in or a sign-out says nothing about what came after.
    if (turn !== turns) return
    if (session?.state === 'live') adopt(session)
    else if (session?.state === 'ended') {
      if (hasAsked || !mayAskCookie()) depart(session.reason)
    } else if (endpoints.isCookie) {
      // The cookie outlives a marker that was deleted.
      if (session?.replaced && session.replaced === shown.sid) depart('replaced')
    } else if (record !== undefined) depart(shown.sid ? 'cleared' : 'no_session')
  }

  /** A page that does not know of any session asks the server once, although the stored one has ended. */
  function mayAskCookie(): boolean {
    return endpoints.isCookie && shown.status === 'unknown'
  }

  function adopt(session: LiveSession): void {
    const { sid, generation, accessToken } = session
    // Where access tokens are not stored, ours works until it ends, whoever has refreshed since.
    const isKnown = !accessToken || (held && held.generation >= generation)
    if (shown.sid !== sid || !isKnown) hold('adopted', session)
  }

  function hold(type: 'signedIn' | 'refreshed' | 'adopted', session: LiveSession): void {
    const { sid, generation, expiresAt, scope } = session
    const replaced = shown.sid !== null && shown.sid !== sid
    held = accessTokenOf(environment, session)
    if (shown.sid !== sid || shown.scope !== scope) shown = { status: 'signedIn', sid, scope, reason: null }
    emit(type, { sid, generation, expiresAt, replaced })
  }

  function depart(reason: SignedOutReason): void {
    held = null
    if (shown.reason) return
    shown = { status: 'signedOut', sid: null, scope: null, reason }
    emit('signedOut', { reason })
  }

  /** Resolves with why there is no other token than the stale one, however many wait for it. */
  function refresh(stale: Seen | null): Promise<SessionError | null> {
    const turn = turns
    running ??= refreshOnce(stale, usable, mayAskCookie())
      .finally(() => (running = null))
      .then((result) => settle(result, turn === turns))
    return running
  }

  async function settle(result: Refreshed | SessionError, isCurrent: boolean): Promise<SessionError | null> {
    if (result instanceof SessionError) {
      if (result.code === 'signed_out') {
        await look(true)
        void flush()
      } else quietUntil = environment.elapsed() + QUIET_MS
      return result
    }
    const { type, session } = result
    if (type === 'refreshed' && (isCurrent || shown.sid === session.sid)) hold(type, session)
    else if (isCurrent) adopt(session)
    return null
  }

  /** A token of `believed` (any session, where null) other than `stale`. Rejects with a `SessionError`. */
  async function renew(stale: Seen | null, believed: string | null): Promise<AccessToken> {
    for (;;) {
      const error = await refresh(stale)
      const works = current(believed)
      // One that is new is handed out whatever its end: a server whose tokens live for no time would be asked for ever.
      const token = error ? works : held
      if (token && token.attempt !== stale?.attempt) return token
      // Otherwise this refresh had begun for somebody else; the next one is ours.
      if (error) throw error
    }
  }

  /** What we hold, if it has not ended. Throws where that is of another session than the caller began in: nobody speaks for another. */
  function current(believed: string | null): AccessToken | null {
    const why = shown.reason ?? (believed && believed !== shown.sid ? 'replaced' : null)
    if (why) throw new SessionError('signed_out', why)
    return usable()
  }

  function usable(): AccessToken | null {
    return held && leftOf(environment, held) > 0 ? held : null
  }

  async function get({ early }: { readonly early: boolean }): Promise<AccessToken> {
    const believed = shown.sid
    if (!stopAll || !believed) await look()
    const token = current(believed)
    const isQuiet = environment.elapsed() < quietUntil
    if (token && (isQuiet || leftOf(environment, token) > token.earlyMs)) return token
    const renewed = renew(held, believed)
    if (!token) return renewed
    // Not needed yet: that the server is out must not be felt before the token has ended.
    const either = renewed.catch(() => current(believed) ?? token)
    either.catch(() => undefined)
    return early ? either : token
  }

  async function instead(rejected: AccessToken): Promise<AccessToken | SessionError> {
    try {
      const token = current(rejected.sid)
      return token && token.attempt !== rejected.attempt ? token : await renew(rejected, rejected.sid)
    } catch (error) {
      if (error instanceof SessionError) return error
      throw error
    }
  }

  /** Reads the storage and refreshes if need be. Repeats until the status is known: nobody may ask for a token before it is. */
  function wake(): void {
    cancelRetry()
    look()
      .then(() => get({ early: true }))
      .catch(() => {
        if (stopAll && shown.status === 'unknown') cancelRetry = environment.setTimer(QUIET_MS, wake, 'background')
      })
    void flush()
  }

  return {
    get,
    instead,
    snapshot: () => shown,
    enter(session) {
      turns += 1
      quietUntil = 0
      hold('signedIn', session)
    },
    leave() {
      turns += 1
      depart('logout')
    },
    start() {
      if (stopAll) return
      const endings = [storage.listen?.(() => void look()), environment.onWake(wake), () => cancelRetry()]
      stopAll = () => endings.forEach((end) => end?.())
      wake()
    },
    dispose() {
      stopAll?.()
      stopAll = null
    },
  }
}
