import { describe, expect, it } from 'vitest'
import {
  type Circumstances,
  decide,
  decideByReservation,
  decideByToken,
  decideRedemption,
  type Decision,
  type Facts,
  type Grace,
  type Relation,
  type RequestRejectionReason,
} from '../../src/decision/decide.js'

const NOW = 1_000_000
const GRACE = 30_000
const SAME_ATTEMPT = 5 * GRACE
const RELATIONS: readonly Relation[] = [
  'current',
  'predecessor',
  'unverifiable',
  'one_ahead',
  'far_ahead',
  'legacy',
  'unrelated',
]
const REQUEST_REJECTIONS: readonly (RequestRejectionReason | null)[] = [
  null,
  'invalid_scope',
  'invalid_target',
  'inactive',
  'rate_limited',
  'other_family',
]

interface Case {
  grace?: Grace
  facts?: Partial<Facts> | null
  circumstances?: Partial<Circumstances>
  graceMs?: number
  rotates?: boolean
}

/** An active family whose current token is presented by its own client, unless the case changes that. */
function decideCase({
  facts = {},
  circumstances = {},
  grace = 'any-attempt',
  graceMs = GRACE,
  rotates = true,
}: Case): Decision {
  const usual: Facts = {
    relation: 'current',
    sameClient: true,
    sameKey: true,
    attempt: 'unknown',
    revoked: false,
    rotatedAt: NOW - 10 * GRACE,
    expiresAt: NOW + 10 * GRACE,
  }
  return decide(
    facts && { ...usual, ...facts },
    { now: NOW, arrivedAt: NOW, requestRejection: null, superseded: false, ...circumstances },
    { grace, graceMs, sameAttemptMs: SAME_ATTEMPT, rotates },
  )
}

/** Returns a decision as one word. */
function describeDecision(decision: Decision): string {
  switch (decision.kind) {
    case 'mint':
      return decision.outcome
    case 'reject':
      return decision.reason
    case 'revoke':
      return `${decision.reason}, revokes the family`
    case 'fault':
      return 'fault'
  }
}

const justRotated = { rotatedAt: NOW - 1 }
const lastInstantOfGrace = { rotatedAt: NOW - GRACE + 1 }
const graceJustOver = { rotatedAt: NOW - GRACE }
const lastInstantOfAttempt = { attempt: 'same', rotatedAt: NOW - SAME_ATTEMPT + 1 } as const
const attemptJustOver = { attempt: 'same', rotatedAt: NOW - SAME_ATTEMPT } as const

