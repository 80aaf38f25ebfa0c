import type { Environment } from './environment.js'
import type { LiveSession } from './record.js'
import { fraction } from './timing.js'

/** An access token that this page holds, and its end on both clocks. */
export interface AccessToken {
  readonly sid: string
  readonly generation: number
  readonly value: string
  readonly scope: string | null
  /** Epoch milliseconds; null where the server did not say. */
  readonly expiresAt: number | null
  /** The same on the clock that never goes back: the wall clock may have been set back meanwhile. */
  readonly expiresElapsed: number
  /** How much before its end it should be replaced. Not the same for all tabs. */
  readonly earlyMs: number
}

const MOST_EARLY_MS = 60_000

/** `sentElapsed` is from before the request for it was sent; null for a token that somebody else had requested. */
export function accessTokenOf(
  environment: Environment,
  { sid, generation, scope, expiresAt, lifetimeMs, accessToken }: LiveSession,
  sentElapsed: number | null,
): AccessToken | null {
  if (accessToken === null) return null
  const lifetime = lifetimeMs ?? Infinity
  const leftMs = expiresAt === null ? Infinity : Math.min(lifetime, expiresAt - environment.now())
  const expiresElapsed = sentElapsed === null ? environment.elapsed() + leftMs : sentElapsed + lifetime
  const mostEarlyMs = Math.min(MOST_EARLY_MS, lifetime / 10)
  const earlyMs = mostEarlyMs * (1 - fraction(environment) / 2)
  return { sid, generation, value: accessToken, scope, expiresAt, expiresElapsed, earlyMs }
}

/** What is left by the clock that is ahead, in milliseconds; Infinity where the server did not say. */
export function leftOf(environment: Environment, { expiresAt, expiresElapsed }: AccessToken): number {
  const leftOnWall = expiresAt === null ? Infinity : expiresAt - environment.now()
  return Math.min(leftOnWall, expiresElapsed - environment.elapsed())
}
