import { describe, expect, it } from 'vitest'
import type { FamilyRecord } from '../../src/index.js'
import { createKeyRing } from '../../src/token/keys.js'
import { isSameText } from '../../src/model/same-text.js'
import type { AuthenticToken } from '../../src/token/authentic-token.js'
import {
  computeVerifier,
  createFirstToken,
  createRandomSeed,
  deriveReservedSeed,
  deriveSuccessor,
  hashRedemptionKey,
  hashRetryKey,
} from '../../src/token/derive.js'
import { formatToken, parseToken } from '../../src/token/format.js'
import { findRelation } from '../../src/token/relation.js'
import { NEW_SECRET, OLD_SECRET, seededRandom, START } from '../setup.js'

const PREFIX = 'brt_'
const ring = createKeyRing([OLD_SECRET])
const key = ring.current

const first = createFirstToken(createRandomSeed(seededRandom('golden')), { createdAt: START + 999, confirmation: null })
const bound = createFirstToken(createRandomSeed(seededRandom('golden')), {
  createdAt: START,
  confirmation: { jkt: 'a' },
})
const reserved = deriveReservedSeed(createRandomSeed(seededRandom('golden')), key, 'AAAAAAAAAAAAAAAA')
const second = deriveSuccessor(first, key, 'AAAAAAAAAAAAAAAA')
const third = deriveSuccessor(second, createKeyRing([NEW_SECRET]).current, 'BBBBBBBBBBBBBBBB')
const text = formatToken(second, PREFIX, key)

function parsed(token: unknown, prefix = PREFIX, keys = ring): AuthenticToken {
  const result = parseToken(token, prefix, keys)
  if (result.kind !== 'authentic') throw new Error(result.kind)
  return result.token
}

const kindOf = (token: unknown, prefix = PREFIX) => parseToken(token, prefix, ring).kind

/** A token with another first byte and a valid tag, which only the server could create. */
function validHeader(head: number): string {
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
  bytes[0] = head
  bytes.set(key.tag(bytes.subarray(0, 68), 16), 68)
  return PREFIX + bytes.toString('base64url')
}

describe('golden vectors', () => {
  it.each([
    [
      'the first token',
      () => formatToken(first, PREFIX, key),
      'brt_EHz2WJgMBCYgSmnbvbFSFqhsAYQAAAAAcNvYgCLK-8fYzk6KSTTHHGZ7aPjBc8YBbMK2QgAAAAAAAAAAAAAAAAAAAAB9Wfs2XgeYfAP_wraaNonN',
    ],
    [
      'a bound first token',
      () => formatToken(bound, PREFIX, key),
      'brt_EXz2WJgMBCYgSmnbvbFSFqhsAYQAAAAAcNvYgCLK-8fYzk6KSTTHHGZ7aPjBc8YBbMK2QgAAAAAAAAAAAAAAAAAAAADPbVFOQqW0jVgtgreMzWAj',
    ],
    [
      'its successor',
      () => text,
      'brt_EHz2WJgMBCYgSmnbvbFSFqhsAYQAAAABcNvYgEdHzSJh8sL_z9nwlyl0DRE4cCLJ014K4MrVicxm5sop3Ip0i5QyngRq-w5Fcfpm2hDuKpamnsl1',
    ],
    [
      'a successor under another key',
      () => formatToken(third, 'x', createKeyRing([NEW_SECRET]).current),
      'xEI9FuZgMBCYgSmnbvbFSFqhsAYQAAAACcNvYgMTRrlhHuoP6ozSGwTA5dDSZBFJfBoo7BkAZ12bRiMqDyO23VvLSEE3261SPDxKOV_b_X1F4680u',
    ],
    ['the family id', () => first.familyId, '5Je8cotrAcl4LlIOlnZ58Q'],
    ['the key id', () => key.id, 'fPZY'],
    ['a verifier', () => computeVerifier(second, { clientId: 'app', confirmation: null }), 'heV-i3XvQPS3S2iEBtd7ng'],
    [
      'a bound verifier',
      () => computeVerifier(bound, { clientId: 'app', confirmation: { jkt: 'key' } }),
      'WKD1URMjg-GbPbGcVutt_g',
    ],
    ['a retry key', () => hashRetryKey(first, 'an-idempotency-key-of-32-letters'), 'EVVce1ackSh78noOJaAGFg'],
    [
      'the first token of a reservation',
      () => formatToken(createFirstToken(reserved, { createdAt: START, confirmation: null }), PREFIX, key),
      'brt_EHz2WJgMBCYgSmnbvbFSFqhsAYQAAAAAcNvYgIVdUgq0VSEsHI-G2BKt6Yh5IHGW3D7gQwAAAAAAAAAAAAAAAAAAAADltqE7lVlTMwn1oyfjaSEY',
    ],
    [
      'the retry key of a redemption',
      () => hashRedemptionKey(reserved, 'an-idempotency-key-of-32-letters'),
      'b9R4tdQcwtA4d89HQjmsdw',
    ],
  ])('computes the same value as earlier versions: %s', (_name, make, expected) => {
    expect(make()).toBe(expected)
  })

  it('derives all values from the secret alone on any instance', () => {
    const sameKey = createKeyRing([OLD_SECRET]).current
    expect(formatToken(deriveSuccessor(first, sameKey, 'AAAAAAAAAAAAAAAA'), PREFIX, sameKey)).toBe(text)
    expect(deriveReservedSeed(createRandomSeed(seededRandom('golden')), sameKey, 'AAAAAAAAAAAAAAAA')).toEqual(reserved)
  })

  it('encodes the bytes as documented', () => {
    const bytes = Buffer.from(formatToken({ ...second, bound: true }, PREFIX, key).slice(PREFIX.length), 'base64url')
    expect(bytes.length).toBe(84)
    expect(bytes[0]).toBe(0x11)
    expect(bytes.toString('base64url', 1, 4)).toBe(key.id)
    expect(bytes.subarray(4, 20)).toEqual(Buffer.from(first.handle))
    expect(bytes.readUInt32BE(20)).toBe(1)
    expect(bytes.readUInt32BE(24)).toBe(START / 1000)
    expect(bytes.subarray(28, 52)).toEqual(Buffer.from(second.secret))
    expect(bytes.subarray(52, 68)).toEqual(Buffer.from(second.previousProof))
  })

  it('formats a token as 112 characters after its prefix', () => {
    expect(text).toMatch(/^brt_[A-Za-z0-9_-]{112}$/)
  })
})

