import { Violation } from '../history/violation.js'
import type { Recorder } from './recorder.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import type { FamilyHistory } from './trace.js'

/** A sign-in, as the browser keeps it. */
interface KeptSession {
  /** The client's name for it. */
  readonly sid: string
  /** Undefined until the server has made one of the token that was brought along. */
  family: FamilyHistory | undefined
  /** Nothing may store it again. */
  isEnded: boolean
  /** Its person has signed out, or another one has signed in. */
  isAbandoned: boolean
}

/** Judges what becomes of the sessions of a browser, whoever signs in and out there, by what is stored and what the server knows. */
export interface SessionJudge {
  /** The session that this browser should have; null where nobody is signed in. */
  readonly currentSession: () => KeptSession | null
  /** Somebody tries to sign in, whatever comes of it. */
  signInAttempted(): void
  /** The browser has stored something else. */
  stored(text: string): void
  /** A refresh token has come into the cookie jar. */
  cookieSet(refreshToken: string): void
  /** A tab that had believed in this session, or in none, says that nobody is signed in. */
  signedOut(knownSid: string | null, reason: string): void
  /** A tab that believes in this session was given an access token of that family. */
  accessTokenReceived(knownSid: string | null, familyId: string): void
  /** The client says that the server has ended what was signed out. */
  signOutConfirmed(session: KeptSession): void
  /** Nothing has happened to it that may end a session. */
  mustBeAlive(session: KeptSession): boolean
  /** By now the server has heard of each session that was given up. */
  assertSessionsEnded(): void
}

interface JudgeWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly recorder: Recorder
  /** What it finds, it finds inside of the client, where nobody would hear it throw. */
  readonly onViolation: (violation: Violation) => void
}

const SECOND = 1000

export function createSessionJudge({ plan, clock, recorder, onViolation }: JudgeWorld): SessionJudge {
  const sessions = new Map<string, KeptSession>()
  let currentSession: KeptSession | null = null
  let signIns = 0

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
    const { record, losses, isStolen, isExcused } = family
    if (record === null || losses > 0 || isStolen || isExcused) return false
    switch (record.revocation?.reason) {
      case 'subject_request':
        return false
      case 'replaced':
        // The server ends it for a sign-in whose answer may come late, or never.
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
        if (session.isEnded) report('I18', 'a session that was over came back')
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
      if (session === undefined || session === currentSession || currentSession === null || hasLost(session)) return
      if (session.isAbandoned && isAlive(session)) report('I18', 'the cookie of an earlier session came back alive')
    },
    signedOut(knownSid, reason) {
      const session = knownSid === null ? currentSession : (sessions.get(knownSid) ?? null)
      if (session === null || session.isAbandoned || !mustBeAlive(session)) return
      report('I3', `somebody was signed out by accident: ${reason}`)
    },
    accessTokenReceived(knownSid, familyId) {
      const family = knownSid === null ? undefined : sessions.get(knownSid)?.family
      if (family !== undefined && family.id !== familyId)
        report('I18', 'a request went out in the name of somebody else')
    },
    signOutConfirmed(session) {
      if (isAlive(session) && !hasLost(session)) report('I18', 'a sign-out was claimed that the server has not made')
    },
    assertSessionsEnded() {
      // Without a lock an answer that overtook a sign-in has taken its cookie away, and nobody can end that session any more.
      if (plan.carrier === 'cookie' && !plan.sharedLock) return
      for (const session of sessions.values()) {
        if (session.isAbandoned && isAlive(session) && !hasLost(session))
          report('I18', 'a session that was signed out or replaced lives on at the server')
      }
    },
  }
}

interface StoredSession {
  readonly sid: string
  /** Null where it is in the cookie jar. */
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
