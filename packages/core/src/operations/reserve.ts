import { type OptionsOf, required, type Resolved, seconds } from '../options.js'
import { reservableGrantOptions } from '../model/grant.js'
import { createRandomSeed } from '../token/derive.js'
import type { Context } from './context.js'

const MAX_RESERVATION_SECONDS = 600

const reserveOptions = reservableGrantOptions.extend({
  /** How long the reservation can be redeemed: 1 to 600. */
  expiresInSeconds: required(seconds({ min: 1, max: MAX_RESERVATION_SECONDS })),
})

export type ReserveRequest = OptionsOf<typeof reserveOptions>

/**
 * A grant whose family does not exist yet: the content of an authorization code. Plain JSON, and secret: encrypt it, so that only its
 * client can present it.
 */
export interface Reservation {
  readonly handle: string
  readonly secret: string
  /** Epoch milliseconds. */
  readonly issuedAt: number
  readonly expiresAt: number
  readonly grant: Resolved<(typeof reservableGrantOptions)['fields']>
}

/** Reserves a family. Stores nothing: `redeem` makes sure that the reservation works once. */
export function reserve(context: Context, request: ReserveRequest): Reservation {
  const { expiresInSeconds, ...grant } = reserveOptions.parse('reserve', request)
  const { handle, secret } = createRandomSeed(context.random)
  const issuedAt = context.now()
  return {
    handle: toBase64url(handle),
    secret: toBase64url(secret),
    issuedAt,
    expiresAt: issuedAt + expiresInSeconds * 1000,
    grant,
  }
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
