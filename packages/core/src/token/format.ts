import { timingSafeEqual } from 'node:crypto'
import { matching, withDefault } from '../options.js'
import type { AuthenticToken } from './authentic-token.js'
import { hashSecret, toFamilyId } from './derive.js'
import type { Key, KeyRing } from './keys.js'

/*
 * prefix + base64url of 84 bytes:
 *
 *   0  version (high four bits) and flags      28  secret, 24 bytes
 *   1  key id, 3 bytes                         52  proof of the predecessor's secret, 16 bytes
 *   4  handle, 16 bytes                        68  tag over all before it, 16 bytes
 *  20  generation, 4 bytes
 *  24  createdAt in seconds, 4 bytes
 */
const SIZE = 84
const TEXT_LENGTH = (SIZE * 4) / 3
/** 84 bytes are a whole number of base64 groups, so no unused bits allow a second encoding. */
const BASE64URL = /^[A-Za-z0-9_-]+$/
const TAG_AT = 68
const VERSION = 1
const BOUND_FLAG = 1
const TAG_BYTES = 16

/** The option for the text before the bytes. */
export const tokenPrefix = withDefault(matching(/^[A-Za-z0-9_-]{1,16}$/, '1 to 16 letters, digits, - or _'), 'brt_')

export type ParsedToken =
  | { readonly kind: 'authentic'; readonly token: AuthenticToken }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'unknown_key'; readonly keyId: string }

/** Parses a token and verifies its tag. Pure and total: accepts any value; a second spelling of a token is malformed. */
export function parseToken(text: unknown, prefix: string, ring: KeyRing): ParsedToken {
  const bytes = decodeToken(text, prefix)
  if (bytes === null) return { kind: 'malformed' }
  const keyId = bytes.toString('base64url', 1, 4)
  const key = ring.find(keyId)
  if (key === undefined) return { kind: 'unknown_key', keyId }
  const tag = computeTag(bytes.subarray(0, TAG_AT), key)
  if (!timingSafeEqual(tag, bytes.subarray(TAG_AT))) return { kind: 'malformed' }
  const handle = bytes.subarray(4, 20)
  const secret = bytes.subarray(28, 52)
  const token: AuthenticToken = {
    familyId: toFamilyId(handle),
    handle,
    generation: bytes.readUInt32BE(20),
    createdAtSeconds: bytes.readUInt32BE(24),
    bound: isBound(bytes),
    secret,
    proof: hashSecret(secret),
    previousProof: bytes.subarray(52, TAG_AT),
  }
  return { kind: 'authentic', token }
}

/** Reads the parts of a token that are not secret, without verifying its tag. Returns null for a value that is not a token. */
export function readTokenHeader(text: unknown, prefix: string) {
  const bytes = decodeToken(text, prefix)
  return (
    bytes && {
      familyId: toFamilyId(bytes.subarray(4, 20)),
      generation: bytes.readUInt32BE(20),
      createdAtSeconds: bytes.readUInt32BE(24),
      bound: isBound(bytes),
      keyId: bytes.toString('base64url', 1, 4),
    }
  )
}

function decodeToken(text: unknown, prefix: string): Buffer | null {
  if (typeof text !== 'string' || text.length !== prefix.length + TEXT_LENGTH || !text.startsWith(prefix)) return null
  const body = text.slice(prefix.length)
  // Buffer ignores invalid characters and accepts the other base64 alphabet; a token has exactly one spelling.
  if (!BASE64URL.test(body)) return null
  const bytes = Buffer.from(body, 'base64url')
  const head = bytes.readUInt8(0)
  return head >> 4 === VERSION && (head & 0x0f & ~BOUND_FLAG) === 0 ? bytes : null
}

function isBound(bytes: Buffer): boolean {
  return (bytes.readUInt8(0) & BOUND_FLAG) !== 0
}

/** Formats a token and signs it with `key`. */
export function formatToken(token: Omit<AuthenticToken, 'familyId' | 'proof'>, prefix: string, key: Key): string {
  const bytes = Buffer.allocUnsafe(SIZE)
  bytes.writeUInt8((VERSION << 4) | (token.bound ? BOUND_FLAG : 0), 0)
  bytes.set(key.idBytes, 1)
  bytes.set(token.handle, 4)
  bytes.writeUInt32BE(token.generation, 20)
  bytes.writeUInt32BE(token.createdAtSeconds, 24)
  bytes.set(token.secret, 28)
  bytes.set(token.previousProof, 52)
  bytes.set(computeTag(bytes.subarray(0, TAG_AT), key), TAG_AT)
  return prefix + bytes.toString('base64url')
}

/** Returns true if another system may have issued this text: RFC 6749 appendix A.17 allows it, up to a bounded length. */
export function canBeLegacyToken(text: unknown): text is string {
  return typeof text === 'string' && /^[\x20-\x7e]{1,8192}$/.test(text)
}

function computeTag(bytes: Uint8Array, key: Key): Uint8Array {
  return key.tag(bytes, TAG_BYTES)
}
