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

/** Which generation of which session: an attempt is of one only. */
export type Generation = Pick<LiveSession, 'generationId'>

/** Whether we have exchanged the refresh token, or somebody else had. */
export interface Refreshed {
  readonly type: 'refreshed' | 'synced'
  readonly session: LiveSession
}

/** Resolves with a session other than the stale one, or with why there is none. Never rejects. */
export type Refresh = (
  stale: Generation | null,
  held: () => Generation | null,
  mayAskCookie: boolean,
) => Promise<Refreshed | SessionError>

/** A session whose refresh is about to be sent. */
export interface Reserved extends SessionRecord {
  readonly session: StoredSession & { readonly request: RefreshRequest }
}

export interface RequestFacts {
  /** The tokens that were found to be of no use; null where there are none. */
  readonly stale: Generation | null
  /** Those that this page has by now, and that work. */
  readonly held: Generation | null
  /** True if an ended session may have been followed by one that only the cookie knows. */
  readonly mayAskCookie?: boolean
  /** Epoch milliseconds. */
  readonly now: number
}

export interface ResponseFacts {
  readonly answer: TokenResult
  readonly now: number
  /** 128 random bits as text: the identifier of the next generation. */
  readonly generationId: string
}

/** What a stored session comes to before anybody is asked: it can be adopted, it has to be sent, or why neither. */
export function decideBeforeRequest(
  { session, pause, revocations }: SessionRecord,
  { stale, held, now, mayAskCookie }: RequestFacts,
): Refreshed | StoredSession | SessionError {
  // While the server has not confirmed a sign-out, the cookie may be of the session that has ended.
  if (session.state === 'ended' && (!mayAskCookie || revocations[0]))
    return new SessionError('signed_out', session.reason)
  if (session.state === 'live' && session.generationId !== stale?.generationId) {
    const works = session.accessToken && remainingOnWallMs(session, now) > 0
    // Or somebody has signed in here while we waited for the lock.
    if (works || held?.generationId === session.generationId) return { type: 'synced', session }
  }
  // A clock that was set back to before it makes a pause void.
  if (pause && pause.from <= now && now < pause.until)
    return new SessionError('unavailable', 'Retry-After', pause.until)
  return session
}

/** A retry older than that would not be accepted by a Baton server: its policy allows 24 hours at most. */
const MAX_KEY_AGE_MS = 86_400_000

/**
 * What to store before `base` is sent: the Idempotency-Key that an earlier try of the same refresh was sent with, or `key`. It is created
 * no earlier, for a copy of the storage includes it. Null if `base` is not stored any more.
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

/** What to store now that `base` has been answered; null for nothing. An answer changes only what is still what was sent. */
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
    // Too late, and of use to nobody: the server should end it.
    return !refreshToken || (session.state === 'live' && session.sid === sid)
      ? null
      : { ...record, revocations: [...revocations, { refreshToken, sid: null }] }
  }
  const { code, reason, until } = answer
  if (until) return { ...record, pause: { from: now, until } }
  if (code !== 'signed_out' || !isUnchanged) return null
  // Whose cookie it is, only a page that believes in nobody may find out: this one would show one person's data to another.
  if (reason === 'replaced') return { ...record, session: { state: 'unknown', generationId, replaced: sid } }
  if (session.state === 'ended') return record
  const why = !sid ? 'no_session' : reason === 'not_renewable' ? reason : 'refused'
  return { ...record, session: { state: 'ended', reason: why, generationId, endedSid: sid } }
}