const TABLE: readonly [presented: string, Case, expected: string][] = [
  ['superseded by the subject', { circumstances: { superseded: true } }, 'superseded'],
  ['superseded, and not in the store', { facts: null, circumstances: { superseded: true } }, 'superseded'],
  ['no record', { facts: null }, 'unknown'],
  ['other client', { facts: { sameClient: false } }, 'mismatch'],
  ['other key', { facts: { sameKey: false } }, 'mismatch'],
  ['other client with an old token', { facts: { sameClient: false, relation: 'unrelated' } }, 'mismatch'],
  ['other key with an old token', { facts: { sameKey: false, relation: 'unrelated' } }, 'mismatch'],
  ['other client of a revoked family', { facts: { sameClient: false, revoked: true } }, 'mismatch'],
  ['revoked', { facts: { revoked: true } }, 'revoked'],
  ['revoked and expired', { facts: { revoked: true, expiresAt: NOW } }, 'revoked'],
  ['an old token of a revoked family', { facts: { revoked: true, relation: 'unrelated' } }, 'revoked'],
  ['a retry in a revoked family', { facts: { revoked: true, relation: 'predecessor', ...justRotated } }, 'revoked'],
  ['a lost rotation of a revoked family', { facts: { revoked: true, relation: 'one_ahead' } }, 'revoked'],
  ['at the very end', { facts: { expiresAt: NOW } }, 'expired'],
  ['after the end', { facts: { expiresAt: NOW - 1 } }, 'expired'],
  ['the instant before the end', { facts: { expiresAt: NOW + 1 } }, 'rotated'],
  ['an old token of an expired family', { facts: { expiresAt: NOW, relation: 'unrelated' } }, 'expired'],
  ['current, scope too wide', { circumstances: { requestRejection: 'invalid_scope' } }, 'invalid_scope'],
  ['current, target outside', { circumstances: { requestRejection: 'invalid_target' } }, 'invalid_target'],
  ['current, subject inactive', { circumstances: { requestRejection: 'inactive' } }, 'inactive'],
  [
    'predecessor in its window, scope too wide',
    { facts: { relation: 'predecessor', ...justRotated }, circumstances: { requestRejection: 'invalid_scope' } },
    'invalid_scope',
  ],
  [
    'predecessor out of its window, scope too wide',
    { facts: { relation: 'predecessor' }, circumstances: { requestRejection: 'invalid_scope' } },
    'invalid_scope',
  ],
  [
    'what may be the predecessor, scope too wide',
    { facts: { relation: 'unverifiable' }, circumstances: { requestRejection: 'invalid_scope' } },
    'invalid_scope',
  ],
  [
    'one ahead, scope too wide',
    { facts: { relation: 'one_ahead' }, circumstances: { requestRejection: 'invalid_scope' } },
    'invalid_scope',
  ],
  [
    'unrelated, scope too wide',
    { facts: { relation: 'unrelated' }, circumstances: { requestRejection: 'invalid_scope' } },
    'reuse, revokes the family',
  ],
  [
    'far ahead, scope too wide',
    { facts: { relation: 'far_ahead' }, circumstances: { requestRejection: 'invalid_scope' } },
    'rollback, revokes the family',
  ],
  ['current', {}, 'rotated'],
  ['current, just rotated', { facts: justRotated }, 'rotated'],
  ['current, rotation never', { rotates: false }, 'renewed'],
  ['predecessor, just rotated', { facts: { relation: 'predecessor', ...justRotated } }, 'retried'],
  ['predecessor, last instant of grace', { facts: { relation: 'predecessor', ...lastInstantOfGrace } }, 'retried'],
  [
    'predecessor, grace just over',
    { facts: { relation: 'predecessor', ...graceJustOver } },
    'reuse, revokes the family',
  ],
  [
    'predecessor that arrived in grace and is decided after it',
    { facts: { relation: 'predecessor', ...graceJustOver }, circumstances: { arrivedAt: NOW - 1 } },
    'retried',
  ],
  [
    'current that arrived before its end',
    { facts: { expiresAt: NOW }, circumstances: { arrivedAt: NOW - 1 } },
    'expired',
  ],
  [
    'predecessor, strict',
    { facts: { relation: 'predecessor', ...justRotated }, graceMs: 0 },
    'reuse, revokes the family',
  ],
  [
    'predecessor, strict, clock behind the one that rotated',
    { facts: { relation: 'predecessor', rotatedAt: NOW + 1 }, graceMs: 0 },
    'reuse, revokes the family',
  ],
  ['predecessor, same attempt, grace over', { facts: { relation: 'predecessor', ...lastInstantOfAttempt } }, 'retried'],
  [
    'predecessor, same attempt, strict',
    { facts: { relation: 'predecessor', ...lastInstantOfAttempt }, graceMs: 0 },
    'retried',
  ],
  [
    'predecessor, same attempt, its window just over',
    { facts: { relation: 'predecessor', ...attemptJustOver } },
    'reuse, revokes the family',
  ],
  [
    'predecessor, same attempt that arrived in its window and is decided after it',
    { facts: { relation: 'predecessor', ...attemptJustOver }, circumstances: { arrivedAt: NOW - 1 } },
    'retried',
  ],
  ['predecessor, rotation never', { facts: { relation: 'predecessor', ...justRotated }, rotates: false }, 'retried'],
  ['record key missing, in the window', { facts: { relation: 'unverifiable', ...justRotated } }, 'fault'],
  ['record key missing, same attempt', { facts: { relation: 'unverifiable', ...lastInstantOfAttempt } }, 'fault'],
  [
    'record key missing, same attempt, its window just over',
    { facts: { relation: 'unverifiable', ...attemptJustOver } },
    'reuse, revokes the family',
  ],
  ['record key missing, grace over', { facts: { relation: 'unverifiable' } }, 'reuse, revokes the family'],
  [
    'predecessor, another attempt in the window',
    { facts: { relation: 'predecessor', attempt: 'other', ...justRotated } },
    'retried',
  ],
  [
    'predecessor, without the key of the rotation in the window',
    { facts: { relation: 'predecessor', attempt: 'without_key', ...justRotated } },
    'retried',
  ],
  [
    'predecessor, another attempt in the window, only the same attempt accepted',
    { facts: { relation: 'predecessor', attempt: 'other', ...justRotated }, grace: 'same-attempt' },
    'reuse, revokes the family',
  ],
  [
    'predecessor, without the key of the rotation in the window, only the same attempt accepted',
    { facts: { relation: 'predecessor', attempt: 'without_key', ...justRotated }, grace: 'same-attempt' },
    'reuse, revokes the family',
  ],
  [
    'predecessor, no keys in the window, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...justRotated }, grace: 'same-attempt' },
    'retried',
  ],
  [
    'predecessor, no keys, grace just over, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...graceJustOver }, grace: 'same-attempt' },
    'reuse, revokes the family',
  ],
  [
    'predecessor, same attempt, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...lastInstantOfAttempt }, grace: 'same-attempt' },
    'retried',
  ],
  [
    'predecessor, same attempt, its window just over, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...attemptJustOver }, grace: 'same-attempt' },
    'reuse, revokes the family',
  ],
  [
    'record key missing, another attempt in the window, only the same attempt accepted',
    { facts: { relation: 'unverifiable', attempt: 'other', ...justRotated }, grace: 'same-attempt' },
    'reuse, revokes the family',
  ],
  [
    'current, another attempt, only the same attempt accepted',
    { facts: { attempt: 'other', ...justRotated }, grace: 'same-attempt' },
    'rotated',
  ],
  [
    'one ahead, another attempt, only the same attempt accepted',
    { facts: { relation: 'one_ahead', attempt: 'other' }, grace: 'same-attempt' },
    'healed',
  ],
  ['one ahead', { facts: { relation: 'one_ahead' } }, 'healed'],
  ['one ahead, rotation never', { facts: { relation: 'one_ahead' }, rotates: false }, 'healed'],
  ['one ahead, grace over', { facts: { relation: 'one_ahead', ...graceJustOver } }, 'healed'],
  ['further ahead', { facts: { relation: 'far_ahead' } }, 'rollback, revokes the family'],
  ['legacy', { facts: { relation: 'legacy' } }, 'imported'],
  ['legacy, rotation never', { facts: { relation: 'legacy' }, rotates: false }, 'imported'],
  ['legacy, of another client', { facts: { relation: 'legacy', sameClient: false } }, 'mismatch'],
  ['legacy, past its end', { facts: { relation: 'legacy', expiresAt: NOW } }, 'expired'],
  [
    'legacy, scope too wide',
    { facts: { relation: 'legacy' }, circumstances: { requestRejection: 'invalid_scope' } },
    'invalid_scope',
  ],
  ['unrelated', { facts: { relation: 'unrelated' } }, 'reuse, revokes the family'],
  ['unrelated in the window', { facts: { relation: 'unrelated', ...justRotated } }, 'reuse, revokes the family'],
  ['unrelated, same attempt', { facts: { relation: 'unrelated', attempt: 'same' } }, 'reuse, revokes the family'],
]