describe('parseToken', () => {
  it('parses all fields of a formatted token', () => {
    const { handle, secret, proof, previousProof, ...rest } = parsed(text)
    expect(rest).toEqual({ familyId: first.familyId, generation: 1, createdAtSeconds: START / 1000, bound: false })
    expect([handle, secret, proof, previousProof].map((bytes) => Buffer.from(bytes))).toEqual(
      [second.handle, second.secret, second.proof, second.previousProof].map((bytes) => Buffer.from(bytes)),
    )
    expect(parsed(formatToken(bound, PREFIX, key)).bound).toBe(true)
  })

  it('F-13: rejects a token with any single flipped bit', () => {
    const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url')
    const kinds = new Map<string, number>()
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const kind = kindOf(PREFIX + flipped.toString('base64url'))
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    }
    // A flip within the key id names a key that is not in the key ring.
    expect(Object.fromEntries(kinds)).toEqual({ malformed: 81 * 8, unknown_key: 3 * 8 })
  })

  it('rejects every other encoding of the same bytes', () => {
    const body = text.slice(PREFIX.length)
    const validAlphabet = Buffer.from(body, 'base64url').toString('base64')
    const places = [0, 1, 4, 57, text.length]
    const spellings = [
      validAlphabet === body ? [] : [PREFIX + validAlphabet],
      ['=', '==', ' ', '\n', '\0', '.', '%'].map((tail) => text + tail),
      [' ', '\n', '\t', '\uFEFF'].map((head) => head + text),
      places.flatMap((at) =>
        [' ', '\n', '\r\n', '=', '\u200b'].map((unusual) => text.slice(0, at) + unusual + text.slice(at)),
      ),
      places.slice(0, 4).map((at) => text.slice(0, at) + text.slice(at + 1)),
      // The same length, with one character that decoders skip or fold.
      ['=', ' ', '+', '/', '\n', '.', 'é', '\uFF21', '\u0141', '\ud83d'].map((unusual) => text.slice(0, -1) + unusual),
      [body, text.toUpperCase(), text.toLowerCase(), text.repeat(2), PREFIX, '', text.slice(0, -4), text + 'AAAA'],
      ['BRT_' + body, 'brt-' + body, 'brt_'.repeat(2) + body.slice(4), encodeURIComponent(text) + '%00'],
    ].flat()
    for (const spelling of spellings) expect([spelling, kindOf(spelling)]).toEqual([spelling, 'malformed'])
  })

  it('rejects the standard base64 alphabet where it differs from base64url', () => {
    const tokens = Array.from({ length: 40 }, (_, index) =>
      formatToken(
        createFirstToken(createRandomSeed(seededRandom(String(index))), { createdAt: START, confirmation: null }),
        PREFIX,
        key,
      ),
    )
    const differing = tokens.filter((token) => /[-_]/.test(token.slice(PREFIX.length)))
    expect(differing.length).toBeGreaterThan(20)
    for (const token of differing) {
      const other = PREFIX + token.slice(PREFIX.length).replaceAll('-', '+').replaceAll('_', '/')
      expect(kindOf(token)).toBe('authentic')
      expect(kindOf(other)).toBe('malformed')
    }
  })

  it('accepts a token with a valid tag', () => {
    expect(kindOf(validHeader(0x11))).toBe('authentic')
  })

  it.each([
    ['version 0', 0x00],
    ['version 2', 0x20],
    ['version 15', 0xf0],
    ['an unknown flag', 0x12],
    ['all flags', 0x1f],
  ])('rejects a token with %s', (_name, head) => {
    expect(kindOf(validHeader(head))).toBe('malformed')
  })

  it('returns the id of an unknown key, and parses the token once the key is in the key ring', () => {
    const otherKeyToken = formatToken(second, PREFIX, createKeyRing([NEW_SECRET]).current)
    expect(parseToken(otherKeyToken, PREFIX, ring)).toEqual({
      kind: 'unknown_key',
      keyId: createKeyRing([NEW_SECRET]).current.id,
    })
    expect(parsed(otherKeyToken, PREFIX, createKeyRing([OLD_SECRET, NEW_SECRET])).generation).toBe(1)
  })

  it('rejects a token whose tag was made with another key under a known key id', () => {
    const otherKeyToken = { ...createKeyRing([NEW_SECRET]).current, id: key.id, idBytes: key.idBytes }
    expect(kindOf(formatToken(second, PREFIX, otherKeyToken))).toBe('malformed')
  })

  it('parses only tokens with the given prefix', () => {
    expect(kindOf(formatToken(second, 'acme_rt_', key), 'acme_rt_')).toBe('authentic')
    expect(kindOf(formatToken(second, 'acme_rt_', key))).toBe('malformed')
    expect(kindOf(text, 'acme_rt_')).toBe('malformed')
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 42],
    ['an object', {}],
    ['a list of one token', [text]],
    ['an object of the right length', { length: text.length, startsWith: () => true, slice: () => text }],
    ['a function', () => text],
    ['a symbol', Symbol('token')],
    ['a boxed string', Object(text)],
    ['10 kB', 'x'.repeat(10_000)],
    ['10 MB', text.repeat(86_000)],
  ])('R-02: rejects %s as malformed', (_name, input) => {
    expect(kindOf(input)).toBe('malformed')
  })
})

