import type { Grant } from '../protocol/token-response.js'
import type { SignedOutReason } from '../platform/events.js'
import type { SessionCredentials } from '../protocol/requests.js'
import { isObject, parseJson } from '../platform/json.js'

/** A session as it is stored. Everything that uses one storage shares it: tabs, workers, processes. Instants are epoch milliseconds. */
export interface LiveSession {
  readonly state: 'live'
  /** Names this sign-in: random, or what the server answered as `sid`. A later sign-in has another one. */
  readonly sid: string
  /** How often the session has been refreshed. */
  readonly generation: number
  /** Identifies this generation in the storage: random, and never sent. */
  readonly generationId: string
  readonly request?: RefreshRequest | undefined
  /** Null where the server gave none, and in cookie mode, where no script sees it. */
  readonly refreshToken: string | null
  /** Null where it is kept out of the storage. */
  readonly accessToken: string | null
  /** End of the access token; null where the server did not say. Counted from before the request was sent. */
  readonly expiresAt: number | null
  readonly lifetimeMs: number | null
  readonly scope: string | null
}

/** Nothing is known; in cookie mode there may be a cookie, and one refresh will tell. */
export interface UnknownSession {
  readonly state: 'unknown'
  readonly generationId: string
  readonly request?: RefreshRequest | undefined
  /** The session that the server did not find in the cookie: pages that show it must not continue with another one. */
  readonly replaced?: string | undefined
}

/** A refresh that was sent, or is about to be, and whose response has not been stored yet. */
export interface RefreshRequest {
  /** Its Idempotency-Key: a repetition by any tab or process, also after a crash, sends the same. */
  readonly key: string
  /** When it was sent last. */
  readonly sentAt: number
}

/**
 * Signed out, and kept so that a response which comes late finds it. In cookie mode the server may have signed in since, by a redirect
 * or a form: each page asks it once.
 */
export interface EndedSession {
  readonly state: 'ended'
  readonly reason: SignedOutReason
  readonly generationId?: string
  readonly request?: RefreshRequest | undefined
  /** The session that has ended: a cookie that is still of it does not bring it back. */
  readonly endedSid?: string | null | undefined
}

/** What is known of a session whatever its state: all, its attempt, or nothing. */
export type SessionMembers = Partial<
  Omit<LiveSession, 'state'> & { readonly state: string } & Pick<EndedSession, 'endedSid'>
>

/** Nobody asks the server before `until`; a clock that was set back to before `from` makes it void. */
interface Pause {
  readonly from: number
  readonly until: number
}

export type StoredSession = LiveSession | UnknownSession | EndedSession

export interface SessionRecord {
  readonly session: StoredSession
  readonly pause?: Pause | null | undefined
  /** In cookie mode, names the request that sets the cookie and is in flight. Absent: none is. */
  readonly inFlight?: string | undefined
  readonly revocations: readonly SessionCredentials[]
}

/** Null for what is no record: somebody else's text, or half of ours. Members that this version does not know are kept. */
export function parse(text: string | null | undefined): SessionRecord | null {
  const value = parseJson(text)
  return isRecord(value) ? value : null
}

/** A record is written as a whole, and by nobody else: one that has all of its parts is ours, and right. */
function isRecord(value: unknown): value is SessionRecord {
  return isObject(value) && isObject(value['session']) && Array.isArray(value['revocations'])
}

/** The generation after `base`, or the first one where nothing was known. */
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