describe('the decision table', () => {
  it.each(TABLE)('decides: %s', (_presented, given, expected) => {
    expect(describeDecision(decideCase(given))).toBe(expected)
  })
})

describe('decideByToken', () => {
  const token = { createdAtSeconds: 1000, bound: false, familyId: 'mine' as never }
  const unrestricted = { validAfter: null, hasConfirmation: false, familyId: undefined }

  it.each([
    ['without any restriction', token, unrestricted, null],
    ['created after validAfter', token, { ...unrestricted, validAfter: 1_000_000 }, null],
    ['created before validAfter', token, { ...unrestricted, validAfter: 1_000_001 }, 'superseded'],
    ['created in the second of validAfter', token, { ...unrestricted, validAfter: 1_000_999 }, 'superseded'],
    ['bound, with a proof', { ...token, bound: true }, { ...unrestricted, hasConfirmation: true }, null],
    ['bound, without a proof', { ...token, bound: true }, unrestricted, 'mismatch'],
    ['unbound, with a proof', token, { ...unrestricted, hasConfirmation: true }, null],
    ['of the expected family', token, { ...unrestricted, familyId: 'mine' }, null],
    ['of another family', token, { ...unrestricted, familyId: 'theirs' }, 'other_family'],
    [
      'of another family and superseded',
      token,
      { validAfter: 2_000_000, hasConfirmation: false, familyId: 'x' },
      'superseded',
    ],
    ['of another family without its proof', { ...token, bound: true }, { ...unrestricted, familyId: 'x' }, 'mismatch'],
  ] as const)('decides by the token alone: %s', (_name, presented, request, expected) => {
    const decision = decideByToken(presented, request)
    expect(decision && describeDecision(decision)).toBe(expected)
  })
})

