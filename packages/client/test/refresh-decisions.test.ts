import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Grant, TokenResult } from '../src/protocol/token-response.js'
import { SessionError } from '../src/platform/errors.js'
import { type LiveSession, type SessionRecord, type StoredSession, toSuccessor } from '../src/session/record.js'
import { decideBeforeRequest, reserve, type Generation, applyResponse } from '../src/session/refresh-decisions.js'

const NOW = 1_000_000

const live = (changes: Partial<LiveSession> = {}): LiveSession => ({
  state: 'live',
  sid: 'alice',
  generation: 4,
  generationId: 'attempt-4',
  refreshToken: 'rt4',
  accessToken: 'at4',
  expiresAt: NOW - 1,
  lifetimeMs: 900_000,
  scope: 'read',
  ...changes,
})
const next5 = live({
  generation: 5,
  generationId: 'attempt-5',
  refreshToken: 'rt5',
  accessToken: 'at5',
  expiresAt: NOW + 9,
})
const bob = live({
  sid: 'bob',
  generation: 0,
  generationId: 'bob-0',
  refreshToken: 'b0',
  accessToken: 'ab',
  expiresAt: NOW + 9,
})
const gone = { state: 'ended', reason: 'logout' } as const
const unknown = { state: 'unknown', generationId: 'probe' } as const
/** Ended in cookie mode. */
const left = { ...gone, generationId: 'left', endedSid: 'alice' }

type Stored = SessionRecord['session']
const stored = (session: Stored, rest: Partial<SessionRecord> = {}): SessionRecord => ({
  session,
  pause: null,
  revocations: [],
  ...rest,
})

describe('before a request: decideBeforeRequest', () => {
  test.each<[string, SessionRecord, object, (Generation | null)?]>([
    ['the stored generation is sent if its token does not work', stored(live()), live()],
    ['a generation that another tab stored is used', stored(next5), { type: 'synced', session: next5 }],
    [
      'a generation of another tab is refreshed if its token has expired',
      stored({ ...next5, expiresAt: NOW }),
      { ...next5, expiresAt: NOW },
    ],
    [
      'an access token without a lifetime is used until a 401',
      stored({ ...next5, expiresAt: null }),
      { type: 'synced' },
    ],
    ['a session that was signed in elsewhere is used', stored(bob), { type: 'synced', session: bob }],
    ['a page without a token uses the stored one', stored(next5), { type: 'synced' }, null],
    ['a session is refreshed if its access token is not stored', stored({ ...bob, accessToken: null }), { sid: 'bob' }],
    ['a session that was signed out elsewhere is signed out', stored(gone), { code: 'signed_out', reason: 'logout' }],
    ['an unknown session is refreshed', stored(unknown), unknown],
    [
      'CL-06 a stored pause applies to all tabs',
      stored(live(), { pause: { from: NOW - 1000, until: NOW + 2000 } }),
      { code: 'unavailable', until: NOW + 2000 },
    ],
    [
      'a stored generation is used during a pause',
      stored(next5, { pause: { from: NOW - 1000, until: NOW + 2000 } }),
      { type: 'synced' },
    ],
    [
      'a pause has no effect after the clock was set back to before it',
      stored(live(), { pause: { from: NOW + 1, until: NOW + 2000 } }),
      live(),
    ],
    ['a pause that has ended has no effect', stored(live(), { pause: { from: NOW - 9, until: NOW } }), live()],
  ])('%s', (_name, record, expected, stale = live()) => {
    expect(decideBeforeRequest(record, { stale, held: null, now: NOW })).toMatchObject(expected)
  })

  test('cookie: the token of a sign-in on this page while it waited for the lock is used', () => {
    const session = live({ accessToken: null })
    const need = { stale: null, held: session, now: NOW }
    expect(decideBeforeRequest(stored(session), need)).toEqual({ type: 'synced', session })
    expect(decideBeforeRequest(stored(session), { ...need, stale: session })).toBe(session)
    expect(decideBeforeRequest(stored(session), { ...need, held: bob })).toBe(session)
  })

  test('cookie: after a confirmed sign-out one refresh looks for another session', () => {
    const need = { stale: null, held: null, now: NOW, mayTryCookie: true }
    expect(decideBeforeRequest(stored(left), need)).toBe(left)
    expect(decideBeforeRequest(stored(left), { ...need, mayTryCookie: false })).toMatchObject({ code: 'signed_out' })
    const revocations = [{ refreshToken: null, sid: 'alice' }]
    expect(decideBeforeRequest(stored(left, { revocations }), need)).toMatchObject({
      code: 'signed_out',
      reason: 'logout',
    })
  })
})

