import { type AccessToken, accessTokenOf, leftOf } from './access-token.js'
import { KeyLostError, RefreshTimeoutError, SessionError, SignedOutError, UnavailableError } from './errors.js'
import type { Emitter } from './events.js'
import type { TokenSource } from './guarded-fetch.js'
import type { LiveSession, SignedOutReason } from './record.js'
import { type Refreshed, type RefreshWorld, runRefresh } from './refresh-run.js'
import type { Effect, Seen } from './refresh-state.js'
import { sharedName } from './storage.js'
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

/** When a request was sent: epoch milliseconds, and the clock that never goes back. */
export interface Sent {
  readonly at: number
  readonly elapsed: number
}

/** Holds the access token of this page, and sees to it that one refresh at a time serves all who need another. */
export interface Keeper extends TokenSource {
  snapshot(): SessionSnapshot
  /** A sign-in here: what is held and shown is this session, whatever a refresh that began earlier comes to. */
  enter(session: LiveSession, sent: Sent): void
  /** A sign-out here. */
  leave(reason: SignedOutReason): void
  start(): void
  stop(): void
}

export interface KeeperOptions extends Omit<RefreshWorld, 'wait' | 'held'> {
  readonly vault: Vault
  readonly emitter: Emitter
  /** The server should end this refresh token, which came too late to be used. */
  readonly onOrphan: (refreshToken: string) => void
  /** The page is back, or has begun. */
  readonly onWake: () => void
}

/** After a refresh that came to nothing, nobody refreshes ahead of time for so long. */
const QUIET_MS = 30_000