describe('all combinations of facts', () => {
  const ATTEMPTS = ['same', 'other', 'without_key', 'unknown'] as const
  const RULES = (['any-attempt', 'same-attempt'] as const).flatMap((grace) =>
    [0, GRACE].flatMap((graceMs) => [false, true].map((rotates) => ({ grace, graceMs, rotates }))),
  )

  /** Yields every combination. The times cover each position relative to the limits. */
  function* allSituations() {
    const flags = [false, true]
    const times = [
      ...[NOW - SAME_ATTEMPT - 1, NOW - SAME_ATTEMPT, NOW - SAME_ATTEMPT + 1],
      ...[NOW - 2 * GRACE, NOW - GRACE - 1, NOW - GRACE, NOW - GRACE + 1, NOW - 1, NOW, NOW + 1],
    ]
    for (const superseded of flags)
      for (const requestRejection of REQUEST_REJECTIONS)
        for (const { grace, graceMs, rotates } of RULES) {
          const circumstances = { now: NOW, arrivedAt: NOW, requestRejection, superseded }
          const rules = { grace, graceMs, sameAttemptMs: SAME_ATTEMPT, rotates }
          yield { facts: null, circumstances, rules }
          for (const relation of RELATIONS)
            for (const sameClient of flags)
              for (const sameKey of flags)
                for (const attempt of ATTEMPTS)
                  for (const revoked of flags)
                    for (const rotatedAt of times)
                      for (const expiresAt of [NOW - 1, NOW, NOW + 1]) {
                        const facts: Facts = {
                          relation,
                          sameClient,
                          sameKey,
                          attempt,
                          revoked,
                          rotatedAt,
                          expiresAt,
                        }
                        yield { facts, circumstances, rules }
                      }
        }
  }

  type Situation = typeof allSituations extends () => Generator<infer Each> ? Each : never
  type Row = [
    name: string,
    matches: (situation: Situation) => boolean,
    describeDecision: (situation: Situation) => string,
  ]

  const inWindow = ({ facts, rules }: Situation) =>
    (facts!.attempt === 'same' && NOW - facts!.rotatedAt < rules.sameAttemptMs) ||
    (rules.graceMs > 0 && NOW - facts!.rotatedAt < rules.graceMs && isAccepted(facts!, rules))
  const isAccepted = ({ attempt }: Facts, { grace }: Situation['rules']) =>
    grace === 'any-attempt' || attempt === 'same' || attempt === 'unknown'
  const is = (...relations: Relation[]) => {
    return ({ facts }: Situation) => relations.includes(facts!.relation)
  }

  /** The table again, as a list of rules. The first rule that matches applies. */
  const ROWS: readonly Row[] = [
    ['superseded', ({ circumstances }) => circumstances.superseded, () => 'superseded'],
    ['no record', ({ facts }) => facts === null, () => 'unknown'],
    ['other client or key', ({ facts }) => !(facts!.sameClient && facts!.sameKey), () => 'mismatch'],
    ['revoked', ({ facts }) => facts!.revoked, () => 'revoked'],
    ['end reached', ({ facts }) => NOW >= facts!.expiresAt, () => 'expired'],
    [
      'request rejected',
      (situation) =>
        situation.circumstances.requestRejection !== null &&
        is('current', 'predecessor', 'unverifiable', 'one_ahead', 'legacy')(situation),
      ({ circumstances }) => circumstances.requestRejection!,
    ],
    ['current', is('current'), ({ rules }) => (rules.rotates ? 'rotated' : 'renewed')],
    ['retry', (situation) => is('predecessor')(situation) && inWindow(situation), () => 'retried'],
    ['key missing', (situation) => is('unverifiable')(situation) && inWindow(situation), () => 'fault'],
    ['one ahead', is('one_ahead'), () => 'healed'],
    ['far ahead', is('far_ahead'), () => 'rollback, revokes the family'],
    ['legacy', is('legacy'), () => 'imported'],
    ['anything else', () => true, () => 'reuse, revokes the family'],
  ]

  it('decides by the first matching rule for every combination of facts, and every rule is used', () => {
    const hits = new Map<string, number>()
    let situations = 0
    for (const situation of allSituations()) {
      const row = ROWS.find(([, matches]) => matches(situation))!
      const { facts, circumstances, rules } = situation
      const actual = describeDecision(decide(facts, circumstances, rules))
      if (actual !== row[2](situation)) expect({ situation, actual }).toEqual({ situation, actual: row[2](situation) })
      hits.set(row[0], (hits.get(row[0]) ?? 0) + 1)
      situations += 1
    }
    expect([...hits.keys()].sort()).toEqual(ROWS.map(([name]) => name).sort())
    expect(situations).toBe(96 * (1 + 7 * 32 * 30))
  })
})

