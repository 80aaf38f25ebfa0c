import { MAX_SKEW_MS } from '../model/numbers.js'
import { isSameText } from '../model/same-text.js'
import { declareOptions, instant, type OptionsOf, required, rule, text } from '../options.js'
import { fingerprint } from '../token/hash.js'
import type { Context } from './context.js'

const consumeOnceOptions = declareOptions({
  /** The kind of the key, such as `dpop`: the same key for another purpose is another key. */
  purpose: required(text()),
  /** The value that may be used once, such as a `jti`, of any length: only its hash is stored. */
  key: required(rule<string>('a string', (value) => typeof value === 'string')),
  /**
   * Epoch milliseconds: from then on, whatever contains the key is rejected anyway. The key is stored for another minute, because the
   * clock of an instance that purges may be ahead.
   */
  expiresAt: required(instant()),
})

export type ConsumeOnceRequest = OptionsOf<typeof consumeOnceOptions>

/** Claims the key. Returns true if this call is the first one with the key. */
export async function consumeOnce(context: Context, request: ConsumeOnceRequest): Promise<boolean> {
  const { purpose, key, expiresAt } = consumeOnceOptions.parse('consumeOnce', request)
  const now = context.now()
  // The store may have deleted the key already.
  if (now >= expiresAt) return false
  const owner = context.nonce()
  const oneTimeKey = {
    key: fingerprint('baton/once/v1', [purpose, key]),
    owner,
    expiresAt: Math.ceil(expiresAt) + MAX_SKEW_MS,
  }
  return isSameText(await context.store.claimOnce(oneTimeKey, now), owner)
}
