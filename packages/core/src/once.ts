import { demandInstant, demandName, demandObject, shown } from './demand.js'
import { fingerprint } from './digest.js'
import type { Engine } from './engine.js'
import { ConfigurationError } from './errors.js'
import { MAX_SKEW_MS } from './numbers.js'
import { sameText } from './same-text.js'

export interface OnceRequest {
  /** What the key is for, such as `dpop`: the same key for another purpose is another key. */
  readonly purpose: string
  /** Whatever may be used once, of any length: only a hash of it is stored. */
  readonly key: string
  /**
   * Epoch milliseconds: from then on, what carries the key is rejected anyway. The key is remembered for another minute, because the
   * clock of an instance that purges may be ahead.
   */
  readonly expiresAt: number
}

/** Claims the key and tells whether it was this call's to have. */
export async function once(engine: Engine, request: OnceRequest): Promise<boolean> {
  demandObject('once', request)
  const { purpose, key, expiresAt } = request
  demandName('purpose', purpose)
  if (typeof key !== 'string') throw new ConfigurationError('key', `must be a string, got ${shown(key)}`)
  if (typeof expiresAt !== 'number')
    throw new ConfigurationError('expiresAt', `must be epoch milliseconds, got ${shown(expiresAt)}`)
  demandInstant('expiresAt', expiresAt)
  const now = engine.now()
  // The store may have forgotten it already.
  if (now >= expiresAt) return false
  const by = engine.nonce()
  const claim = { key: fingerprint('baton/once/v1', [purpose, key]), by, expiresAt: Math.ceil(expiresAt) + MAX_SKEW_MS }
  return sameText(await engine.store.remember(claim, now), by)
}
