import { type AccessToken, type Clock, remainingMs, toAccessToken } from './access-token.js'
import { SessionError } from '../platform/errors.js'
import type { SessionEvents, SignedOutReason } from '../platform/events.js'
import type { LiveSession, SessionRecord } from './record.js'
import type { Refreshed } from './refresh-decisions.js'

/*
 * The state of the session in one page, as a pure reducer: no clock, no randomness, no I/O. `token-manager.ts` runs the effects.
 */

export type SessionStatus = 'unknown' | 'signedIn' | 'signedOut'

/** The state that a page displays. The same object until a member changes. */
export interface SessionSnapshot {
  readonly status: SessionStatus
  /** The session id; null unless the user is signed in. */
  readonly sid: string | null
  /** Space-separated; null if the server did not return it. */
  readonly scope: string | null
  /** Why the user is signed out; otherwise null. */
  readonly reason: SignedOutReason | null
}

export interface TokenState {
  /** True if the refresh token is in a cookie. Never changes. */
  readonly isCookie: boolean
  readonly snapshot: SessionSnapshot
  readonly token: AccessToken | null
  /** Counts the sign-ins and sign-outs on this page. Results of calls that started before the last one are out of date. */
  readonly epoch: number
  /** Until this time of the monotonic clock, no token is refreshed before it expires, because the last refresh failed. */
  readonly pausedUntil: number
}

export type TokenEvent =
  | { readonly type: 'signedIn'; readonly session: LiveSession }
  | { readonly type: 'signedOut' }
  /** The storage was read. `record` is undefined if that failed. */
  | {
      readonly type: 'read'
      readonly record: SessionRecord | null | undefined
      /** The epoch in which the read started. */
      readonly epoch: number
      /** True if the server has rejected a refresh of this page. */
      readonly isRejected: boolean
    }
  | { readonly type: 'refreshed'; readonly result: Refreshed | SessionError; readonly epoch: number }

export interface Facts extends Clock {
  /** Random, from 0 to 1. */
  readonly fraction: number
}

type SessionEventName = 'signedIn' | 'refreshed' | 'synced' | 'signedOut'

export type Effect =
  | { readonly type: 'emit'; readonly name: SessionEventName; readonly event: SessionEvents[SessionEventName] }
  /** Read the storage after a rejected refresh. */
  | { readonly type: 'read' }
  /** Send the pending revocations. */
  | { readonly type: 'flush' }

export interface Transition {
  readonly state: TokenState
  /** Default none. */
  readonly effects?: readonly Effect[]
}

/** After a refresh failed, no token is refreshed before it expires for this long. */
export const EARLY_REFRESH_PAUSE_MS = 30_000

export function createState(isCookie: boolean): TokenState {
  const snapshot = { status: 'unknown', sid: null, scope: null, reason: null } as const
  return { isCookie, snapshot, token: null, epoch: 0, pausedUntil: 0 }
}

/** Returns the state after an event, and the effects to run in their order. */
export function reduce(state: TokenState, event: TokenEvent, facts: Facts): Transition {
  const epoch = state.epoch + 1
  switch (event.type) {
    case 'signedIn':
      return setToken({ ...state, epoch, pausedUntil: 0 }, 'signedIn', event.session, facts)
    case 'signedOut':
      return clear({ ...state, epoch }, 'logout')
    case 'read':
      // A record that was read before a sign-in or a sign-out is out of date.
      return event.epoch === state.epoch ? syncFromRecord(state, event, facts) : { state }
    case 'refreshed':
      return applyRefresh(state, event, facts)
  }
}

function syncFromRecord(
  state: TokenState,
  { record, isRejected }: Extract<TokenEvent, { readonly type: 'read' }>,
  facts: Facts,
): Transition {
  const { sid } = state.snapshot
  const session = record?.session
  if (session?.state === 'live') return syncFromStorage(state, session, facts)
  let reason: SignedOutReason | null = null
  if (session?.state === 'ended') {
    if (isRejected || !mayTryCookie(state)) reason = session.reason
  } else if (state.isCookie) {
    // The cookie outlives a record that was deleted.
    if (session?.replaced && session.replaced === sid) reason = 'replaced'
  } else if (record !== undefined) reason = sid ? 'cleared' : 'no_session'
  return reason ? clear(state, reason) : { state }
}

function applyRefresh(
  state: TokenState,
  { result, epoch }: Extract<TokenEvent, { readonly type: 'refreshed' }>,
  facts: Facts,
): Transition {
  if (result instanceof SessionError)
    return result.code === 'signed_out'
      ? { state, effects: [{ type: 'read' }, { type: 'flush' }] }
      : { state: { ...state, pausedUntil: facts.elapsed + EARLY_REFRESH_PAUSE_MS } }
  const { type, session } = result
  const isCurrent = epoch === state.epoch
  if (type === 'refreshed' && (isCurrent || state.snapshot.sid === session.sid))
    return setToken(state, type, session, facts)
  return isCurrent ? syncFromStorage(state, session, facts) : { state }
}

/** Takes over a session that another tab or process has stored. */
function syncFromStorage(state: TokenState, session: LiveSession, facts: Facts): Transition {
  const { token, snapshot } = state
  // If access tokens are not stored, the one of this page works until it expires, also after another tab has refreshed.
  const isKnown = !session.accessToken || (token && token.generation >= session.generation)
  return snapshot.sid === session.sid && isKnown ? { state } : setToken(state, 'synced', session, facts)
}

function setToken(
  state: TokenState,
  name: Exclude<SessionEventName, 'signedOut'>,
  session: LiveSession,
  facts: Facts,
): Transition {
  const { sid, generation, expiresAt, scope } = session
  const { snapshot } = state
  const isSame = snapshot.sid === sid
  return {
    state: {
      ...state,
      token: toAccessToken(session, facts, facts.fraction),
      snapshot: isSame && snapshot.scope === scope ? snapshot : { status: 'signedIn', sid, scope, reason: null },
    },
    effects: [
      { type: 'emit', name, event: { sid, generation, expiresAt, replaced: snapshot.sid !== null && !isSame } },
    ],
  }
}

function clear(state: TokenState, reason: SignedOutReason): Transition {
  return state.snapshot.reason
    ? { state: { ...state, token: null } }
    : {
        state: { ...state, token: null, snapshot: { status: 'signedOut', sid: null, scope: null, reason } },
        effects: [{ type: 'emit', name: 'signedOut', event: { reason } }],
      }
}

/** Returns true if the page must send one refresh although the stored session has ended: the cookie may belong to a newer session. */
export function mayTryCookie({ isCookie, snapshot }: TokenState): boolean {
  return isCookie && snapshot.status === 'unknown'
}

/** Returns the token of this page unless it has expired. */
export function findUsable({ token }: TokenState, clock: Clock): AccessToken | null {
  return token && remainingMs(token, clock) > 0 ? token : null
}

/** Returns why the caller gets no token, if the session in which its call started (null: any) is not the current one. */
export function findObstacle({ snapshot }: TokenState, sid: string | null): SignedOutReason | null {
  return snapshot.reason ?? (sid && sid !== snapshot.sid ? 'replaced' : null)
}

/** Returns true if a valid token should be refreshed before it expires. */
export function needsRefresh({ pausedUntil }: TokenState, token: AccessToken, clock: Clock): boolean {
  return clock.elapsed >= pausedUntil && remainingMs(token, clock) <= token.earlyMs
}
