import { describe, expect, it } from 'vitest'
import {
  admit,
  admitRedemption,
  type Circumstances,
  decide,
  decideRedemption,
  type Decision,
  type Facts,
  type Objection,
} from '../src/decide.js'
import type { Grace } from '../src/policy.js'
import type { Relation } from '../src/token.js'

const NOW = 1_000_000
const GRACE = 30_000
const SAME_ATTEMPT = 5 * GRACE
const RELATIONS: readonly Relation[] = [
  'current',
  'predecessor',
  'unverifiable',
  'one_ahead',
  'far_ahead',
  'foreign',
  'stranger',
]
const OBJECTIONS: readonly (Objection | null)[] = [
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

/** A live family whose current token its own holder presents, unless the case says otherwise. */
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
    { now: NOW, arrivedAt: NOW, objection: null, superseded: false, ...circumstances },
    { grace, graceMs, sameAttemptMs: SAME_ATTEMPT, rotates },
  )
}

/** A decision in one word. */
function verdict(decision: Decision): string {
  switch (decision.kind) {
    case 'mint':
      return decision.outcome
    case 'refuse':
      return decision.reason
    case 'decline':
      return `declined: ${decision.objection}`
    case 'end':
      return `${decision.reason}, ends as ${decision.revocation}`
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
  ['other client with an old token', { facts: { sameClient: false, relation: 'stranger' } }, 'mismatch'],
  ['other key with an old token', { facts: { sameKey: false, relation: 'stranger' } }, 'mismatch'],
  ['other client of a revoked family', { facts: { sameClient: false, revoked: true } }, 'mismatch'],
  ['revoked', { facts: { revoked: true } }, 'revoked'],
  ['revoked and expired', { facts: { revoked: true, expiresAt: NOW } }, 'revoked'],
  ['an old token of a revoked family', { facts: { revoked: true, relation: 'stranger' } }, 'revoked'],
  ['a retry in a revoked family', { facts: { revoked: true, relation: 'predecessor', ...justRotated } }, 'revoked'],
  ['a lost rotation of a revoked family', { facts: { revoked: true, relation: 'one_ahead' } }, 'revoked'],
  ['at the very end', { facts: { expiresAt: NOW } }, 'expired'],
  ['after the end', { facts: { expiresAt: NOW - 1 } }, 'expired'],
  ['the instant before the end', { facts: { expiresAt: NOW + 1 } }, 'rotated'],
  ['an old token of an expired family', { facts: { expiresAt: NOW, relation: 'stranger' } }, 'expired'],
  ['current, scope too wide', { circumstances: { objection: 'invalid_scope' } }, 'declined: invalid_scope'],
  ['current, target outside', { circumstances: { objection: 'invalid_target' } }, 'declined: invalid_target'],
  ['current, subject inactive', { circumstances: { objection: 'inactive' } }, 'declined: inactive'],
  [
    'predecessor in its window, scope too wide',
    { facts: { relation: 'predecessor', ...justRotated }, circumstances: { objection: 'invalid_scope' } },
    'declined: invalid_scope',
  ],
  [
    'predecessor out of its window, scope too wide',
    { facts: { relation: 'predecessor' }, circumstances: { objection: 'invalid_scope' } },
    'declined: invalid_scope',
  ],
  [
    'what may be the predecessor, scope too wide',
    { facts: { relation: 'unverifiable' }, circumstances: { objection: 'invalid_scope' } },
    'declined: invalid_scope',
  ],
  [
    'one ahead, scope too wide',
    { facts: { relation: 'one_ahead' }, circumstances: { objection: 'invalid_scope' } },
    'declined: invalid_scope',
  ],
  [
    'stranger, scope too wide',
    { facts: { relation: 'stranger' }, circumstances: { objection: 'invalid_scope' } },
    'reuse, ends as reuse',
  ],
  [
    'far ahead, scope too wide',
    { facts: { relation: 'far_ahead' }, circumstances: { objection: 'invalid_scope' } },
    'lost, ends as rollback',
  ],
  ['current', {}, 'rotated'],
  ['current, just rotated', { facts: justRotated }, 'rotated'],
  ['current, rotation never', { rotates: false }, 'renewed'],
  ['predecessor, just rotated', { facts: { relation: 'predecessor', ...justRotated } }, 'retried'],
  ['predecessor, last instant of grace', { facts: { relation: 'predecessor', ...lastInstantOfGrace } }, 'retried'],
  ['predecessor, grace just over', { facts: { relation: 'predecessor', ...graceJustOver } }, 'reuse, ends as reuse'],
  [
    'predecessor that arrived in grace and is judged after it',
    { facts: { relation: 'predecessor', ...graceJustOver }, circumstances: { arrivedAt: NOW - 1 } },
    'retried',
  ],
  [
    'current that arrived before its end',
    { facts: { expiresAt: NOW }, circumstances: { arrivedAt: NOW - 1 } },
    'expired',
  ],
  ['predecessor, strict', { facts: { relation: 'predecessor', ...justRotated }, graceMs: 0 }, 'reuse, ends as reuse'],
  [
    'predecessor, strict, clock behind the one that rotated',
    { facts: { relation: 'predecessor', rotatedAt: NOW + 1 }, graceMs: 0 },
    'reuse, ends as reuse',
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
    'reuse, ends as reuse',
  ],
  [
    'predecessor, same attempt that arrived in its window and is judged after it',
    { facts: { relation: 'predecessor', ...attemptJustOver }, circumstances: { arrivedAt: NOW - 1 } },
    'retried',
  ],
  ['predecessor, rotation never', { facts: { relation: 'predecessor', ...justRotated }, rotates: false }, 'retried'],
  ['record key missing, in the window', { facts: { relation: 'unverifiable', ...justRotated } }, 'fault'],
  ['record key missing, same attempt', { facts: { relation: 'unverifiable', ...lastInstantOfAttempt } }, 'fault'],
  [
    'record key missing, same attempt, its window just over',
    { facts: { relation: 'unverifiable', ...attemptJustOver } },
    'reuse, ends as reuse',
  ],
  ['record key missing, grace over', { facts: { relation: 'unverifiable' } }, 'reuse, ends as reuse'],
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
    'reuse, ends as reuse',
  ],
  [
    'predecessor, without the key of the rotation in the window, only the same attempt accepted',
    { facts: { relation: 'predecessor', attempt: 'without_key', ...justRotated }, grace: 'same-attempt' },
    'reuse, ends as reuse',
  ],
  [
    'predecessor, no keys in the window, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...justRotated }, grace: 'same-attempt' },
    'retried',
  ],
  [
    'predecessor, no keys, grace just over, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...graceJustOver }, grace: 'same-attempt' },
    'reuse, ends as reuse',
  ],
  [
    'predecessor, same attempt, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...lastInstantOfAttempt }, grace: 'same-attempt' },
    'retried',
  ],
  [
    'predecessor, same attempt, its window just over, only the same attempt accepted',
    { facts: { relation: 'predecessor', ...attemptJustOver }, grace: 'same-attempt' },
    'reuse, ends as reuse',
  ],
  [
    'record key missing, another attempt in the window, only the same attempt accepted',
    { facts: { relation: 'unverifiable', attempt: 'other', ...justRotated }, grace: 'same-attempt' },
    'reuse, ends as reuse',
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
  ['further ahead', { facts: { relation: 'far_ahead' } }, 'lost, ends as rollback'],
  ['foreign', { facts: { relation: 'foreign' } }, 'imported'],
  ['foreign, rotation never', { facts: { relation: 'foreign' }, rotates: false }, 'imported'],
  ['foreign, of another client', { facts: { relation: 'foreign', sameClient: false } }, 'mismatch'],
  ['foreign, past its end', { facts: { relation: 'foreign', expiresAt: NOW } }, 'expired'],
  [
    'foreign, scope too wide',
    { facts: { relation: 'foreign' }, circumstances: { objection: 'invalid_scope' } },
    'declined: invalid_scope',
  ],
  ['stranger', { facts: { relation: 'stranger' } }, 'reuse, ends as reuse'],
  ['stranger in the window', { facts: { relation: 'stranger', ...justRotated } }, 'reuse, ends as reuse'],
  ['stranger, same attempt', { facts: { relation: 'stranger', attempt: 'same' } }, 'reuse, ends as reuse'],
]

describe('the decision table', () => {
  it.each(TABLE)('%s', (_presented, given, expected) => {
    expect(verdict(decideCase(given))).toBe(expected)
  })
})

describe('what the token alone decides', () => {
  const token = { createdAtSeconds: 1000, bound: false, familyId: 'mine' as never }
  const nothing = { validAfter: null, confirmation: null, familyId: undefined }

  it.each([
    ['nothing is said against it', token, nothing, null],
    ['created after validAfter', token, { ...nothing, validAfter: 1_000_000 }, null],
    ['created before validAfter', token, { ...nothing, validAfter: 1_000_001 }, 'superseded'],
    ['created in the second of validAfter', token, { ...nothing, validAfter: 1_000_999 }, 'superseded'],
    ['bound, with a proof', { ...token, bound: true }, { ...nothing, confirmation: { jkt: 'a' } }, null],
    ['bound, without a proof', { ...token, bound: true }, nothing, 'mismatch'],
    ['unbound, with a proof', token, { ...nothing, confirmation: { jkt: 'a' } }, null],
    ['of the expected family', token, { ...nothing, familyId: 'mine' }, null],
    ['of another family', token, { ...nothing, familyId: 'theirs' }, 'declined: other_family'],
    [
      'of another family and superseded',
      token,
      { validAfter: 2_000_000, confirmation: null, familyId: 'x' },
      'superseded',
    ],
    ['of another family without its proof', { ...token, bound: true }, { ...nothing, familyId: 'x' }, 'mismatch'],
  ] as const)('%s', (_name, presented, request, expected) => {
    const decision = admit(presented, request)
    expect(decision && verdict(decision)).toBe(expected)
  })
})

describe('over the whole space of facts', () => {
  const ATTEMPTS = ['same', 'other', 'without_key', 'unknown'] as const
  const RULES = (['any-attempt', 'same-attempt'] as const).flatMap((grace) =>
    [0, GRACE].flatMap((graceMs) => [false, true].map((rotates) => ({ grace, graceMs, rotates }))),
  )

  /** Every combination; times stand for every place relative to the bounds. */
  function* everything() {
    const flags = [false, true]
    const times = [
      ...[NOW - SAME_ATTEMPT - 1, NOW - SAME_ATTEMPT, NOW - SAME_ATTEMPT + 1],
      ...[NOW - 2 * GRACE, NOW - GRACE - 1, NOW - GRACE, NOW - GRACE + 1, NOW - 1, NOW, NOW + 1],
    ]
    for (const superseded of flags)
      for (const objection of OBJECTIONS)
        for (const { grace, graceMs, rotates } of RULES) {
          const circumstances = { now: NOW, arrivedAt: NOW, objection, superseded }
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

  type Situation = typeof everything extends () => Generator<infer Each> ? Each : never
  type Row = [name: string, matches: (situation: Situation) => boolean, verdict: (situation: Situation) => string]

  const inWindow = ({ facts, rules }: Situation) =>
    (facts!.attempt === 'same' && NOW - facts!.rotatedAt < rules.sameAttemptMs) ||
    (rules.graceMs > 0 && NOW - facts!.rotatedAt < rules.graceMs && isAccepted(facts!, rules))
  const isAccepted = ({ attempt }: Facts, { grace }: Situation['rules']) =>
    grace === 'any-attempt' || attempt === 'same' || attempt === 'unknown'
  const is = (...relations: Relation[]) => {
    return ({ facts }: Situation) => relations.includes(facts!.relation)
  }

  /** The table once more, written as a list of rules of which the first that matches wins. */
  const ROWS: readonly Row[] = [
    ['superseded', ({ circumstances }) => circumstances.superseded, () => 'superseded'],
    ['no record', ({ facts }) => facts === null, () => 'unknown'],
    ['other client or key', ({ facts }) => !(facts!.sameClient && facts!.sameKey), () => 'mismatch'],
    ['revoked', ({ facts }) => facts!.revoked, () => 'revoked'],
    ['end reached', ({ facts }) => NOW >= facts!.expiresAt, () => 'expired'],
    [
      'objection',
      (situation) =>
        situation.circumstances.objection !== null &&
        is('current', 'predecessor', 'unverifiable', 'one_ahead', 'foreign')(situation),
      ({ circumstances }) => `declined: ${circumstances.objection!}`,
    ],
    ['current', is('current'), ({ rules }) => (rules.rotates ? 'rotated' : 'renewed')],
    ['retry', (situation) => is('predecessor')(situation) && inWindow(situation), () => 'retried'],
    ['key missing', (situation) => is('unverifiable')(situation) && inWindow(situation), () => 'fault'],
    ['one ahead', is('one_ahead'), () => 'healed'],
    ['far ahead', is('far_ahead'), () => 'lost, ends as rollback'],
    ['foreign', is('foreign'), () => 'imported'],
    ['anything else', () => true, () => 'reuse, ends as reuse'],
  ]

  it('the first matching row of the table decides, every row has its case, and nothing throws', () => {
    const hits = new Map<string, number>()
    let situations = 0
    for (const situation of everything()) {
      const row = ROWS.find(([, matches]) => matches(situation))!
      const { facts, circumstances, rules } = situation
      const actual = verdict(decide(facts, circumstances, rules))
      if (actual !== row[2](situation)) expect({ situation, actual }).toEqual({ situation, actual: row[2](situation) })
      hits.set(row[0], (hits.get(row[0]) ?? 0) + 1)
      situations += 1
    }
    expect([...hits.keys()].sort()).toEqual(ROWS.map(([name]) => name).sort())
    expect(situations).toBe(96 * (1 + 7 * 32 * 30))
  })
})

describe('a reservation', () => {
  const standing = { isOurs: false, sameAttempt: false, revoked: false, expiresAt: NOW + 1 }
  it.each<[string, Partial<typeof standing>, string]>([
    ['is redeemed by the call that made the record', { isOurs: true }, 'issued'],
    ['also where that family is over at once', { isOurs: true, expiresAt: NOW }, 'issued'],
    ['redeemed by another call is reuse', {}, 'reuse, ends as reuse'],
    ['also where its family has expired', { expiresAt: NOW }, 'reuse, ends as reuse'],
    ['redeemed by the same attempt is retried', { sameAttempt: true }, 'retried'],
    ['but not once its family has expired', { sameAttempt: true, expiresAt: NOW }, 'expired'],
    ['whose family is revoked is refused', { revoked: true }, 'revoked'],
    ['also to the call that made it', { revoked: true, isOurs: true }, 'revoked'],
    ['and to the same attempt', { revoked: true, sameAttempt: true }, 'revoked'],
  ])('%s', (_name, facts, expected) => {
    expect(verdict(decideRedemption({ ...standing, ...facts }, NOW) as Decision)).toBe(expected)
  })

  const token = { createdAtSeconds: NOW / 1000, expiresAt: NOW + 1 }
  const request = { now: NOW, validAfter: null, matches: true }
  it.each<[string, object, string | null]>([
    ['passes', {}, null],
    ['is over at its very end', { now: NOW + 1 }, 'expired'],
    ['is refused from before validAfter', { validAfter: NOW + 1 }, 'superseded'],
    ['passes from validAfter on', { validAfter: NOW }, null],
    ['is refused to whom it does not belong', { matches: false }, 'mismatch'],
    ['is expired first, whoever comes', { now: NOW + 1, matches: false, validAfter: NOW + 1 }, 'expired'],
  ])('before the store is asked: %s', (_name, patch, expected) => {
    const denial = admitRedemption(token, { ...request, ...patch })
    expect(denial && verdict(denial)).toBe(expected)
  })
})
