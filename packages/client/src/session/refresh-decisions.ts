import { remainingOnWallMs } from './access-token.js'
import type { TokenResult } from '../protocol/token-response.js'
import { SessionError } from '../platform/errors.js'
import {
  type SessionMembers,
  type LiveSession,
  type RefreshRequest,
  type SessionRecord,
  type StoredSession,
  toSuccessor,
} from './record.js'

/*
 * A refresh in two decisions, one before the POST and one after. Both are pure and total: no clock, no randomness, no I/O.
 */

/** Identifies one generation of one session. */
export type Generation = Pick<LiveSession, 'generationId'>

/** Whether this page has exchanged the refresh token, or another tab or process has. */
export interface Refreshed {
  readonly type: 'refreshed' | 'synced'
  readonly session: LiveSession
}

/** Resolves with a session other than the stale one, or with an error. Never rejects. */
export type Refresh = (
  stale: Generation | null,
  held: () => Generation | null,
  mayTryCookie: boolean,
) => Promise<Refreshed | SessionError>

/** A session whose refresh request is about to be sent. */
export interface Reserved extends SessionRecord {
  readonly session: StoredSession & { readonly request: RefreshRequest }
}

export interface RequestFacts {
  /** The generation whose token does not work; null if there is none. */
  readonly stale: Generation | null
  /** The generation of this page, if its token works. */
  readonly held: Generation | null
  /** True if the cookie may belong to a session that was started after the stored one ended. */
  readonly mayTryCookie?: boolean
  /** Epoch milliseconds. */
  readonly now: number
}

export interface ResponseFacts {
  readonly answer: TokenResult
  readonly now: number
  /** The id of the next generation: 128 random bits as text. */
  readonly generationId: string
}

/** Decides before a request: returns a session to use, the session to send, or an error. */
export function decideBeforeRequest(
  { session, pause, revocations }: SessionRecord,
  { stale, held, now, mayTryCookie }: RequestFacts,
): Refreshed | StoredSession | SessionError {
  // Until the server confirms a sign-out, the cookie may belong to the session that has ended.
  if (session.state === 'ended' && (!mayTryCookie || revocations[0]))
    return new SessionError('signed_out', session.reason)
  if (session.state === 'live' && session.generationId !== stale?.generationId) {
    const works = session.accessToken && remainingOnWallMs(session, now) > 0
    // A user may have signed in on this page while it waited for the lock.
    if (works || held?.generationId === session.generationId) return { type: 'synced', session }
  }
  // A pause has no effect if the clock was set back to before it.
  if (pause && pause.from <= now && now < pause.until)
    return new SessionError('unavailable', 'Retry-After', pause.until)
  return session
}

/** The maximum age of a retry: the policy of a Baton server allows 24 hours at most. */
const MAX_KEY_AGE_MS = 86_400_000

/**
 * Returns the record to store before `base` is sent. The Idempotency-Key is that of an earlier attempt of the same refresh, otherwise
 * `key`. It is not created earlier, so that a copy of the storage at rest does not contain it. Returns null if `base` is no longer stored.
 */
export function reserve(
  { session, ...rest }: SessionRecord,
  base: StoredSession,
  { key, now }: { readonly key: string; readonly now: number },
): Reserved | null {
  if (session.generationId !== base.generationId) return null
  const { request } = session
  const isRecent = request && now - request.sentAt < MAX_KEY_AGE_MS
  return { ...rest, session: { ...session, request: { key: isRecent ? request.key : key, sentAt: now } } }
}

/** Returns the record to store after the response, or null. A response only changes the generation that was sent. */
export function applyResponse(
  record: SessionRecord,
  base: StoredSession,
  { answer, now, generationId }: ResponseFacts,
): SessionRecord | null {
  const { session, revocations } = record
  const { sid, endedSid }: SessionMembers = base
  const isUnchanged = session.generationId === base.generationId
  if (!(answer instanceof SessionError)) {
    if (endedSid && endedSid === answer.sid)
      return { ...record, revocations: [...revocations, { refreshToken: null, sid: endedSid }] }
    if (isUnchanged) return { ...record, pause: null, session: toSuccessor(base, answer, generationId) }
    const { refreshToken } = answer
    // The response is too late. The server should end the session that it started.
    return !refreshToken || (session.state === 'live' && session.sid === sid)
      ? null
      : { ...record, revocations: [...revocations, { refreshToken, sid: null }] }
  }
  const { code, reason, until } = answer
  if (until) return { ...record, pause: { from: now, until } }
  if (code !== 'signed_out' || !isUnchanged) return null
  // The page that shows `sid` must not continue with the session of the cookie; only a new page may.
  if (reason === 'replaced') return { ...record, session: { state: 'unknown', generationId, replaced: sid } }
  if (session.state === 'ended') return record
  const why = !sid ? 'no_session' : reason === 'not_renewable' ? reason : 'rejected'
  return { ...record, session: { state: 'ended', reason: why, generationId, endedSid: sid } }
}
