import type { Grant } from '../protocol/token-response.js'
import type { SignedOutReason } from '../platform/events.js'
import type { SessionCredentials } from '../protocol/requests.js'
import { isObject, parseJson } from '../platform/json.js'

/** A stored session, shared by all users of the storage: tabs, workers, processes. Instants are epoch milliseconds. */
export interface LiveSession {
  readonly state: 'live'
  /** The session id: the `sid` of the server, otherwise random. Each sign-in has a new one. */
  readonly sid: string
  /** The number of refreshes. */
  readonly generation: number
  /** Identifies this generation in the storage. Random, and never sent. */
  readonly generationId: string
  readonly request?: RefreshRequest | undefined
  /** Null if the server returned none, and in cookie mode. */
  readonly refreshToken: string | null
  /** Null if it is not stored. */
  readonly accessToken: string | null
  /** Expiry of the access token, counted from before the request was sent; null if the server did not state a lifetime. */
  readonly expiresAt: number | null
  readonly lifetimeMs: number | null
  readonly scope: string | null
}

/** Nothing is known about the session. In cookie mode there may be a cookie; one refresh finds out. */
interface UnknownSession {
  readonly state: 'unknown'
  readonly generationId: string
  readonly request?: RefreshRequest | undefined
  /** The session that the cookie no longer belongs to. Pages that show it must not continue with another session. */
  readonly replaced?: string | undefined
}

/** A refresh request whose response is not stored yet. */
export interface RefreshRequest {
  /** The Idempotency-Key. All tabs and processes repeat the request with the same key, also after a crash. */
  readonly key: string
  /** When the request was last sent. */
  readonly sentAt: number
}

/**
 * Signed out. Stored so that a late response is recognised. In cookie mode the server may have started a new session since, by a redirect
 * or a form: each page sends one request.
 */
interface EndedSession {
  readonly state: 'ended'
  readonly reason: SignedOutReason
  readonly generationId?: string
  readonly request?: RefreshRequest | undefined
  /** The session that has ended. A cookie of this session does not restore it. */
  readonly endedSid?: string | null | undefined
}

/** The members of a session in any state. */
export type SessionMembers = Partial<
  Omit<LiveSession, 'state'> & { readonly state: string } & Pick<EndedSession, 'endedSid'>
>

/** No request is sent before `until`. Has no effect if the clock was set back to before `from`. */
interface Pause {
  readonly from: number
  readonly until: number
}

export type StoredSession = LiveSession | UnknownSession | EndedSession

export interface SessionRecord {
  readonly session: StoredSession
  readonly pause?: Pause | null | undefined
  /** In cookie mode, the id of the request in flight that sets the cookie. */
  readonly inFlight?: string | undefined
  readonly revocations: readonly SessionCredentials[]
}

/** Returns null if the text is not a complete record. Unknown members of later versions are kept. */
export function parse(text: string | null | undefined): SessionRecord | null {
  const value = parseJson(text)
  return isRecord(value) ? value : null
}

/** Only the client writes records, and always as a whole: a text with all parts is a valid record. */
function isRecord(value: unknown): value is SessionRecord {
  return isObject(value) && isObject(value['session']) && Array.isArray(value['revocations'])
}

/** Returns the generation after `base`, or the first one if `base` is unknown. */
export function toSuccessor(base: StoredSession, grant: Grant, generationId: string): LiveSession {
  const { sid, generation = -1, refreshToken = null, scope = null }: SessionMembers = base
  return {
    ...grant,
    state: 'live',
    // Only Baton servers return one.
    sid: sid ?? grant.sid ?? base.generationId ?? generationId,
    generation: generation + 1,
    generationId,
    refreshToken: grant.refreshToken ?? refreshToken,
    scope: grant.scope ?? scope,
  }
}
