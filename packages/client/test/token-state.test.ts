import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toAccessToken } from '../src/session/access-token.js'
import { SessionError } from '../src/platform/errors.js'
import type { LiveSession, SessionRecord } from '../src/session/record.js'
import {
  createState,
  type Effect,
  findObstacle,
  findUsable,
  mayTryCookie,
  needsRefresh,
  EARLY_REFRESH_PAUSE_MS,
  reduce,
  type TokenEvent,
  type TokenState,
} from '../src/session/token-state.js'

const NOW = 1_000_000
const ELAPSED = 5000
const LIFETIME = 900_000
const facts = { now: NOW, elapsed: ELAPSED, fraction: 0 }

const live = (changes: Partial<LiveSession> = {}): LiveSession => ({
  state: 'live',
  sid: 'alice',
  generation: 4,
  generationId: 'attempt-4',
  refreshToken: 'rt4',
  accessToken: 'at4',
  expiresAt: NOW + LIFETIME,
  lifetimeMs: LIFETIME,
  scope: 'read',
  ...changes,
})
const next5 = live({ generation: 5, generationId: 'attempt-5', accessToken: 'at5' })
const bob = live({ sid: 'bob', generation: 0, generationId: 'bob-0', accessToken: 'ab' })
const ended = { state: 'ended', reason: 'rejected' } as const

const initial = createState(false)
const cookieInitial = createState(true)
const after = (state: TokenState, session: LiveSession): TokenState => ({
  ...state,
  snapshot: { status: 'signedIn', sid: session.sid, scope: session.scope, reason: null },
  token: toAccessToken(session, facts, 0),
})
const alice = after(initial, live())
const cookieAlice = after(cookieInitial, live())
const signedOut = reduce(alice, { type: 'signedOut' }, facts).state

const stored = (session: SessionRecord['session']): SessionRecord => ({ session, revocations: [] })
const read = (record: SessionRecord | null | undefined, rest: { epoch?: number; isRejected?: boolean } = {}) =>
  ({ type: 'read', record, epoch: 0, isRejected: false, ...rest }) as const
const refreshed = (session: LiveSession, epoch = 0) =>
  ({ type: 'refreshed', result: { type: 'refreshed', session }, epoch }) as const
const adopted = (session: LiveSession, epoch = 0) =>
  ({ type: 'refreshed', result: { type: 'synced', session }, epoch }) as const
const failed = (error: SessionError) => ({ type: 'refreshed', result: error, epoch: 0 }) as const

type Name = Extract<Effect, { readonly type: 'emit' }>['name']
const shows = (name: Name, { sid, generation, expiresAt }: LiveSession, replaced = false): Effect => ({
  type: 'emit',
  name,
  event: { sid, generation, expiresAt, replaced },
})
const tells = (reason: 'logout' | 'rejected' | 'cleared' | 'no_session' | 'replaced'): Effect => ({
  type: 'emit',
  name: 'signedOut',
  event: { reason },
})

