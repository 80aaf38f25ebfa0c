import type { LiveSession } from './record.js'

/** The readings of both clocks at one moment, in milliseconds. */
export interface Clock {
  /** The wall clock: epoch milliseconds. It may jump. */
  readonly now: number
  /** The monotonic clock. */
  readonly elapsed: number
}

/** A session whose access token this page has. */
export interface AccessToken extends LiveSession {
  readonly accessToken: string
  /** Expiry on the monotonic clock. The wall clock may be set back. */
  readonly expiresElapsed: number
  /** How long before its expiry the token is refreshed. Each tab draws its own value. */
  readonly earlyMs: number
}

const MAX_EARLY_MS = 60_000

/** Returns null if the session has no access token. `fraction` is random, from 0 to 1. */
export function toAccessToken(session: LiveSession, clock: Clock, fraction: number): AccessToken | null {
  const { accessToken, lifetimeMs } = session
  if (!accessToken) return null
  const lifetime = lifetimeMs ?? Infinity
  return {
    ...session,
    accessToken,
    expiresElapsed: clock.elapsed + Math.min(lifetime, remainingOnWallMs(session, clock.now)),
    earlyMs: Math.min(MAX_EARLY_MS, lifetime / 10) * (1 - fraction / 2),
  }
}

/** The remaining lifetime by the clock that is ahead. Infinity if the server did not state a lifetime. */
export function remainingMs(token: AccessToken, { now, elapsed }: Clock): number {
  return Math.min(remainingOnWallMs(token, now), token.expiresElapsed - elapsed)
}

/** The remaining lifetime by the wall clock. Infinity if the server did not state a lifetime. */
export function remainingOnWallMs({ expiresAt }: LiveSession, now: number): number {
  return (expiresAt ?? Infinity) - now
}
