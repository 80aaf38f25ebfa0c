import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { demandKnown } from '../endpoint.js'

export interface NonceOptions {
  /** `[current, ...older]`, at least 32 bytes each, the same on every instance; `undefined` compiles and throws. */
  readonly secrets: readonly (string | Uint8Array | undefined)[]
  /** True refuses proofs without a nonce. Default false: a nonce is offered, and one that comes back has to be good. */
  readonly required?: boolean
  /** How long a nonce is good for at least; at most twice that. 10 to 3600, default 300. */
  readonly seconds?: number
}

/** Nonces that no instance has to remember: each is a function of a secret and of the time. */
export interface Nonces {
  readonly required: boolean
  /** The nonce of this instant (epoch milliseconds). */
  at(now: number): string
  /** Until when a nonce is good, in epoch milliseconds; null for one that is not ours, or no longer. */
  acceptableUntil(nonce: string, now: number): number | null
}

const LEAST_SECRET_BYTES = 32
const NONCE_BYTES = 16

/** Throws `ConfigurationError`. */
export function createNonces(options: NonceOptions): Nonces {
  demandKnown(options, ['secrets', 'required', 'seconds'])
  const { required = false, seconds = 300 } = options
  if (!Number.isInteger(seconds) || seconds < 10 || seconds > 3600)
    throw new ConfigurationError(
      'dpop.nonce.seconds',
      `${String(seconds)} is not a whole number of seconds from 10 to 3600`,
    )
  // Callers without types reach this with a variable of the environment.
  if (typeof (required as unknown) !== 'boolean')
    throw new ConfigurationError('dpop.nonce.required', 'is neither true nor false')
  const [current, ...older] = keysOf(options.secrets)
  const slotMs = seconds * 1000
  const slotAt = (now: number) => Math.floor(now / slotMs)

  return {
    required,
    at: (now) => nonceOf(current, slotAt(now)),
    acceptableUntil(nonce, now) {
      const slot = slotAt(now)
      // The slot ahead belongs to instances whose clock is.
      for (const candidate of [slot, slot - 1, slot + 1]) {
        const isOurs = [current, ...older].some((key) => isSame(nonce, nonceOf(key, candidate)))
        if (isOurs) return (candidate + 2) * slotMs
      }
      return null
    },
  }
}

function keysOf(secrets: NonceOptions['secrets']): readonly [Uint8Array, ...Uint8Array[]] {
  // Callers without types reach this with a single secret.
  const list: readonly unknown[] = Array.isArray(secrets) ? secrets : []
  const [first, ...others] = list.map((secret, index) => keyOf(secret, `dpop.nonce.secrets[${String(index)}]`))
  if (first === undefined)
    throw new ConfigurationError('dpop.nonce.secrets', 'must be a list of at least one secret of 32 bytes or more')
  return [first, ...others]
}

function keyOf(secret: unknown, option: string): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
  if (!(bytes instanceof Uint8Array) || bytes.length < LEAST_SECRET_BYTES)
    throw new ConfigurationError(
      option,
      `must be at least ${String(LEAST_SECRET_BYTES)} random bytes; make some with: openssl rand -hex 32`,
    )
  return new Uint8Array(hkdfSync('sha256', bytes, 'baton/dpop/v1', 'nonce', 32))
}

function nonceOf(key: Uint8Array, slot: number): string {
  return createHmac('sha256', key).update(String(slot)).digest().subarray(0, NONCE_BYTES).toString('base64url')
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}
