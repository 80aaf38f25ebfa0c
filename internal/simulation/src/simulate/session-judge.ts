import { Violation } from '../history/violation.js'
import type { Recorder } from './recorder.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import type { FamilyHistory } from './trace.js'

/** A session as the browser stores it. */
interface KeptSession {
  /** The session id of the client. */
  readonly sid: string
  /** Undefined until the server has created a family from the legacy token. */
  family: FamilyHistory | undefined
  /** It must not be stored again. */
  isEnded: boolean
  /** The user has signed out, or another user has signed in. */
  isAbandoned: boolean
}

/**
 * Judges the sessions of a browser across sign-ins and sign-outs, by what the browser stores and what the server
 * contains.
 */
export interface SessionJudge {
  /** The session that this browser should have; null if no user is signed in. */
  readonly currentSession: () => KeptSession | null
  /** A sign-in was started, with any outcome. */
  signInAttempted(): void
  /** The browser has stored a new value. */
  stored(text: string): void
  /** A refresh token was stored in the cookie jar. */
  cookieSet(refreshToken: string): void
  /** A tab with this session, or with none, reports that no user is signed in. */
  signedOut(knownSid: string | null, reason: string): void
  /** A tab with this session received an access token of that family. */
  accessTokenReceived(knownSid: string | null, familyId: string): void
  /** The client reports that the server has revoked the session after a sign-out. */
  signOutConfirmed(session: KeptSession): void
  /** Returns true if nothing has happened that may end the session. */
  mustBeAlive(session: KeptSession): boolean
  /** Throws if the server has not revoked a session that was signed out or replaced. */
  assertSessionsEnded(): void
}

interface JudgeWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly recorder: Recorder
  /** Violations are found inside the client, which would catch an exception. */
  readonly onViolation: (violation: Violation) => void
}

const SECOND = 1000

export function createSessionJudge({ plan, clock, recorder, onViolation }: JudgeWorld): SessionJudge {
  const sessions = new Map<string, KeptSession>()
  let currentSession: KeptSession | null = null
  let signIns = 0
  /** The families of the cookies that were set, in order. */
  const cookieFamilies: FamilyHistory[] = []
  /** Without a shared lock, a late response has replaced the cookie of a sign-in. No client can find that session any more. */
  let isCookieReplaced = false

  const report = (invariant: string, message: string) => {
    onViolation(new Violation(invariant, message))
  }

  function rememberSession({ sid, refreshToken }: StoredSession): KeptSession {
    const known = sessions.get(sid)
    const family = refreshToken === null ? recorder.families.get(sid) : recorder.familyOf(refreshToken)
    const session = known ?? { sid, family, isEnded: false, isAbandoned: false }
    session.family ??= family
    sessions.set(sid, session)
    return session
  }

  function abandon(session: KeptSession): void {
    session.isEnded = true
    session.isAbandoned = true
  }

  function isAlive({ family }: KeptSession): boolean {
    const record = family?.record
    return record != null && record.revocation === null && clock.now() < record.expiresAt - 2 * SECOND
  }

  const hasLost = ({ family }: KeptSession) => family === undefined || family.losses > 0

  function mustBeAlive({ family, isAbandoned }: KeptSession): boolean {
    if (!plan.sharedLock || family === undefined || isAbandoned) return false
    const { record, losses, isStolen, isExcused, isExpired } = family
    if (record === null || losses > 0 || isStolen || isExcused || isExpired) return false
    switch (record.revocation?.reason) {
      case 'subject_request':
        return false
      case 'replaced':
        // The server revokes it for a sign-in whose response may be late or lost.
        return signIns < 2
      default:
        return clock.now() < record.expiresAt - 2 * SECOND
    }
  }

  return {
    currentSession: () => currentSession,
    mustBeAlive,
    signInAttempted() {
      signIns += 1
    },
    stored(text) {
      const { state, reason, session: now } = sessionIn(text)
      if (state === 'live' && now !== null) {
        const session = rememberSession(now)
        if (currentSession !== null && currentSession !== session) abandon(currentSession)
        currentSession = session
        if (session.isEnded && !isCookieReplaced) report('I18', 'an ended session was stored again')
        return
      }
      if (state !== 'ended' || currentSession === null) return
      currentSession.isEnded = true
      if (reason !== 'logout') return
      abandon(currentSession)
      currentSession = null
    },
    cookieSet(refreshToken) {
      const family = recorder.familyOf(refreshToken)
      const session = [...sessions.values()].find((one) => one.family === family)
      if (family !== undefined && family !== cookieFamilies.at(-1)) {
        if (cookieFamilies.includes(family) && !plan.sharedLock) isCookieReplaced = true
        cookieFamilies.push(family)
      }
      if (session === undefined || session === currentSession || currentSession === null || hasLost(session)) return
      if (session.isAbandoned && isAlive(session))
        report('I18', 'the cookie of an earlier session was stored while that session is active')
    },
    signedOut(knownSid, reason) {
      const session = knownSid === null ? currentSession : (sessions.get(knownSid) ?? null)
      if (session === null || session.isAbandoned || !mustBeAlive(session)) return
      report('I3', `a user was signed out without a cause: ${reason}`)
    },
    accessTokenReceived(knownSid, familyId) {
      const family = knownSid === null ? undefined : sessions.get(knownSid)?.family
      if (family !== undefined && family.id !== familyId)
        report('I18', 'a request was sent with the access token of another user')
    },
    signOutConfirmed(session) {
      if (isAlive(session) && !hasLost(session) && !isCookieReplaced)
        report('I18', 'a sign-out was confirmed that the server has not applied')
    },
    assertSessionsEnded() {
      // Without a lock a late response can replace the cookie of a sign-in. No client can revoke that session any more.
      if (plan.carrier === 'cookie' && !plan.sharedLock) return
      for (const session of sessions.values()) {
        if (session.isAbandoned && isAlive(session) && !hasLost(session))
          report('I18', 'a session that was signed out or replaced is still active at the server')
      }
    },
  }
}

interface StoredSession {
  readonly sid: string
  /** Null if the refresh token is in the cookie jar. */
  readonly refreshToken: string | null
}

function sessionIn(text: string): {
  readonly state: string | undefined
  readonly reason: string | undefined
  readonly session: StoredSession | null
} {
  const record = JSON.parse(text) as {
    readonly session?: { state?: string; reason?: string; sid?: string; refreshToken?: string | null }
  }
  const { state, reason, sid, refreshToken = null } = record.session ?? {}
  return { state, reason, session: sid === undefined ? null : { sid, refreshToken } }
}
