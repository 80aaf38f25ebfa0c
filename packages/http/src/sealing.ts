import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { freshBytes } from './fresh.js'

/*
 * prefix + base64url of: version 1, key id 3, nonce 12, ciphertext, tag 16. Prefix, version and key id are authenticated.
 */
const VERSION = 1
const KEY_ID_BYTES = 3
const NONCE_BYTES = 12
const TAG_BYTES = 16
const NONCE_AT = 1 + KEY_ID_BYTES
const CONTENT_AT = NONCE_AT + NONCE_BYTES
const freshNonce = freshBytes(NONCE_BYTES)
const LEAST_SECRET_BYTES = 32

/** `[current, ...older]`, at least 32 bytes each, the same on every instance. `undefined` compiles and throws. */
export type Secrets = readonly (string | Uint8Array | undefined)[]

export interface SealingOptions {
  /** Names the option in errors. */
  readonly option: string
  readonly secrets: Secrets
  /** What was sealed for one purpose cannot be opened for another, under the same secrets either. */
  readonly purpose: string
  /** How sealed texts begin, so that scanners find leaked ones. */
  readonly prefix: string
}

/** Keeps what we hand out from being read and from being changed (AES-256-GCM). */
export interface Sealing {
  seal(content: string): string
  /** Null for anything that `seal` did not make under one of the secrets, and for a second spelling of what it did. */
  open(text: string): string | null
}

interface Key {
  readonly key: KeyObject
  /** Version and key id: what is sealed begins with them. */
  readonly head: Buffer
  /** What is authenticated besides the content. */
  readonly associated: Uint8Array
}

const CIPHER = 'aes-256-gcm'
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES }

/** Throws `ConfigurationError`. */
export function sealing({ option, secrets, purpose, prefix }: SealingOptions): Sealing {
  const [current, ...older] = keysOf(secrets, { option, purpose, prefix })
  const keys = [current, ...older]

  return {
    seal(content) {
      const nonce = freshNonce()
      const cipher = createCipheriv(CIPHER, current.key, nonce, CIPHER_OPTIONS)
      cipher.setAAD(current.associated)
      const parts = [current.head, nonce, cipher.update(content, 'utf8'), cipher.final(), cipher.getAuthTag()]
      return prefix + Buffer.concat(parts).toString('base64url')
    },
    open(text) {
      if (!text.startsWith(prefix)) return null
      const body = text.slice(prefix.length)
      const bytes = Buffer.from(body, 'base64url')
      // Buffer forgives foreign characters and padding bits; what is sealed has one spelling.
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

type KeyOptions = Omit<SealingOptions, 'secrets'>

function keysOf(secrets: unknown, options: KeyOptions): readonly [Key, ...Key[]] {
  const { option } = options
  const list: readonly unknown[] = Array.isArray(secrets) ? secrets : []
  const [first, ...others] = list.map((secret, index) =>
    keyOf(secret, { ...options, option: `${option}[${String(index)}]` }),
  )
  if (first === undefined)
    throw new ConfigurationError(option, 'must be a list of at least one secret of 32 bytes or more')
  const keys = [first, ...others] as const
  if (new Set(keys.map(({ head }) => head.toString('hex'))).size < keys.length)
    throw new ConfigurationError(option, 'has two secrets with one key id; remove the duplicate or make another secret')
  return keys
}

function keyOf(secret: unknown, { option, purpose, prefix }: KeyOptions): Key {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
  if (!(bytes instanceof Uint8Array) || bytes.length < LEAST_SECRET_BYTES)
    throw new ConfigurationError(
      option,
      `must be at least ${String(LEAST_SECRET_BYTES)} random bytes; make some with: openssl rand -hex 32`,
    )
  const derive = (info: string, length: number) =>
    new Uint8Array(hkdfSync('sha256', bytes, 'baton/sealing/v1', `${purpose} ${info}`, length))
  const head = Buffer.concat([Buffer.of(VERSION), derive('key id', KEY_ID_BYTES)])
  const associated = Buffer.concat([Buffer.from(`baton/sealing/v1\0${purpose}\0${prefix}\0`), head])
  return { key: createSecretKey(derive('key', 32)), head, associated }
}