describe('before a request is sent', () => {
  const DAY = 86_400_000
  const next = { key: 'new', now: NOW }
  const sentAt = (ms: number) => ({ request: { key: 'old', sentAt: ms } })
  test.each<[string, Stored, string | undefined, StoredSession?]>([
    ['the first attempt gets a new key', live(), 'new'],
    ['a repetition uses the stored key', live(sentAt(NOW - DAY + 1)), 'old'],
    ['a repetition uses the stored key after the clock was set back', live(sentAt(NOW + DAY)), 'old'],
    ['a key that was not sent for a day is replaced', live(sentAt(NOW - DAY)), 'new'],
    ['cookie: the first request of a page gets a key', unknown, 'new', unknown],
    ['nothing is sent for a session that was signed out in the meantime', gone, undefined],
    ['nothing is sent for a session that was replaced in the meantime', bob, undefined],
    [
      'cookie: nothing is sent for an ended session that was replaced by another ended one',
      left,
      undefined,
      { ...left, generationId: 'earlier' },
    ],
  ])('%s', (_name, session, key, base = live()) => {
    const pause = { from: 1, until: 2 }
    const reserved = reserve(stored(session, { pause }), base, next)
    const expected = key && stored({ ...session, request: { key, sentAt: NOW } }, { pause })
    expect(reserved).toEqual(expected ?? null)
  })
})

const granted = (changes: Partial<Grant> = {}): Grant => ({
  accessToken: 'at5',
  refreshToken: 'rt5',
  lifetimeMs: 900_000,
  expiresAt: NOW + 900_000,
  scope: null,
  sid: null,
  ...changes,
})
const refused = new SessionError('signed_out', 'rejected')
const otherSession = new SessionError('signed_out', 'replaced')
const afterResponse = (record: SessionRecord, answer: TokenResult, base: StoredSession = live()) =>
  applyResponse(record, base, { answer, now: NOW, generationId: 'fresh' })

