import * as crypto from 'node:crypto'
import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { fingerprint, encodeParts, hash, createMac, type Part } from '../../src/token/hash.js'

/** Encodes the same parts in the simplest way. */
function encodePartsSimply(parts: readonly Part[]): Buffer {
  const bytes = parts.map((part) => (typeof part === 'number' ? uint(part) : Buffer.from(part as string)))
  return Buffer.concat(bytes.flatMap((some) => [uint(some.length), some]))
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const anyPart = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 3000 }),
  fc.uint8Array({ maxLength: 3000 }),
  fc.integer({ min: 0, max: 0xffffffff }),
)

describe('encodeParts', () => {
  it('prefixes each part with its length for parts of any size, independent of earlier calls', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(anyPart, { maxLength: 8 }), fc.nat(32), (domain, parts, size) => {
        const expected = encodePartsSimply([domain, ...parts])
        expect(Buffer.compare(encodeParts(domain, parts), expected)).toBe(0)
        const digest = createHash('sha256').update(expected).digest()
        expect(Buffer.from(hash(domain, parts, size))).toEqual(digest.subarray(0, size))
        expect(fingerprint(domain, parts)).toBe(digest.toString('base64url', 0, 16))
      }),
    )
  })
})

describe('runtimes', () => {
  afterEach(() => {
    vi.doUnmock('node:crypto')
  })

  it.each([
    ['one call of crypto.hash', {}],
    ['an object, on runtimes without crypto.hash', { hash: undefined }],
  ])('computes SHA-256 with %s', async (_name, changes) => {
    vi.doMock('node:crypto', () => ({ ...crypto, ...changes }))
    vi.resetModules()
    const reimported = await import('../../src/token/hash.js')
    // Enough for each of the 64 possible last characters of a fingerprint.
    for (let index = 0; index < 500; index += 1) {
      const digest = createHash('sha256')
        .update(encodePartsSimply(['d', index]))
        .digest()
      expect(Buffer.from(reimported.hash('d', [index], 32))).toEqual(digest)
      expect(reimported.fingerprint('d', [index])).toBe(digest.toString('base64url', 0, 16))
    }
  })
})

describe('buffer growth', () => {
  it.each([
    ['text', 'x'.repeat(5000)],
    ['text with characters of three bytes', '€'.repeat(341)],
    ['bytes', new Uint8Array(5000).fill(7)],
    ['bytes that fill the buffer', new Uint8Array(1024 - 4 - 1 - 4).fill(7)],
  ])('grows the buffer for %s and keeps its content', async (_name, long) => {
    vi.resetModules()
    const reimported = await import('../../src/token/hash.js')
    expect(Buffer.from(reimported.encodeParts('d', [long, 1]))).toEqual(encodePartsSimply(['d', long, 1]))
  })

  it('grows the buffer for a number', async () => {
    vi.resetModules()
    const reimported = await import('../../src/token/hash.js')
    const parts = ['x'.repeat(336), 1, 2]
    expect(Buffer.from(reimported.encodeParts('', parts))).toEqual(encodePartsSimply(['', ...parts]))
    const many = Array.from({ length: 300 }, (_, index) => index)
    expect(Buffer.from(reimported.encodeParts('', many))).toEqual(encodePartsSimply(['', ...many]))
  })
})

describe('createMac', () => {
  it('accepts a key of exactly one block and a message that fills the buffer', () => {
    const key = new Uint8Array(64).fill(5)
    for (const size of [64, 65, 64, 128]) {
      const message = new Uint8Array(size).fill(size)
      expect(Buffer.from(createMac(key)(message, 32))).toEqual(createHmac('sha256', key).update(message).digest())
    }
  })

  it('computes HMAC-SHA-256 for each key up to one block and messages of any length, in any order', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 5 }),
        fc.nat(32),
        (key, messages, size) => {
          const mac = createMac(key)
          for (const message of messages)
            expect(Buffer.from(mac(message, size))).toEqual(
              createHmac('sha256', key).update(message).digest().subarray(0, size),
            )
        },
      ),
    )
  })

  it('rejects a key that is longer than one block', () => {
    expect(() => createMac(new Uint8Array(65))).toThrow(RangeError)
  })
})