describe('deriveSuccessor', () => {
  it('derives the same successor for the same token, key and nonce, and another one otherwise', () => {
    const again = deriveSuccessor(first, key, 'AAAAAAAAAAAAAAAA')
    expect(formatToken(again, PREFIX, key)).toBe(text)
    const others = [
      deriveSuccessor(first, key, 'AAAAAAAAAAAAAAAB'),
      deriveSuccessor(first, createKeyRing([NEW_SECRET]).current, 'AAAAAAAAAAAAAAAA'),
      deriveSuccessor({ ...first, secret: second.secret }, key, 'AAAAAAAAAAAAAAAA'),
      deriveSuccessor({ ...first, generation: 1 }, key, 'AAAAAAAAAAAAAAAA'),
      deriveSuccessor({ ...first, familyId: second.familyId.toLowerCase() as never }, key, 'AAAAAAAAAAAAAAAA'),
    ]
    const secrets = new Set([again, ...others].map(({ secret }) => Buffer.from(secret).toString('hex')))
    expect(secrets.size).toBe(1 + others.length)
  })

  it('keeps the handle, the creation time and the bound flag', () => {
    const next = deriveSuccessor(bound, key, 'nonce')
    expect([next.handle, next.createdAtSeconds, next.bound]).toEqual([bound.handle, bound.createdAtSeconds, true])
  })

  it('A-08: draws 10^5 secrets of 192 random bits without a collision', () => {
    let drawn = 0
    const random = (size: number) => {
      drawn += size
      return crypto.getRandomValues(new Uint8Array(size))
    }
    const seen = new Set<string>()
    for (let index = 0; index < 100_000; index++)
      seen.add(Buffer.from(createRandomSeed(random).secret).toString('base64'))
    expect(seen.size).toBe(100_000)
    // 24 bytes of secret and 16 bytes of handle each.
    expect(drawn).toBe(100_000 * 40)
  })
})