describe('after a response: applyResponse', () => {
  test.each<[string, SessionRecord, TokenResult, object | null, StoredSession?]>([
    [
      'CL-01 the successor replaces the generation that was sent and gets a new id',
      stored(live()),
      granted(),
      stored(
        live({
          generation: 5,
          generationId: 'fresh',
          refreshToken: 'rt5',
          accessToken: 'at5',
          expiresAt: NOW + 900_000,
        }),
      ),
    ],
    [
      'CL-01 a response without a refresh token keeps the one that was sent',
      stored(live()),
      granted({ refreshToken: null }),
      { session: { refreshToken: 'rt4', generation: 5 } },
    ],
    [
      'CL-13 a response without a scope keeps the granted one',
      stored(live()),
      granted(),
      { session: { scope: 'read' } },
    ],
    [
      'a response without a lifetime is stored without an expiry',
      stored(live()),
      granted({ lifetimeMs: null, expiresAt: null }),
      { session: { expiresAt: null, lifetimeMs: null } },
    ],
    [
      'a success ends a pause and keeps the other members of the record',
      stored(live(), { pause: { from: 0, until: 1 }, revocations: [{ refreshToken: 'r', sid: null }] }),
      granted(),
      { pause: null, revocations: [{ refreshToken: 'r' }], session: { generation: 5 } },
    ],
    [
      'a response after a sign-out is ignored, and its refresh token is revoked',
      stored(gone),
      granted(),
      stored(gone, { revocations: [{ refreshToken: 'rt5', sid: null }] }),
    ],
    [
      'a response does not replace a later sign-in',
      stored(bob),
      granted(),
      stored(bob, { revocations: [{ refreshToken: 'rt5', sid: null }] }),
    ],
    ['a response after another tab stored the same successor is ignored', stored(next5), granted(), null],
    [
      'CL-05 a rejection of the stored generation ends the session',
      stored(live()),
      refused,
      stored({ state: 'ended', reason: 'rejected' }),
    ],
    ['CL-05 a rejection after another tab has refreshed is ignored', stored(next5), refused, null],
    ['a rejection after a sign-out is ignored', stored(gone), refused, null],
    [
      'a session without a refresh token ends with its access token',
      stored(live()),
      new SessionError('signed_out', 'not_renewable'),
      stored({ state: 'ended', reason: 'not_renewable' }),
    ],
    [
      'CL-06 an unavailable server changes nothing',
      stored(live()),
      new SessionError('unavailable', 'status 503'),
      null,
    ],
    [
      'CL-06 Retry-After is stored for all tabs',
      stored(live()),
      new SessionError('unavailable', 'status 429', NOW + 7000),
      stored(live(), { pause: { from: NOW, until: NOW + 7000 } }),
    ],
    [
      'Retry-After is stored for another session as well',
      stored(bob),
      new SessionError('unavailable', 'status 429', NOW + 7000),
      stored(bob, { pause: { from: NOW, until: NOW + 7000 } }),
    ],
    [
      'CL-06 a misconfigured client keeps its session',
      stored(live()),
      new SessionError('misconfigured', 'invalid_client'),
      null,
    ],
    ['CL-17 a session without its key is kept', stored(live()), new SessionError('key_lost', ''), null],
    [
      'cookie: a session that was found gets the sid of the server',
      stored(unknown),
      granted({ sid: 'family', refreshToken: null }),
      { session: { state: 'live', sid: 'family', generation: 0, refreshToken: null } },
      unknown,
    ],
    [
      'cookie: a session that the server started after a sign-out is stored',
      stored(left),
      granted({ sid: 'bob', refreshToken: null }),
      { session: { state: 'live', sid: 'bob', generation: 0 } },
      left,
    ],
    [
      'cookie: a session that was found after another sign-out is ignored',
      stored({ ...left, generationId: 'again' }),
      granted({ sid: 'bob', refreshToken: null }),
      null,
      left,
    ],
    [
      'cookie: a session that has ended is not restored, and the server is asked to end it',
      stored(left),
      granted({ sid: 'alice', refreshToken: null }),
      stored(left, { revocations: [{ refreshToken: null, sid: 'alice' }] }),
      left,
    ],
    [
      'cookie: the reason of a sign-out is kept if there is no other session',
      stored(left),
      refused,
      stored(left),
      left,
    ],
    [
      'cookie: no session was found',
      stored(unknown),
      refused,
      stored({ state: 'ended', reason: 'no_session' }),
      unknown,
    ],
    [
      'cookie: a cookie of another session makes the stored one unknown',
      stored(live()),
      otherSession,
      stored({ state: 'unknown', generationId: 'fresh' }),
    ],
    [
      'cookie: a cookie of another session is ignored if another session is stored by now',
      stored(bob),
      otherSession,
      null,
    ],
  ])('%s', (_name, record, answer, expected, base = live()) => {
    const revised = afterResponse(record, answer, base)
    if (expected === null) expect(revised).toBeNull()
    else expect(revised).toMatchObject(expected)
  })

  test('a session without a sid of the server gets a random one', () => {
    expect(toSuccessor(unknown, granted(), 'fresh')).toMatchObject({
      sid: 'probe',
      generation: 0,
      generationId: 'fresh',
    })
  })
})