describe('the state of a page', () => {
  test.each<[string, TokenState, TokenEvent, Partial<TokenState> | 'unchanged', readonly Effect[]]>([
    [
      'a sign-in replaces the session and starts a new epoch',
      alice,
      { type: 'signedIn', session: bob },
      { ...after(initial, bob), epoch: 1 },
      [shows('signedIn', bob, true)],
    ],
    [
      'a sign-in ends the pause after a failed refresh',
      { ...initial, pausedUntil: ELAPSED + 1 },
      { type: 'signedIn', session: bob },
      { ...after(initial, bob), epoch: 1, pausedUntil: 0 },
      [shows('signedIn', bob)],
    ],
    [
      'a sign-out removes the token and starts a new epoch',
      alice,
      { type: 'signedOut' },
      { token: null, epoch: 1, snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'logout' } },
      [tells('logout')],
    ],
    ['a second sign-out emits no event', signedOut, { type: 'signedOut' }, { ...signedOut, epoch: 2 }, []],
    [
      'a session that another tab stored is taken over',
      initial,
      read(stored(live())),
      after(initial, live()),
      [shows('synced', live())],
    ],
    [
      'a newer generation that another tab stored is taken over',
      alice,
      read(stored(next5)),
      after(initial, next5),
      [shows('synced', next5)],
    ],
    [
      'the session of another user replaces this one',
      alice,
      read(stored(bob)),
      after(initial, bob),
      [shows('synced', bob, true)],
    ],
    ['a stored session that is known changes nothing', alice, read(stored(live())), 'unchanged', []],
    ['an older generation changes nothing', after(initial, next5), read(stored(live())), 'unchanged', []],
    [
      'a newer generation without its access token changes nothing',
      cookieAlice,
      read(stored({ ...next5, accessToken: null })),
      'unchanged',
      [],
    ],
    [
      'a read that started before a sign-in changes nothing',
      { ...alice, epoch: 1 },
      read(stored(bob)),
      'unchanged',
      [],
    ],
    ['a read that started before a sign-out changes nothing', signedOut, read(stored(live())), 'unchanged', []],
    [
      'a stored end signs the page out with its reason',
      alice,
      read(stored(ended)),
      { token: null, snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'rejected' } },
      [tells('rejected')],
    ],
    [
      'an empty storage means that no user has signed in',
      initial,
      read(null),
      { snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'no_session' } },
      [tells('no_session')],
    ],
    [
      'a storage that was emptied signs the page out',
      alice,
      read(null),
      { token: null, snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'cleared' } },
      [tells('cleared')],
    ],
    ['a storage that cannot be read changes nothing', alice, read(undefined), 'unchanged', []],
    ['cookie: an empty storage changes nothing', cookieAlice, read(null), 'unchanged', []],
    [
      'cookie: a new page ignores a stored end, for the server has to be asked',
      cookieInitial,
      read(stored(ended)),
      'unchanged',
      [],
    ],
    [
      'cookie: a new page applies a stored end once the server has rejected its refresh',
      cookieInitial,
      read(stored(ended), { isRejected: true }),
      { snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'rejected' } },
      [tells('rejected')],
    ],
    [
      'cookie: a page that is signed in applies a stored end',
      cookieAlice,
      read(stored(ended)),
      { token: null, snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'rejected' } },
      [tells('rejected')],
    ],
    [
      'cookie: a page is signed out if the cookie is of another session than the one it shows',
      cookieAlice,
      read(stored({ state: 'unknown', generationId: 'a', replaced: 'alice' })),
      { token: null, snapshot: { status: 'signedOut', sid: null, scope: null, reason: 'replaced' } },
      [tells('replaced')],
    ],
    [
      'cookie: a page that shows another session than the replaced one is not signed out',
      cookieAlice,
      read(stored({ state: 'unknown', generationId: 'a', replaced: 'bob' })),
      'unchanged',
      [],
    ],
    ['a refresh of this page is shown', alice, refreshed(next5), after(initial, next5), [shows('refreshed', next5)]],
    [
      'a refresh that started before a sign-in of the same session is shown',
      { ...alice, epoch: 1 },
      refreshed(next5),
      { ...after(initial, next5), epoch: 1 },
      [shows('refreshed', next5)],
    ],
    [
      'a refresh that started before a sign-in of another session is ignored',
      { ...after(initial, bob), epoch: 1 },
      refreshed(next5),
      'unchanged',
      [],
    ],
    ['a refresh that started before a sign-out is ignored', signedOut, refreshed(next5), 'unchanged', []],
    [
      'the result of a refresh in another tab is taken over',
      alice,
      adopted(next5),
      after(initial, next5),
      [shows('synced', next5)],
    ],
    [
      'the result of a refresh in another tab is ignored after a sign-in',
      { ...alice, epoch: 1 },
      adopted(next5),
      'unchanged',
      [],
    ],
    [
      'after a rejected refresh the storage is read and the pending revocations are sent',
      alice,
      failed(new SessionError('signed_out', 'rejected')),
      'unchanged',
      [{ type: 'read' }, { type: 'flush' }],
    ],
    [
      'after a failed refresh no token is refreshed before it expires for 30 seconds',
      alice,
      failed(new SessionError('unavailable', 'status 503')),
      { ...alice, pausedUntil: ELAPSED + EARLY_REFRESH_PAUSE_MS },
      [],
    ],
  ])('%s', (_name, state, event, expected, effects) => {
    const transition = reduce(state, event, facts)
    if (expected === 'unchanged') expect(transition.state).toBe(state)
    else expect(transition.state).toEqual({ ...state, ...expected })
    expect(transition.effects ?? []).toEqual(effects)
  })

  test('the snapshot is the same object until its content changes', () => {
    expect(reduce(alice, refreshed(next5), facts).state.snapshot).toBe(alice.snapshot)
    expect(reduce(alice, refreshed({ ...next5, scope: 'write' }), facts).state.snapshot.scope).toBe('write')
    expect(reduce(signedOut, { type: 'signedOut' }, facts).state.snapshot).toBe(signedOut.snapshot)
  })

  test('no sequence of events shows a session and a reason at once, or has a token of another session than it shows', () => {
    const sessions = fc.constantFrom(live(), next5, bob, live({ accessToken: null }))
    const epochs = fc.nat(3)
    const records = fc.oneof(
      sessions.map(stored),
      fc.constantFrom(
        null,
        undefined,
        stored(ended),
        stored({ state: 'unknown', generationId: 'a', replaced: 'alice' }),
      ),
    )
    const events: fc.Arbitrary<TokenEvent> = fc.oneof(
      sessions.map((session) => ({ type: 'signedIn', session }) as const),
      fc.constant({ type: 'signedOut' } as const),
      fc.tuple(records, epochs, fc.boolean()).map(([record, epoch, isRejected]) => read(record, { epoch, isRejected })),
      fc.tuple(sessions, epochs).map(([session, epoch]) => refreshed(session, epoch)),
      fc.tuple(sessions, epochs).map(([session, epoch]) => adopted(session, epoch)),
      fc.constantFrom('signed_out' as const, 'timeout' as const).map((code) => failed(new SessionError(code, 'x'))),
    )
    fc.assert(
      fc.property(fc.boolean(), fc.array(events, { maxLength: 12 }), (isCookie, sequence) => {
        let state = createState(isCookie)
        for (const event of sequence) {
          const { state: next } = reduce(state, event, facts)
          const { status, sid, reason } = next.snapshot
          expect(status === 'signedIn').toBe(sid !== null)
          expect(status === 'signedOut').toBe(reason !== null)
          if (next.token !== null) expect(next.token.sid).toBe(sid)
          expect(next.epoch).toBeGreaterThanOrEqual(state.epoch)
          state = next
        }
      }),
    )
  })
})