export function createKeeper({ vault, emitter, onOrphan, onWake, ...world }: KeeperOptions): Keeper {
  const { environment, storage } = world
  const name = sharedName(storage)
  let held: AccessToken | null = null
  let shown: SessionSnapshot = { status: 'unknown', sid: null, scope: null, reason: null }
  let running: Promise<Refreshed> | null = null
  let stopAll: (() => void) | null = null
  let cancelSchedule: () => void = () => undefined
  let endWait: () => void = () => undefined
  /** How often somebody has signed in or out here. */
  let turns = 0
  let quietUntil = 0
  /** What the last refused token was replaced by. */
  let replacement: AccessToken | null = null
  let replacedUntil = 0

  /** Takes over what is stored, whoever stored it. */
  async function look(): Promise<void> {
    const turn = turns
    const session = (await vault.read())?.session
    // What was read before a sign-in or a sign-out says nothing about what came after.
    if (turn !== turns) return
    if (session?.state === 'live') adopt(session)
    else if (session?.state === 'ended') depart(session.reason)
    else if (shown.status === 'signedIn') depart('cleared')
  }

  function adopt(session: LiveSession): void {
    const { sid, generation, expiresAt, scope, accessToken } = session
    const isShown = shown.status === 'signedIn' && shown.sid === sid
    // Where access tokens are not stored, ours works until it ends, whoever has refreshed since.
    if (isShown && (accessToken === null || (held !== null && held.generation >= generation))) return
    const replaced = shown.status === 'signedIn' && !isShown
    hold(accessTokenOf(environment, session, null), { sid, scope })
    emitter.emit('adopted', { sid, generation, expiresAt, replaced })
  }

  function hold(token: AccessToken | null, { sid, scope }: Pick<LiveSession, 'sid' | 'scope'>): void {
    held = token
    if (shown.status !== 'signedIn' || shown.sid !== sid || shown.scope !== scope)
      shown = { status: 'signedIn', sid, scope, reason: null }
    schedule()
  }

  function depart(reason: SignedOutReason): void {
    held = null
    cancelSchedule()
    if (shown.status === 'signedOut') return
    shown = { status: 'signedOut', sid: null, scope: null, reason }
    emitter.emit('signedOut', { reason })
  }

  function refresh(stale: Seen | null): Promise<Refreshed> {
    if (running !== null) return running
    const turn = turns
    running = runRefresh({ ...world, wait, held: usable }, stale)
      .finally(() => (running = null))
      .then((refreshed) => {
        settle(refreshed, turn === turns)
        return refreshed
      })
    return running
  }

  /** What a refresh has come to, once, however many wait for it. */
  function settle({ outcome, sentElapsed }: Refreshed, isCurrent: boolean): void {
    switch (outcome.kind) {
      case 'refreshed': {
        environment.announce(name)
        const { session } = outcome
        const { sid, generation, expiresAt } = session
        if (!isCurrent && shown.sid !== sid) break
        hold(accessTokenOf(environment, session, sentElapsed), session)
        emitter.emit('refreshed', { sid, generation, expiresAt })
        break
      }
      case 'adopted':
        if (isCurrent) adopt(outcome.session)
        break
      case 'signed_out':
        environment.announce(name)
        if (outcome.orphan !== null) onOrphan(outcome.orphan)
        if (isCurrent) depart(outcome.reason)
        else void look()
        break
      case 'unavailable':
      case 'timed_out':
      case 'misconfigured':
      case 'key_lost':
        quietUntil = environment.elapsed() + QUIET_MS
        break
    }
  }

  async function wait({ ms, isPause, tries, cause }: Extract<Effect, { kind: 'wait' }>): Promise<void> {
    emitter.emit('retrying', { tries, waitMs: ms, cause })
    await new Promise<void>((resolve) => {
      const cancel = environment.setTimer(ms, resolve)
      // What the server asked for is kept, whoever wakes up.
      if (isPause) return
      endWait = () => {
        cancel()
        resolve()
      }
    })
  }

  /** A token of `believed` (any session, where null) other than `stale`. Rejects with a `SessionError`. */
  async function renew(stale: Seen | null, believed: string | null): Promise<AccessToken> {
    for (;;) {
      const { outcome } = await refresh(stale)
      const works = current(believed)
      // One that is new is handed out whatever its end: a server whose tokens live for no time would be asked for ever.
      const token = outcome.kind === 'refreshed' || outcome.kind === 'adopted' ? held : works
      if (token !== null && !isSame(token, stale)) return token
      switch (outcome.kind) {
        case 'refreshed':
        case 'adopted':
          // This refresh had begun for somebody else; the next one is ours.
          break
        case 'signed_out':
          throw new SignedOutError(outcome.reason)
        case 'unavailable':
          throw new UnavailableError(outcome.cause, outcome.until)
        case 'timed_out':
          throw new RefreshTimeoutError()
        case 'misconfigured':
          throw new SessionError('misconfigured', `the server will not refresh (${outcome.cause})`)
        case 'key_lost':
          throw new KeyLostError()
      }
    }
  }

  /** What we hold, if it has not ended. Throws where that is of another session than the caller began in: nobody speaks for another. */
  function current(believed: string | null): AccessToken | null {
    if (shown.status === 'signedOut') throw new SignedOutError(shown.reason ?? 'no_session')
    if (believed !== null && shown.sid !== believed) throw new SignedOutError('replaced')
    return usable()
  }

  function usable(): AccessToken | null {
    return held !== null && leftOf(environment, held) > 0 ? held : null
  }

  async function get({ early }: { readonly early: boolean }): Promise<AccessToken> {
    const believed = shown.sid
    if (stopAll === null || shown.status !== 'signedIn') await look()
    const token = current(believed)
    if (token === null) return renew(held, believed)
    const isDue = leftOf(environment, token) <= token.earlyMs
    if (!isDue || environment.elapsed() < quietUntil) return token
    // Not needed yet: that the server is out must not be felt before the token has ended.
    const renewed = renew(token, believed).catch((error: unknown) => {
      if (error instanceof SignedOutError) throw error
      return token
    })
    if (early) return renewed
    renewed.catch(() => undefined)
    return token
  }

  async function instead(refused: AccessToken): Promise<AccessToken | null> {
    const { sid } = refused
    try {
      const token = current(sid)
      if (token !== null && !isSame(token, refused)) return token
      // It had just come in the place of a refused one; another would fare no better.
      if (isSame(refused, replacement) && environment.elapsed() < replacedUntil) return null
      replacement = await renew(refused, sid)
      replacedUntil = environment.elapsed() + QUIET_MS
      return replacement
    } catch {
      return null
    }
  }

  /** Whoever looks finds a token that works. Pages that nobody looks at wait until they are needed. */
  function schedule(): void {
    cancelSchedule()
    if (stopAll === null || held === null) return
    const dueMs = leftOf(environment, held) - held.earlyMs
    if (dueMs === Infinity) return
    const ms = Math.max(dueMs, quietUntil - environment.elapsed(), 0)
    cancelSchedule = environment.setTimer(ms, refreshAhead, 'background')
  }

  function refreshAhead(): void {
    if (stopAll === null || !environment.isVisible() || shown.status === 'signedOut') return
    get({ early: true }).then(schedule, schedule)
  }

  function wake(): void {
    endWait()
    look().then(refreshAhead, () => undefined)
    onWake()
  }

  return {
    get,
    instead,
    snapshot: () => shown,
    enter(session, sent) {
      turns += 1
      quietUntil = 0
      hold(accessTokenOf(environment, session, sent.elapsed), session)
      environment.announce(name)
      emitter.emit('signedIn', { sid: session.sid })
    },
    leave(reason) {
      turns += 1
      depart(reason)
      environment.announce(name)
    },
    start() {
      if (stopAll !== null) return
      const endings = [environment.listen(name, () => void look()), environment.onWake(wake)]
      stopAll = () => endings.forEach((end) => end())
      wake()
    },
    stop() {
      stopAll?.()
      stopAll = null
      cancelSchedule()
    },
  }
}

function isSame(token: Seen, stale: Seen | null): boolean {
  return stale?.sid === token.sid && stale.generation === token.generation
}
