import type { Environment } from './environment.js'
import type { LiveSession } from './record.js'
import { fraction } from './timing.js'

/** A session whose access token this page holds. */
export interface AccessToken extends LiveSession {
  readonly accessToken: string
  /** Its end on the clock that never goes back: the wall clock may be set back meanwhile. */
  readonly expiresElapsed: number
  /** How much before its end it should be replaced. Not the same for all tabs. */
  readonly earlyMs: number
}

const MOST_EARLY_MS = 60_000

/** Null where the session comes without its access token. */
export function accessTokenOf(environment: Environment, session: LiveSession): AccessToken | null {
  const { accessToken, lifetimeMs } = session
  if (!accessToken) return null
  const lifetime = lifetimeMs ?? Infinity
  return {
    ...session,
    accessToken,
    expiresElapsed: environment.elapsed() + Math.min(lifetime, leftOnWall(session, environment.now())),
    earlyMs: Math.min(MOST_EARLY_MS, lifetime / 10) * (1 - fraction(environment) / 2),
  }
}

/** What is left by the clock that is ahead, in milliseconds; Infinity where the server did not say. */
export function leftOf(environment: Environment, token: AccessToken): number {
  return Math.min(leftOnWall(token, environment.now()), token.expiresElapsed - environment.elapsed())
}

/** What is left by the wall clock, in milliseconds; Infinity where the server did not say. */
export function leftOnWall({ expiresAt }: LiveSession, now: number): number {
  return (expiresAt ?? Infinity) - now
}
