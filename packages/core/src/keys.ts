import { hkdfSync } from 'node:crypto'
import { type Mac, macUnder } from './digest.js'
import { ConfigurationError } from './errors.js'

const LEAST_SECRET_BYTES = 32

/** Everything derived from one secret. `tag` authenticates tokens, `next` derives successors; neither can be had from the other. */
export interface Key {
  /** Three bytes derived from the secret, base64url: carried in the clear by tokens and records. */
  readonly id: string
  readonly idBytes: Uint8Array
  readonly tag: Mac
  readonly next: Mac
}

/** The secrets that are accepted; only the first one issues. */
export interface KeyRing {
  readonly current: Key
  find(id: string): Key | undefined
}

/**
 * Derives the ring from `[current, ...older]`. Throws `ConfigurationError` for an empty ring, a secret under 32 bytes, a secret given
 * twice, or two secrets whose derived key ids collide.
 */
export function createKeyRing(secrets: readonly (string | Uint8Array | undefined)[]): KeyRing {
  // Callers without types reach this with process.env values.
  if (!Array.isArray(secrets) || secrets.length === 0)
    throw new ConfigurationError(
      'secrets',
      `must be a list of at least one secret; give secrets: [process.env.BATON_SECRET]`,
    )
  const keys = new Map<string, Key>()
  for (const [index, secret] of (secrets as readonly unknown[]).entries()) {
    const key = deriveKey(bytesOf(secret, index))
    if (keys.has(key.id))
      throw new ConfigurationError(
        `secrets[${String(index)}]`,
        `yields the same key id as an earlier secret; remove the duplicate or make another secret`,
      )
    keys.set(key.id, key)
  }
  const [current] = keys.values()
  if (current === undefined) throw new ConfigurationError('secrets', 'is empty')
  return { current, find: (id) => keys.get(id) }
}

function bytesOf(secret: unknown, index: number): Uint8Array {
  const option = `secrets[${String(index)}]`
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array))
    throw new ConfigurationError(
      option,
      `must be a string or bytes, got ${secret === null ? 'null' : typeof secret}; is the environment variable set?`,
    )
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  if (bytes.length < LEAST_SECRET_BYTES)
    throw new ConfigurationError(
      option,
      `is ${String(bytes.length)} bytes long, at least ${String(LEAST_SECRET_BYTES)} are needed; make one with: openssl rand -hex 32`,
    )
  return bytes
}

function deriveKey(secret: Uint8Array): Key {
  const derive = (purpose: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', secret, 'baton/refresh-token/v1', purpose, length))
  const idBytes = derive('key id', 3)
  return {
    id: Buffer.from(idBytes).toString('base64url'),
    idBytes,
    tag: macUnder(derive('tag', 32)),
    next: macUnder(derive('next', 32)),
  }
}