describe('computeVerifier', () => {
  const binding = { clientId: 'app', confirmation: null }
  const base = computeVerifier(first, binding)

  it.each([
    ['client', computeVerifier(first, { ...binding, clientId: 'app2' })],
    ['bound key', computeVerifier(first, { ...binding, confirmation: { jkt: 'a' } })],
    ['secret', computeVerifier({ ...first, proof: second.proof }, binding)],
    ['generation', computeVerifier({ ...first, generation: 1 }, binding)],
    ['creation time', computeVerifier({ ...first, createdAtSeconds: 1 }, binding)],
    ['family', computeVerifier({ ...first, familyId: 'x' as never }, binding)],
  ])('returns another verifier for another %s', (_name, other) => {
    expect(other).not.toBe(base)
  })

  it('separates the parts unambiguously', () => {
    const one = computeVerifier(first, { clientId: 'appjkt:a', confirmation: null })
    const other = computeVerifier(first, { clientId: 'app', confirmation: { jkt: 'a' } })
    expect(one).not.toBe(other)
  })
})

describe('hashRetryKey', () => {
  it('returns another hash for another family, generation or key, and never the key itself', () => {
    const retryKey = 'an-idempotency-key-of-32-letters'
    const keys = [
      hashRetryKey(first, retryKey),
      hashRetryKey(second, retryKey),
      hashRetryKey({ ...first, familyId: 'x' as never }, retryKey),
      hashRetryKey(first, retryKey + '!'),
    ]
    expect(new Set(keys).size).toBe(4)
    expect(keys.join()).not.toContain(retryKey)
  })
})

describe('findRelation', () => {
  const binding = { clientId: 'app', confirmation: null }
  const fourth = deriveSuccessor(deriveSuccessor(second, key, 'n3'), key, 'n4')
  const fork = deriveSuccessor(first, key, 'another nonce')
  const recordAt = (token: AuthenticToken, nonce: string, keyId = key.id) =>
    ({
      current: { generation: token.generation, verifier: computeVerifier(token, binding), nonce, keyId },
    }) as FamilyRecord
  const record = recordAt(second, 'AAAAAAAAAAAAAAAA')

  it.each([
    ['the recorded token', second, record, 'current'],
    ['another token of the recorded generation', fork, record, 'unrelated'],
    ['its predecessor', first, record, 'predecessor'],
    ['a predecessor of another successor', first, recordAt(second, 'other nonce'), 'unrelated'],
    [
      'its predecessor, the key missing',
      first,
      { ...record, current: { ...record.current, keyId: 'gone' } },
      'unverifiable',
    ],
    [
      'the recorded token, the key missing',
      second,
      { ...record, current: { ...record.current, keyId: 'gone' } },
      'current',
    ],
    ['a grandparent', first, recordAt(deriveSuccessor(second, key, 'n3'), 'n3'), 'unrelated'],
    ['a grandparent, the key missing', first, recordAt(deriveSuccessor(second, key, 'n3'), 'n3', 'gone'), 'unrelated'],
    ['one ahead', second, recordAt(first, 'n'), 'one_ahead'],
    ['one ahead of a fork', deriveSuccessor(fork, key, 'n'), record, 'unrelated'],
    ['two ahead', fourth, record, 'far_ahead'],
    ['far ahead', { ...fourth, generation: 4_000_000 }, record, 'far_ahead'],
  ] as const)('relates the token to the record: %s', (_name, token, against, relation) => {
    expect(findRelation(token, against, ring, binding)).toBe(relation)
  })
})

describe('isSameText', () => {
  it.each([
    ['', '', true],
    ['a', 'a', true],
    ['a', 'b', false],
    ['a', 'ab', false],
    ['', 'a', false],
    ['é', 'e\u0301', false],
  ])('K-02: compares %j and %j: %s', (one, other, expected) => {
    expect(isSameText(one, other)).toBe(expected)
  })
})
