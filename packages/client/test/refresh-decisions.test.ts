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

describe('before anybody is asked', () => {
  test.each<[string, SessionRecord, object, (Generation | null)?]>([
    ['what is stored is still what was of no use: it is sent', stored(live()), live()],
    ['somebody else has refreshed: adopted', stored(next5), { type: 'synced', session: next5 }],
    [
      'somebody else has refreshed so long ago that it has ended: refreshed again',
      stored({ ...next5, expiresAt: NOW }),
      { ...next5, expiresAt: NOW },
    ],
    [
      'an access token of which nobody knows how long it lives works until a 401 says otherwise',
      stored({ ...next5, expiresAt: null }),
      { type: 'synced' },
    ],
    ['somebody else has signed in: adopted', stored(bob), { type: 'synced', session: bob }],
    ['this page has no token yet: adopted', stored(next5), { type: 'synced' }, null],
    [
      'where access tokens are not stored there is nothing to adopt',
      stored({ ...bob, accessToken: null }),
      { sid: 'bob' },
    ],
    ['signed out elsewhere', stored(gone), { code: 'signed_out', reason: 'logout' }],
    ['nothing is known: one refresh tells', stored(unknown), unknown],
    [
      'CL-06 somebody else was told to wait: so do we',
      stored(live(), { pause: { from: NOW - 1000, until: NOW + 2000 } }),
      { code: 'unavailable', until: NOW + 2000 },
    ],
    [
      '… though what somebody has refreshed meanwhile is adopted',
      stored(next5, { pause: { from: NOW - 1000, until: NOW + 2000 } }),
      { type: 'synced' },
    ],
    [
      'a pause from before the clock was set back counts for nothing',
      stored(live(), { pause: { from: NOW + 1, until: NOW + 2000 } }),
      live(),
    ],
    ['a pause that is over', stored(live(), { pause: { from: NOW - 9, until: NOW } }), live()],
  ])('%s', (_name, record, expected, stale = live()) => {
    expect(decideBeforeRequest(record, { stale, held: null, now: NOW })).toMatchObject(expected)
  })

  test('cookie: somebody signed in while we waited for the lock, and this page has the token of that', () => {
    const session = live({ accessToken: null })
    const need = { stale: null, held: session, now: NOW }
    expect(decideBeforeRequest(stored(session), need)).toEqual({ type: 'synced', session })
    expect(decideBeforeRequest(stored(session), { ...need, stale: session })).toBe(session)
    expect(decideBeforeRequest(stored(session), { ...need, held: bob })).toBe(session)
  })

  test('cookie: after a session has ended the cookie is asked for another one, once the server has confirmed the end', () => {
    const need = { stale: null, held: null, now: NOW, mayAskCookie: true }
    expect(decideBeforeRequest(stored(left), need)).toBe(left)
    expect(decideBeforeRequest(stored(left), { ...need, mayAskCookie: false })).toMatchObject({ code: 'signed_out' })
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
    ['the first try gets a key of its own', live(), 'new'],
    ['a repetition sends the key of the try before it', live(sentAt(NOW - DAY + 1)), 'old'],
    ['also where the clock was set back meanwhile', live(sentAt(NOW + DAY)), 'old'],
    ['a key that was not sent for a day is dropped', live(sentAt(NOW - DAY)), 'new'],
    ['cookie: the first request of a page gets a key as well', unknown, 'new', unknown],
    ['nothing is sent for a session that was signed out meanwhile', gone, undefined],
    ['nothing is sent for a session that was replaced meanwhile', bob, undefined],
    [
      'cookie: nothing is sent for a sign-out that came after another one',
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
const refused = new SessionError('signed_out', 'refused')
const otherSession = new SessionError('signed_out', 'replaced')
const afterResponse = (record: SessionRecord, answer: TokenResult, base: StoredSession = live()) =>
  applyResponse(record, base, { answer, now: NOW, generationId: 'fresh' })

describe('what an answer leads to', () => {
  test.each<[string, SessionRecord, TokenResult, object | null, StoredSession?]>([
    [
      'CL-01 the successor replaces what was sent, with an generationId of its own',
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
      'CL-01 an answer without a refresh token keeps the one that was sent',
      stored(live()),
      granted({ refreshToken: null }),
      { session: { refreshToken: 'rt4', generation: 5 } },
    ],
    [
      'CL-13 a scope that is not mentioned is the one that was granted',
      stored(live()),
      granted(),
      { session: { scope: 'read' } },
    ],
    [
      'an answer that does not say how long: until a 401 says otherwise',
      stored(live()),
      granted({ lifetimeMs: null, expiresAt: null }),
      { session: { expiresAt: null, lifetimeMs: null } },
    ],
    [
      'a success ends a pause, and what else is stored stays',
      stored(live(), { pause: { from: 0, until: 1 }, revocations: [{ refreshToken: 'r', sid: null }] }),
      granted(),
      { pause: null, revocations: [{ refreshToken: 'r' }], session: { generation: 5 } },
    ],
    [
      'a sign-out during the refresh: the answer is thrown away, and its token is to be ended',
      stored(gone),
      granted(),
      stored(gone, { revocations: [{ refreshToken: 'rt5', sid: null }] }),
    ],
    [
      'another sign-in during the refresh: the answer never undoes it',
      stored(bob),
      granted(),
      stored(bob, { revocations: [{ refreshToken: 'rt5', sid: null }] }),
    ],
    ['another tab with the same generationId was first: it has what we have', stored(next5), granted(), null],
    [
      'CL-05 what was refused is still stored: the session is over, for everybody',
      stored(live()),
      refused,
      stored({ state: 'ended', reason: 'refused' }),
    ],
    ['CL-05 a refusal that comes after the commit of the winner says nothing', stored(next5), refused, null],
    ['a refusal that comes after a sign-out says nothing', stored(gone), refused, null],
    [
      'there is no refresh token: the session ends with its access token',
      stored(live()),
      new SessionError('signed_out', 'not_renewable'),
      stored({ state: 'ended', reason: 'not_renewable' }),
    ],
    ['CL-06 later: nothing', stored(live()), new SessionError('unavailable', 'status 503'), null],
    [
      'CL-06 Retry-After: stored, so that nobody asks before',
      stored(live()),
      new SessionError('unavailable', 'status 429', NOW + 7000),
      stored(live(), { pause: { from: NOW, until: NOW + 7000 } }),
    ],
    [
      '… whoever is signed in by now',
      stored(bob),
      new SessionError('unavailable', 'status 429', NOW + 7000),
      stored(bob, { pause: { from: NOW, until: NOW + 7000 } }),
    ],
    [
      'CL-06 a server that will not serve us like this: the session stays',
      stored(live()),
      new SessionError('misconfigured', 'invalid_client'),
      null,
    ],
    ['CL-17 the key of the session is gone: the session stays', stored(live()), new SessionError('key_lost', ''), null],
    [
      'cookie: there is a session: its name is the server’s',
      stored(unknown),
      granted({ sid: 'family', refreshToken: null }),
      { session: { state: 'live', sid: 'family', generation: 0, refreshToken: null } },
      unknown,
    ],
    [
      'cookie: after an end, the server has signed in',
      stored(left),
      granted({ sid: 'bob', refreshToken: null }),
      { session: { state: 'live', sid: 'bob', generation: 0 } },
      left,
    ],
    [
      'cookie: … it was signed out once more meanwhile',
      stored({ ...left, generationId: 'again' }),
      granted({ sid: 'bob', refreshToken: null }),
      null,
      left,
    ],
    [
      'cookie: … the cookie is still of the session that has ended: it does not come back, and the server is to end it',
      stored(left),
      granted({ sid: 'alice', refreshToken: null }),
      stored(left, { revocations: [{ refreshToken: null, sid: 'alice' }] }),
      left,
    ],
    ['cookie: … there is none: the reason stays', stored(left), refused, stored(left), left],
    ['cookie: … there is none', stored(unknown), refused, stored({ state: 'ended', reason: 'no_session' }), unknown],
    [
      'cookie: it is of another session that left no marker: whose, one who believes in nobody may find out',
      stored(live()),
      otherSession,
      stored({ state: 'unknown', generationId: 'fresh' }),
    ],
    ['cookie: … and where the marker is of another one by now, that is right', stored(bob), otherSession, null],
  ])('%s', (_name, record, answer, expected, base = live()) => {
    const revised = afterResponse(record, answer, base)
    if (expected === null) expect(revised).toBeNull()
    else expect(revised).toMatchObject(expected)
  })

  test('a server that names no session: it gets a name that nobody can guess', () => {
    expect(toSuccessor(unknown, granted(), 'fresh')).toMatchObject({
      sid: 'probe',
      generation: 0,
      generationId: 'fresh',
    })
  })
})

describe('whatever happens', () => {
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
      fc.constantFrom('refused', 'replaced', 'not_renewable', 'status 503'),
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

  test('only what was sent is ever replaced; nothing brings back what has ended', () => {
    always((before, base, _answer, after) => {
      if (after === null || after.session === before.session) return
      expect(before.session.state).not.toBe('ended')
      expect(before.session).toMatchObject({ generationId: base.generationId })
    })
  })

  test('nobody is signed out but by a verdict on what is still stored', () => {
    always((before, base, answer, after) => {
      if (after?.session.state === before.session.state || after?.session.state === 'live') return
      if (after === null) return
      expect(answer).toMatchObject({ code: 'signed_out' })
      expect(before.session).toMatchObject({ generationId: base.generationId })
    })
  })

  test('a refresh token is in the session, or to be ended, but never forgotten', () => {
    always((before, base, answer, after) => {
      if (answer instanceof SessionError || answer.refreshToken === null) return
      const isOurs = before.session.state === 'live' && base.state === 'live' && before.session.sid === base.sid
      if (after === null) expect(isOurs).toBe(true)
      else expect(JSON.stringify(after)).toContain('"refreshToken":"new"')
    })
  })

  test('a success is the next generation, and each has an generationId of its own', () => {
    always((before, _base, _answer, after) => {
      if (after?.session.state !== 'live' || after.session === before.session) return
      const generation = before.session.state === 'live' ? before.session.generation + 1 : 0
      expect(after.session).toMatchObject({ generation, generationId: 'fresh' })
    })
  })

  test('what is sent or adopted is what is stored', () => {
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