describe('reservations', () => {
  const existing = { isOwn: false, sameAttempt: false, revoked: false, expiresAt: NOW + 1 }
  it.each<[string, Partial<typeof existing>, string]>([
    ['by the call that made the record', { isOwn: true }, 'issued'],
    ['by the call that made the record, although the family has expired', { isOwn: true, expiresAt: NOW }, 'issued'],
    ['by another call', {}, 'reuse, revokes the family'],
    ['by another call after the family has expired', { expiresAt: NOW }, 'reuse, revokes the family'],
    ['by the same attempt', { sameAttempt: true }, 'retried'],
    ['by the same attempt after the family has expired', { sameAttempt: true, expiresAt: NOW }, 'expired'],
    ['by another call after the family was revoked', { revoked: true }, 'revoked'],
    ['by the call that made the record after the family was revoked', { revoked: true, isOwn: true }, 'revoked'],
    ['by the same attempt after the family was revoked', { revoked: true, sameAttempt: true }, 'revoked'],
  ])('decides on a redeemed reservation: %s', (_name, facts, expected) => {
    expect(describeDecision(decideRedemption({ ...existing, ...facts }, NOW) as Decision)).toBe(expected)
  })

  const token = { createdAtSeconds: NOW / 1000, expiresAt: NOW + 1 }
  const request = { now: NOW, validAfter: null, matches: true }
  it.each<[string, object, string | null]>([
    ['before its expiry', {}, null],
    ['at its expiry', { now: NOW + 1 }, 'expired'],
    ['made before validAfter', { validAfter: NOW + 1 }, 'superseded'],
    ['made at validAfter', { validAfter: NOW }, null],
    ['of another client', { matches: false }, 'mismatch'],
    [
      'expired, of another client and made before validAfter',
      { now: NOW + 1, matches: false, validAfter: NOW + 1 },
      'expired',
    ],
  ])('decides on a reservation before any store call: %s', (_name, patch, expected) => {
    const rejected = decideByReservation(token, { ...request, ...patch })
    expect(rejected && describeDecision(rejected)).toBe(expected)
  })
})
