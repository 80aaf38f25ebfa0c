import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import {
  boolean,
  declareOptions,
  type OptionsOf,
  type ParsedOptions,
  required,
  seconds,
  secretRing,
  withDefault,
} from '@baton/core/options'

export const nonceOptions = declareOptions({
  /** `[current, ...older]`, at least 32 random bytes each, the same on every instance. Responses then have `DPoP-Nonce`. */
  secrets: required(secretRing()),
  /**
   * True rejects a proof without a nonce with `use_dpop_nonce`. Default false: nonces are offered, a nonce that is sent must be valid, and a
   * proof without one is rejected only if the clock of the client is wrong.
   */
  required: withDefault(boolean(), false),
  /**
   * The minimum lifetime of a nonce, in seconds, from the arrival of the request whose response contains it; the maximum is twice that. 10 to
   * 3600, default 300.
   */
  seconds: withDefault(seconds({ min: 10, max: 3600 }), 300),
})

export type NonceOptions = OptionsOf<typeof nonceOptions>

/** Nonces of RFC 9449 section 8 that no instance has to store: each is derived from a secret and the time. */
export interface Nonces {
  readonly required: boolean
  /** Returns the nonce for this instant (epoch milliseconds). */
  at(now: number): string
  /** Returns until when a nonce is valid, in epoch milliseconds, or null for a nonce that is invalid or expired. */
  acceptableUntil(nonce: string, now: number): number | null
}

const NONCE_BYTES = 16

export function createNonces({ secrets, required, seconds }: ParsedOptions<typeof nonceOptions>): Nonces {
  const [current, ...older] = [deriveKey(secrets[0]), ...secrets.slice(1).map(deriveKey)] as const
  const slotMs = seconds * 1000
  const slotAt = (now: number) => Math.floor(now / slotMs)

  return {
    required,
    at: (now) => nonceFor(current, slotAt(now)),
    acceptableUntil(nonce, now) {
      const slot = slotAt(now)
      // An instance whose clock is ahead may have issued the nonce of the next slot.
      for (const candidate of [slot, slot - 1, slot + 1]) {
        const isIssued = [current, ...older].some((key) => isEqual(nonce, nonceFor(key, candidate)))
        if (isIssued) return (candidate + 2) * slotMs
      }
      return null
    },
  }
}

function deriveKey(secret: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'baton/dpop/v1', 'nonce', 32))
}

function nonceFor(key: Uint8Array, slot: number): string {
  return createHmac('sha256', key).update(String(slot)).digest().subarray(0, NONCE_BYTES).toString('base64url')
}

function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
