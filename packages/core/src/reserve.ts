import { shown } from './demand.js'
import type { Engine } from './engine.js'
import { ConfigurationError } from './errors.js'
import { checkGrant, type CheckedGrant, type IssueRequest } from './issue.js'
import { randomSeed } from './token.js'

const MOST_SECONDS = 600

export interface ReserveRequest extends Omit<IssueRequest, 'confirmation'> {
  /** How long it can be redeemed: 1 to 600. */
  readonly expiresInSeconds: number
}

/**
 * A family that has been granted and has not begun: what an authorization code stands for. Plain JSON, and a secret, which only
 * its client may hold: seal it.
 */
export interface Reservation {
  readonly handle: string
  readonly secret: string
  /** Epoch milliseconds. */
  readonly issuedAt: number
  readonly expiresAt: number
  readonly grant: Omit<CheckedGrant, 'confirmation'>
}

/** Stores nothing: that the reservation works once is the business of `redeem`. */
export function reserve(engine: Engine, request: ReserveRequest): Reservation {
  const { confirmation: _none, ...grant } = checkGrant('reserve', request)
  const { expiresInSeconds } = request
  if (!Number.isInteger(expiresInSeconds) || expiresInSeconds < 1 || expiresInSeconds > MOST_SECONDS)
    throw new ConfigurationError(
      'expiresInSeconds',
      `${shown(expiresInSeconds)} is not a whole number of seconds from 1 to ${String(MOST_SECONDS)}`,
    )
  const { handle, secret } = randomSeed(engine.random)
  const issuedAt = engine.now()
  return {
    handle: textOf(handle),
    secret: textOf(secret),
    issuedAt,
    expiresAt: issuedAt + expiresInSeconds * 1000,
    grant,
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
