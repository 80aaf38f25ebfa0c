import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { createRandomPool } from './random-pool.js'

// Format: prefix, then base64url of version (1 byte), key id (3), nonce (12), ciphertext and tag (16). All of it is authenticated.
const VERSION = 1
const KEY_ID_BYTES = 3
const NONCE_BYTES = 12
const TAG_BYTES = 16
const NONCE_AT = 1 + KEY_ID_BYTES
const CONTENT_AT = NONCE_AT + NONCE_BYTES
const randomNonce = createRandomPool(NONCE_BYTES)

export interface SealerOptions {
  /** `[current, ...older]`, as the rule `secretRing` returns them. */
  readonly secrets: readonly [Uint8Array, ...Uint8Array[]]
  /** What was sealed for one purpose cannot be opened for another one, even with the same secrets. */
  readonly purpose: string
  /** The start of sealed texts, by which secret scanners find leaked ones. */
  readonly prefix: string
}

/** Encrypts and authenticates texts that leave this server (AES-256-GCM). */
export interface Sealer {
  seal(content: string): string
  /** Returns the content, or null for a text that `seal` did not return under one of the secrets. */
  open(text: string): string | null
}

interface Key {
  readonly key: KeyObject
  /** Version and key id, the first bytes of a sealed text. */
  readonly head: Buffer
  /** Additional authenticated data. */
  readonly associated: Uint8Array
}

const CIPHER = 'aes-256-gcm'
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES }

/** Throws `ConfigurationError` for two secrets with one key id. */
export function createSealer({ secrets, purpose, prefix }: SealerOptions): Sealer {
  const [currentSecret, ...olderSecrets] = secrets
  const current = deriveKey(currentSecret, purpose, prefix)
  const keys = [current, ...olderSecrets.map((secret) => deriveKey(secret, purpose, prefix))]
  if (new Set(keys.map(({ head }) => head.toString('hex'))).size < keys.length)
    throw new ConfigurationError(
      'secrets',
      'must have one key id per secret, got two secrets with the same one; remove the duplicate or create another secret',
    )

  return {
    seal(content) {
      const nonce = randomNonce()
      const cipher = createCipheriv(CIPHER, current.key, nonce, CIPHER_OPTIONS)
      cipher.setAAD(current.associated)
      const parts = [current.head, nonce, cipher.update(content, 'utf8'), cipher.final(), cipher.getAuthTag()]
      return prefix + Buffer.concat(parts).toString('base64url')
    },
    open(text) {
      if (!text.startsWith(prefix)) return null
      const body = text.slice(prefix.length)
      const bytes = Buffer.from(body, 'base64url')
      // Buffer ignores other characters and padding bits; a sealed text has exactly one spelling.
      if (bytes.length < CONTENT_AT + TAG_BYTES || bytes.toString('base64url') !== body) return null
      const key = keys.find(({ head }) => head.equals(bytes.subarray(0, NONCE_AT)))
      if (key === undefined) return null
      const nonce = bytes.subarray(NONCE_AT, CONTENT_AT)
      const cipher = createDecipheriv(CIPHER, key.key, nonce, CIPHER_OPTIONS)
      cipher.setAAD(key.associated)
      cipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([cipher.update(bytes.subarray(CONTENT_AT, -TAG_BYTES)), cipher.final()]).toString('utf8')
      } catch {
        return null
      }
    },
  }
}

function deriveKey(secret: Uint8Array, purpose: string, prefix: string): Key {
  const derive = (info: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', secret, 'baton/sealing/v1', `${purpose} ${info}`, length))
  const head = Buffer.concat([Buffer.of(VERSION), derive('key id', KEY_ID_BYTES)])
  const associated = Buffer.concat([Buffer.from(`baton/sealing/v1\0${purpose}\0${prefix}\0`), head])
  return { key: createSecretKey(derive('key', 32)), head, associated }
}
