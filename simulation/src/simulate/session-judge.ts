import { Violation } from '../history/violation.js'
import type { Chronicle } from './chronicle.js'
import type { VirtualClock } from './clock.js'
import type { Plan } from './plan.js'
import type { FamilyHistory } from './visit.js'

/** A sign-in, as the browser keeps it. */
interface KeptSession {
  /** The client's name for it. */
  readonly sid: string
  /** Undefined until the server has made one of the token that was brought along. */
  family: FamilyHistory | undefined
  /** Nothing may store it again. */
  isOver: boolean
  /** Its person has signed out, or another one has signed in. */
  isGivenUp: boolean
}

/** Judges what becomes of the sessions of a browser, whoever signs in and out there, by what is stored and what the server knows. */
export interface SessionJudge {
  /** The session that this browser should have; null where nobody is signed in. */
  readonly held: () => KeptSession | null
  /** Somebody tries to sign in, whatever comes of it. */
  signInTried(): void
  /** The browser has stored something else. */
  stored(text: string): void
  /** A refresh token has come into the cookie jar. */
  cookieSet(refreshToken: string): void
  /** A tab that had believed in this session, or in none, says that nobody is signed in. */
  signedOut(believed: string | null, reason: string): void
  /** A tab that believes in this session was given an access token of that family. */
  tokenGiven(believed: string | null, familyId: string): void
  /** The client says that the server has ended what was signed out. */
  signOutClaimed(session: KeptSession): void
  /** Nothing has happened to it that may end a session. */
  isInnocent(session: KeptSession): boolean
  /** By now the server has heard of each session that was given up. */
  demandEnds(): void
}

interface JudgeWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly chronicle: Chronicle
  /** What it finds, it finds inside of the client, where nobody would hear it throw. */
  readonly onViolation: (violation: Violation) => void
}

const SECOND = 1000

export function createSessionJudge({ plan, clock, chronicle, onViolation }: JudgeWorld): SessionJudge {
  const sessions = new Map<string, KeptSession>()
  let held: KeptSession | null = null
  let signIns = 0

  const report = (invariant: string, message: string) => {
    onViolation(new Violation(invariant, message))
  }

  function keep({ sid, refreshToken }: StoredSession): KeptSession {
    const known = sessions.get(sid)
    const family = refreshToken === null ? chronicle.families.get(sid) : chronicle.familyOf(refreshToken)
    const session = known ?? { sid, family, isOver: false, isGivenUp: false }
    session.family ??= family
    sessions.set(sid, session)
    return session
  }

  function giveUp(session: KeptSession): void {
    session.isOver = true
    session.isGivenUp = true
  }

  function isAlive({ family }: KeptSession): boolean {
    const record = family?.record
    return record != null && record.revocation === null && clock.now() < record.expiresAt - 2 * SECOND
  }

  const hasLost = ({ family }: KeptSession) => family === undefined || family.losses > 0

  function isInnocent({ family, isGivenUp }: KeptSession): boolean {
    if (!plan.sharedLock || family === undefined || isGivenUp) return false
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
    held: () => held,
    isInnocent,
    signInTried() {
      signIns += 1
    },
    stored(text) {
      const { state, reason, session: now } = sessionIn(text)
      if (state === 'live' && now !== null) {
        const session = keep(now)
        if (held !== null && held !== session) giveUp(held)
        held = session
        if (session.isOver) report('I18', 'a session that was over came back')
        return
      }
      if (state !== 'ended' || held === null) return
      held.isOver = true
      if (reason !== 'logout') return
      giveUp(held)
      held = null
    },
    cookieSet(refreshToken) {
      const family = chronicle.familyOf(refreshToken)
      const session = [...sessions.values()].find((one) => one.family === family)
      if (session === undefined || session === held || held === null || hasLost(session)) return
      if (session.isGivenUp && isAlive(session)) report('I18', 'the cookie of an earlier session came back alive')
    },
    signedOut(believed, reason) {
      const session = believed === null ? held : (sessions.get(believed) ?? null)
      if (session === null || session.isGivenUp || !isInnocent(session)) return
      report('I3', `somebody was signed out by accident: ${reason}`)
    },
    tokenGiven(believed, familyId) {
      const family = believed === null ? undefined : sessions.get(believed)?.family
      if (family !== undefined && family.id !== familyId)
        report('I18', 'a request went out in the name of somebody else')
    },
    signOutClaimed(session) {
      if (isAlive(session) && !hasLost(session)) report('I18', 'a sign-out was claimed that the server has not made')
    },
    demandEnds() {
      // Without a lock an answer that overtook a sign-in has taken its cookie away, and nobody can end that session any more.
      if (plan.carrier === 'cookie' && !plan.sharedLock) return
      for (const session of sessions.values()) {
        if (session.isGivenUp && isAlive(session) && !hasLost(session))
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
