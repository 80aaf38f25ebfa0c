import * as crypto from 'node:crypto'

/** Input of a hash: text in UTF-8, bytes, or a number as four bytes. */
export type Part = string | Uint8Array | number

/** Returns the first `size` bytes of the SHA-256 over the parts. No two domains and no two lists of parts share an encoding. */
export function hash(domain: string, parts: readonly Part[], size: number): Uint8Array {
  return put(sha256(encodeParts(domain, parts), 'binary'), new Uint8Array(size), 0)
}

/** Returns the first 16 bytes of such a hash in base64url. */
export function fingerprint(domain: string, parts: readonly Part[]): string {
  const text = sha256(encodeParts(domain, parts), 'base64url')
  // Of the 22nd character, two bits belong to the sixteenth byte.
  return text.slice(0, 21) + (TWO_BITS.get(text.charAt(21)) ?? '')
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** Maps each character to the one with the same upper two bits and four zero bits. */
const TWO_BITS = new Map(
  Array.from(ALPHABET, (character, bits): [string, string] => [character, ALPHABET.charAt(bits & 0b110000)]),
)

/**
 * SHA-256 by `crypto.hash` where the runtime has it, otherwise by `createHash`, which costs four times as much. The result is a string
 * (`binary` has one character per byte), because a new Buffer costs more (decisions/018).
 */
type Sha256 = (bytes: Uint8Array, encoding: 'binary' | 'base64url') => string
const { hash: oneShot } = crypto as { readonly hash?: typeof crypto.hash }
const sha256: Sha256 =
  oneShot === undefined
    ? (bytes, encoding) => crypto.createHash('sha256').update(bytes).digest(encoding)
    : (bytes, encoding) => oneShot('sha256', bytes, encoding)

/** Writes one byte per character, from `start` to the end of `bytes`. */
function put<Bytes extends Uint8Array>(latin1: string, bytes: Bytes, start: number): Bytes {
  for (let at = start; at < bytes.length; at += 1) bytes[at] = latin1.charCodeAt(at - start)
  return bytes
}

/** Returns the first `size` bytes of the HMAC-SHA-256 under one key. */
export type Mac = (message: Uint8Array, size: number) => Uint8Array

const BLOCK_BYTES = 64
const HASH_BYTES = 32
const INNER = 0x36
const OUTER = 0x5c

/** HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes, as two hashes: `createHmac` makes a rotation 13 % slower (decisions/018). */
export function createMac(key: Uint8Array): Mac {
  if (key.length > BLOCK_BYTES) throw new RangeError('a key longer than a block would have to be hashed first')
  let inner = padded(key, INNER, BLOCK_BYTES)
  const outer = padded(key, OUTER, HASH_BYTES)
  return (message, size) => {
    const end = BLOCK_BYTES + message.length
    if (end > inner.length) inner = padded(key, INNER, message.length)
    inner.set(message, BLOCK_BYTES)
    const hashed = sha256(inner.subarray(0, end), 'binary')
    return put(sha256(put(hashed, outer, BLOCK_BYTES), 'binary'), new Uint8Array(size), 0)
  }
}

/** Returns the padded key, followed by `messageBytes` bytes for a message. */
function padded(key: Uint8Array, pad: number, messageBytes: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES + messageBytes, pad)
  for (const [index, byte] of key.entries()) bytes[index] = byte ^ pad
  return bytes
}

const LENGTH_BYTES = 4
/** UTF-8 needs at most three bytes for one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3

/** One buffer for all encodings: the caller hashes each of them synchronously. */
let buffer = Buffer.alloc(1024)

/**
 * Encodes each part after its length in four bytes, so that no two lists of parts share an encoding. The next call overwrites the
 * returned bytes. A new buffer per call makes a rotation 20 % slower (decisions/018).
 */
export function encodeParts(domain: string, parts: readonly Part[]): Uint8Array {
  let end = frame(0, domain)
  for (const part of parts) end = frame(end, part)
  return buffer.subarray(0, end)
}

/** Writes one part and returns the offset of the next one. */
function frame(at: number, part: Part): number {
  const start = at + LENGTH_BYTES
  if (typeof part === 'number') {
    reserve(start + 4)
    buffer.writeUInt32BE(4, at)
    return buffer.writeUInt32BE(part, start)
  }
  reserve(start + part.length * MAX_BYTES_PER_UNIT)
  const length = typeof part === 'string' ? buffer.write(part, start) : part.length
  if (typeof part !== 'string') buffer.set(part, start)
  buffer.writeUInt32BE(length, at)
  return start + length
}

function reserve(bytes: number): void {
  if (bytes <= buffer.length) return
  const larger = Buffer.alloc(bytes * 2)
  buffer.copy(larger)
  buffer = larger
}