describe('for all records and responses', () => {
  const sids: fc.Arbitrary<string> = fc.constantFrom('alice', 'bob')
  const instants = fc.integer({ min: NOW - 3, max: NOW + 3 })
  const lives: fc.Arbitrary<LiveSession> = fc
    .record({
      state: fc.constant('live' as const),
      sid: sids,
      generation: fc.integer({ min: 3, max: 5 }),
      refreshToken: fc.constantFrom('r1', 'r2', null),
      accessToken: fc.constantFrom('t1', 't2', null),
      expiresAt: fc.option(instants),
      lifetimeMs: fc.constantFrom(900_000, null),
      scope: fc.constant(null),
    })
    // Of one generation of one session only.
    .map((session) => ({ ...session, generationId: `${session.sid} ${String(session.generation)}` }))
  const unknowns = fc.record({ state: fc.constant('unknown' as const), generationId: fc.constantFrom('a', 'b') })
  const bases: fc.Arbitrary<StoredSession> = fc.oneof(lives, unknowns)
  const sessions: fc.Arbitrary<Stored> = fc.oneof(
    bases,
    fc.record({ state: fc.constant('ended' as const), reason: fc.constant('logout' as const) }),
  )
  const records: fc.Arbitrary<SessionRecord> = fc.record({
    session: sessions,
    pause: fc.option(fc.record({ from: instants, until: instants })),
    revocations: fc.constant([]),
  })
  const errors = fc
    .tuple(
      fc.constantFrom('signed_out', 'unavailable', 'misconfigured', 'key_lost'),
      fc.constantFrom('rejected', 'replaced', 'not_renewable', 'status 503'),
      fc.option(instants),
    )
    .map(([code, reason, until]) => new SessionError(code, reason, code === 'unavailable' ? until : null))
  const grants: fc.Arbitrary<Grant> = fc.record({
    accessToken: fc.constant('new'),
    refreshToken: fc.constantFrom('new', null),
    lifetimeMs: fc.constantFrom(900_000, null),
    expiresAt: fc.option(instants),
    scope: fc.constant(null),
    sid: fc.option(sids),
  })
  const answers: fc.Arbitrary<TokenResult> = fc.oneof(errors, grants)

  const always = (
    holds: (before: SessionRecord, base: StoredSession, answer: TokenResult, after: SessionRecord | null) => void,
  ) =>
    fc.assert(
      fc.property(records, bases, answers, (record, base, answer) =>
        holds(record, base, answer, afterResponse(record, answer, base)),
      ),
      { numRuns: 5000 },
    )

  test('a response replaces only the generation that was sent and restores no ended session', () => {
    always((before, base, _answer, after) => {
      if (after === null || after.session === before.session) return
      expect(before.session.state).not.toBe('ended')
      expect(before.session).toMatchObject({ generationId: base.generationId })
    })
  })

  test('only a rejection of the stored generation signs out', () => {
    always((before, base, answer, after) => {
      if (after?.session.state === before.session.state || after?.session.state === 'live') return
      if (after === null) return
      expect(answer).toMatchObject({ code: 'signed_out' })
      expect(before.session).toMatchObject({ generationId: base.generationId })
    })
  })

  test('every refresh token is in the session or in the pending revocations', () => {
    always((before, base, answer, after) => {
      if (answer instanceof SessionError || answer.refreshToken === null) return
      const isOurs = before.session.state === 'live' && base.state === 'live' && before.session.sid === base.sid
      if (after === null) expect(isOurs).toBe(true)
      else expect(JSON.stringify(after)).toContain('"refreshToken":"new"')
    })
  })

  test('a success stores the next generation with a new id', () => {
    always((before, _base, _answer, after) => {
      if (after?.session.state !== 'live' || after.session === before.session) return
      const generation = before.session.state === 'live' ? before.session.generation + 1 : 0
      expect(after.session).toMatchObject({ generation, generationId: 'fresh' })
    })
  })

  test('the session that is sent or used equals the stored one', () => {
    fc.assert(
      fc.property(records, fc.option(lives), (record, stale) => {
        const plan = decideBeforeRequest(record, { stale, held: null, now: NOW })
        if (plan instanceof SessionError) return
        expect('type' in plan ? plan.session : plan).toBe(record.session)
        if ('type' in plan) expect(plan.session.generationId).not.toBe(stale?.generationId)
      }),
    )
  })
})
