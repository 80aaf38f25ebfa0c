import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { framed, hash, macUnder, type Part } from '../src/digest.js'

/** The same bytes, put together without a care for speed. */
function framedPlainly(parts: readonly Part[]): Buffer {
  const bytes = parts.map((part) => (typeof part === 'number' ? uint(part) : Buffer.from(part as string)))
  return Buffer.concat(bytes.flatMap((some) => [uint(some.length), some]))
}

function uint(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const aPart = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 3000 }),
  fc.uint8Array({ maxLength: 3000 }),
  fc.integer({ min: 0, max: 0xffffffff }),
)

describe('framing', () => {
  it('puts every part behind its length, whatever their sizes, and calls leave nothing behind for one another', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(aPart, { maxLength: 8 }), fc.nat(32), (domain, parts, size) => {
        const expected = framedPlainly([domain, ...parts])
        expect(Buffer.compare(framed(domain, parts), expected)).toBe(0)
        expect(hash(domain, parts, size)).toEqual(createHash('sha256').update(expected).digest().subarray(0, size))
      }),
    )
  })
})

describe('macUnder', () => {
  it('is HMAC-SHA-256, for every key up to a block and messages of any length, in any order', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 5 }),
        (key, messages) => {
          const mac = macUnder(key)
          for (const message of messages)
            expect(mac(message)).toEqual(createHmac('sha256', key).update(message).digest())
        },
      ),
    )
  })

  it('refuses a key that RFC 2104 would hash first', () => {
    expect(() => macUnder(new Uint8Array(65))).toThrow(RangeError)
  })
})
