import { hkdfSync } from 'node:crypto'
import { type Mac, createMac } from './hash.js'
import { ConfigurationError } from '../model/errors.js'
import { secretRing } from '../options.js'

const secretList = secretRing()

/** The keys derived from one secret. `tag` authenticates tokens, `next` derives successors; neither can be computed from the other. */
export interface Key {
  /** Three bytes derived from the secret, base64url. Tokens and records contain it in plain text. */
  readonly id: string
  readonly idBytes: Uint8Array
  readonly tag: Mac
  readonly next: Mac
}

/** The keys of all configured secrets. New tokens are signed with the first one. */
export interface KeyRing {
  readonly current: Key
  find(id: string): Key | undefined
}

/**
 * Derives the ring from `[current, ...older]`. Throws `ConfigurationError` for an empty ring, a secret under 32 bytes, a secret given
 * twice, or two secrets whose derived key ids collide.
 */
export function createKeyRing(secrets: unknown, option = 'secrets'): KeyRing {
  const [first, ...older] = secretList.parse(secrets, option)
  const current = deriveKey(first)
  const byId = new Map<string, Key>()
  for (const [index, key] of [current, ...older.map(deriveKey)].entries()) {
    if (byId.has(key.id))
      throw new ConfigurationError(
        `${option}[${String(index)}]`,
        'must have another key id than every earlier secret; remove the duplicate or generate another secret',
      )
    byId.set(key.id, key)
  }
  return { current, find: (id) => byId.get(id) }
}

function deriveKey(secret: Uint8Array): Key {
  const derive = (purpose: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', secret, 'baton/refresh-token/v1', purpose, length))
  const idBytes = derive('key id', 3)
  return {
    id: Buffer.from(idBytes).toString('base64url'),
    idBytes,
    tag: createMac(derive('tag', 32)),
    next: createMac(derive('next', 32)),
  }
}