describe('a caller', () => {
  test.each<[string, TokenState, string | null, string | null]>([
    ['gets the token of the session in which its call started', alice, 'alice', null],
    ['gets the token of any session if it started in none', alice, null, null],
    ['gets no token of another session', alice, 'bob', 'replaced'],
    ['gets no token after a sign-out', signedOut, 'alice', 'logout'],
    ['gets no token if no user is signed in', signedOut, null, 'logout'],
  ])('%s', (_name, state, sid, expected) => {
    expect(findObstacle(state, sid)).toBe(expected)
  })

  test('gets a token until it expires by either clock', () => {
    expect(findUsable(initial, facts)).toBeNull()
    expect(findUsable(alice, facts)).toBe(alice.token)
    expect(findUsable(alice, { ...facts, now: NOW + LIFETIME })).toBeNull()
    expect(findUsable(alice, { now: NOW - LIFETIME, elapsed: ELAPSED + LIFETIME })).toBeNull()
  })

  test('has its token refreshed in the last minute before it expires, except for 30 seconds after a failed refresh', () => {
    const token = toAccessToken(live(), facts, 0)
    if (token === null) throw new Error('no token')
    const at = (ms: number) => ({ now: NOW + ms, elapsed: ELAPSED + ms })
    expect(needsRefresh(alice, token, at(LIFETIME - 60_001))).toBe(false)
    expect(needsRefresh(alice, token, at(LIFETIME - 60_000))).toBe(true)
    const quiet = { ...alice, pausedUntil: ELAPSED + LIFETIME - 30_000 }
    expect(needsRefresh(quiet, token, at(LIFETIME - 30_001))).toBe(false)
    expect(needsRefresh(quiet, token, at(LIFETIME - 30_000))).toBe(true)
  })

  test('causes one request to the server if the page is new and the session may be in a cookie', () => {
    expect([initial, cookieInitial, cookieAlice].map(mayTryCookie)).toEqual([false, true, false])
  })
})
