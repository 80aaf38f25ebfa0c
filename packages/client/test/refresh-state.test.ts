import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Answer, Grant } from '../src/answer.js'
import type { LiveSession, SessionRecord } from '../src/record.js'
import {
  begin,
  type Chance,
  type Effect,
  type Fact,
  next,
  type Rules,
  type Seen,
  type State,
} from '../src/refresh-state.js'

const NOW = 1_000_000
const RULES: Rules = {
  carrier: 'token',
  sharesAccessToken: true,
  tries: 3,
  backOffMs: 1000,
  mostBackOffMs: 30_000,
  patienceMs: 15_000,
}
const COOKIE: Rules = { ...RULES, carrier: 'cookie', sharesAccessToken: false }

const live = (changes: Partial<LiveSession> = {}): LiveSession => ({
  state: 'live',
  sid: 'alice',
  generation: 4,
  attempt: 'attempt-4',
  refreshToken: 'rt4',
  accessToken: 'at4',
  expiresAt: NOW - 1,
  lifetimeMs: 900_000,
  scope: 'read',
  ...changes,
})
const next5 = live({ generation: 5, attempt: 'attempt-5', refreshToken: 'rt5', accessToken: 'at5', expiresAt: NOW + 9 })
const bob = live({
  sid: 'bob',
  generation: 0,
  attempt: 'bob-0',
  refreshToken: 'b0',
  accessToken: 'ab',
  expiresAt: NOW + 9,
})
const gone = { state: 'ended', sid: 'alice', reason: 'logout' } as const
const unknown = { state: 'unknown', attempt: 'probe' } as const

const stored = (session: SessionRecord['session'], rest: Partial<SessionRecord> = {}): SessionRecord => ({
  session,
  pause: null,
  revocations: [],
  ...rest,
})
const chance = (changes: Partial<Chance> = {}): Chance => ({ now: NOW, attempt: 'fresh', jitter: 0.5, ...changes })
const granted = (changes: Partial<Grant> = {}): Answer => ({
  kind: 'granted',
  grant: { accessToken: 'at5', refreshToken: 'rt5', lifetimeMs: 900_000, scope: null, sid: null, ...changes },
})
const later = (retryAfterMs: number | null = null): Answer => ({ kind: 'later', retryAfterMs, cause: 'status 503' })

const acquired: Fact = { kind: 'acquired' }
const late: Fact = { kind: 'not_acquired' }
const released: Fact = { kind: 'released' }
const waited: Fact = { kind: 'waited' }
const ok: Fact = { kind: 'written', ok: true }
const changed: Fact = { kind: 'written', ok: false }
const sees = (
  session: SessionRecord['session'] | null,
  rest: Partial<SessionRecord> = {},
  held: Seen | null = null,
): Fact => ({
  kind: 'read',
  record: session === null ? null : stored(session, rest),
  chance: chance(),
  held,
})
const answers = (answer: Answer): Fact => ({ kind: 'answered', answer, sentAt: NOW - 50, chance: chance() })

const STALE: Seen = { sid: 'alice', generation: 4 }
const asked = [acquired, sees(live())]

/** What the machine does, one effect after each fact. */
function play(facts: readonly Fact[], { stale = STALE, rules = RULES }: Settings = {}): Effect[] {
  let { state, effect } = begin(stale)
  const effects = [effect]
  for (const fact of facts) {
    ;({ state, effect } = next(state, fact, rules))
    effects.push(effect)
  }
  return effects.filter((done) => done !== null)
}

interface Settings {
  readonly stale?: Seen | null
  readonly rules?: Rules
}

describe('the table of a refresh: what happened, and what it comes to', () => {
  test.each<[string, readonly Fact[], object, Settings?]>([
    ['the first step is the lock', [], { kind: 'acquire' }],
    ['with the lock, what is stored is read again', [acquired], { kind: 'read' }],
    [
      'what is stored is still what was of no use: it is sent, with the attempt that is stored',
      asked,
      { kind: 'post', request: { refreshToken: 'rt4', attempt: 'attempt-4', sid: 'alice' } },
    ],
    [
      'somebody else has refreshed: adopted, after the lock is given back',
      [acquired, sees(next5)],
      { kind: 'release' },
    ],
    ['… and handed out', [acquired, sees(next5), released], settled('adopted', { session: next5 })],
    [
      'somebody else has refreshed so long ago that it has ended: refreshed again',
      [acquired, sees({ ...next5, expiresAt: NOW })],
      { kind: 'post', request: { refreshToken: 'rt5', attempt: 'attempt-5', sid: 'alice' } },
    ],
    ['somebody else has signed in: adopted', [acquired, sees(bob), released], settled('adopted', { session: bob })],
    ['signed out elsewhere', [acquired, sees(gone), released], signedOut('logout')],
    ['the storage was emptied', [acquired, sees(null), released], signedOut('cleared')],
    ['nobody has ever signed in', [acquired, sees(null), released], signedOut('no_session'), { stale: null }],
    [
      'there is no refresh token: the session ends with its access token',
      [acquired, sees(live({ refreshToken: null })), ok, released],
      signedOut('not_renewable'),
    ],
    [
      'an answer with tokens: what is stored is read again before anything is written',
      [...asked, answers(granted())],
      { kind: 'read' },
    ],
    [
      'CL-01 the successor replaces what was sent, with an attempt of its own',
      [...asked, answers(granted()), sees(live())],
      {
        kind: 'write',
        record: stored(
          live({
            generation: 5,
            attempt: 'fresh',
            refreshToken: 'rt5',
            accessToken: 'at5',
            expiresAt: NOW - 50 + 900_000,
          }),
        ),
      },
    ],
    [
      'CL-01 an answer without a refresh token keeps the one that was sent',
      [...asked, answers(granted({ refreshToken: null })), sees(live())],
      { kind: 'write', record: { session: { refreshToken: 'rt4', generation: 5 } } },
    ],
    [
      'CL-13 a scope that is not mentioned is the one that was granted',
      [...asked, answers(granted()), sees(live())],
      { kind: 'write', record: { session: { scope: 'read' } } },
    ],
    [
      'an answer that does not say how long: until a 401 says otherwise',
      [...asked, answers(granted({ lifetimeMs: null })), sees(live())],
      { kind: 'write', record: { session: { expiresAt: null, lifetimeMs: null } } },
    ],
    [
      'CL-02 the new tokens are handed out only once they are stored',
      [...asked, answers(granted()), sees(live()), ok, released],
      settled('refreshed', { session: { accessToken: 'at5', refreshToken: 'rt5' } }),
    ],
    [
      'somebody wrote something else into the record meanwhile: read and written again',
      [...asked, answers(granted()), sees(live()), changed, sees(live(), { pause: { from: 0, until: 1 } })],
      { kind: 'write', record: { pause: null, session: { generation: 5 } } },
    ],
    [
      'a sign-out during the refresh: the answer is thrown away, and its token is to be ended',
      [...asked, answers(granted()), sees(gone), released],
      signedOut('logout', 'rt5'),
    ],
    [
      'another sign-in during the refresh: the answer never undoes it',
      [...asked, answers(granted()), sees(bob), released],
      settled('adopted', { session: bob }),
    ],
    [
      'another tab with the same attempt was first: adopted',
      [...asked, answers(granted()), sees(next5), released],
      settled('adopted', { session: next5 }),
    ],
    ['CL-05 a refusal is weighed against what is stored', [...asked, answers({ kind: 'refused' })], { kind: 'read' }],
    [
      'CL-05 what was refused is still stored: the session is over, for everybody',
      [...asked, answers({ kind: 'refused' }), sees(live())],
      { kind: 'write', record: stored({ state: 'ended', sid: 'alice', reason: 'refused' }) },
    ],
    [
      '… and its caller hears it',
      [...asked, answers({ kind: 'refused' }), sees(live()), ok, released],
      signedOut('refused'),
    ],
    [
      'a refusal that comes after the commit of the winner: adopted, nobody is signed out',
      [...asked, answers({ kind: 'refused' }), sees(next5), released],
      settled('adopted', { session: next5 }),
    ],
    ['CL-06 later: the lock is given back before the wait', [...asked, answers(later())], { kind: 'release' }],
    [
      'CL-04 CL-06 … the wait is drawn from all of the back-off',
      [...asked, answers(later()), released],
      { kind: 'wait', ms: 500, isPause: false, tries: 1, cause: 'status 503' },
    ],
    [
      'CL-04 … and then the same token is sent again, with the same attempt',
      [...asked, answers(later()), released, waited, ...asked],
      { kind: 'post', request: { refreshToken: 'rt4', attempt: 'attempt-4', sid: 'alice' } },
    ],
    [
      'CL-06 later, too often: given up, and the session stays',
      [
        ...asked,
        answers(later()),
        released,
        waited,
        ...asked,
        answers(later()),
        released,
        waited,
        ...asked,
        answers(later()),
        released,
      ],
      settled('unavailable', { until: null, cause: 'status 503' }),
    ],
    [
      'CL-06 Retry-After: stored, so that nobody asks before',
      [...asked, answers(later(7000)), sees(live())],
      { kind: 'write', record: stored(live(), { pause: { from: NOW, until: NOW + 7000 } }) },
    ],
    [
      '… waited out in full',
      [...asked, answers(later(7000)), sees(live()), ok, released],
      { kind: 'wait', ms: 7500, isPause: true, tries: 1 },
    ],
    [
      '… or, if it is long, told to the caller',
      [...asked, answers(later(60_000)), sees(live()), ok, released],
      settled('unavailable', { until: NOW + 60_000 }),
    ],
    [
      'somebody else was told to wait: so do we',
      [acquired, sees(live(), { pause: { from: NOW - 1000, until: NOW + 2000 } }), released],
      { kind: 'wait', ms: 2500, isPause: true },
    ],
    [
      'a pause from before the clock was set back counts for nothing',
      [acquired, sees(live(), { pause: { from: NOW + 1, until: NOW + 2000 } })],
      { kind: 'post' },
    ],
    ['a pause that is over', [acquired, sees(live(), { pause: { from: NOW - 9, until: NOW } })], { kind: 'post' }],
    [
      'CL-06 a server that will not serve us like this: the session stays',
      [...asked, answers({ kind: 'misconfigured', cause: 'invalid_client' }), released],
      settled('misconfigured', { cause: 'invalid_client' }),
    ],
    [
      'CL-17 the key of the session is gone: the session stays, for somebody to look into it',
      [...asked, answers({ kind: 'key_lost' }), released],
      settled('key_lost'),
    ],
    ['the lock does not come: what is stored is looked at', [late], { kind: 'read' }],
    ['… adopted, if somebody else has refreshed', [late, sees(next5)], settled('adopted', { session: next5 })],
    ['… nobody is signed out otherwise', [late, sees(live())], settled('timed_out')],
    ['… unless somebody signed out', [late, sees(gone)], signedOut('logout')],
    [
      'cookie: no marker means unknown; an attempt is stored',
      [acquired, sees(null)],
      { kind: 'write', record: stored({ state: 'unknown', attempt: 'fresh' }) },
      { rules: COOKIE, stale: null },
    ],
    [
      'cookie: … and one refresh tells',
      [acquired, sees(null), ok],
      { kind: 'post', request: { refreshToken: null, attempt: 'fresh', sid: null } },
      { rules: COOKIE, stale: null },
    ],
    [
      'cookie: … there is a session: its name is the server’s',
      [acquired, sees(unknown), answers(granted({ sid: 'family', refreshToken: null })), sees(unknown)],
      { kind: 'write', record: { session: { sid: 'family', generation: 0, accessToken: null } } },
      { rules: COOKIE, stale: null },
    ],
    [
      'cookie: … there is none',
      [acquired, sees(unknown), answers({ kind: 'refused' }), sees(unknown), ok, released],
      signedOut('no_session'),
      { rules: COOKIE, stale: null },
    ],
    [
      'cookie: the access token is handed out but not stored',
      [...asked, answers(granted({ refreshToken: null })), sees(live()), ok, released],
      settled('refreshed', { session: { accessToken: 'at5' } }),
      { rules: COOKIE },
    ],
    [
      'cookie: somebody signed in while we waited for the lock, and this page has the token of that',
      [acquired, sees({ ...bob, accessToken: null }, {}, { sid: 'bob', generation: 0 }), released],
      settled('adopted', { session: { sid: 'bob' } }),
      { rules: COOKIE, stale: null },
    ],
    [
      'cookie: what this page has is what was of no use',
      [acquired, sees({ ...live(), accessToken: null }, {}, STALE)],
      { kind: 'post' },
      { rules: COOKIE },
    ],
    [
      'cookie: it is of another session, and so is the marker by now: that is adopted',
      [...asked, answers({ kind: 'other_session' }), sees({ ...bob, accessToken: null })],
      { kind: 'post', request: { refreshToken: 'b0', attempt: 'bob-0', sid: 'bob' } },
      { rules: COOKIE },
    ],
    [
      'cookie: it is of another session that left no marker: this page speaks for nobody',
      [...asked, answers({ kind: 'other_session' }), sees(live()), ok, released],
      signedOut('replaced'),
      { rules: COOKIE },
    ],
  ])('%s', (_name, facts, expected, settings) => {
    expect(play(facts, settings).at(-1)).toMatchObject(expected)
  })

  test('a fact that nobody waits for changes nothing', () => {
    const { state } = next(begin(null).state, acquired, RULES)
    expect(next(state, answers(granted()), RULES)).toEqual({ state, effect: null })
  })
})

function settled(kind: string, rest: object = {}): object {
  return { kind: 'settle', outcome: { kind, ...rest } }
}

function signedOut(reason: string, orphan: string | null = null): object {
  return settled('signed_out', { reason, orphan })
}

describe('whatever happens', () => {
  const sids: fc.Arbitrary<string> = fc.constantFrom('alice', 'bob')
  const instants = fc.integer({ min: NOW - 3, max: NOW + 3 })
  const sessions: fc.Arbitrary<SessionRecord['session']> = fc.oneof(
    fc.record({
      state: fc.constant('live' as const),
      sid: sids,
      generation: fc.integer({ min: 3, max: 6 }),
      attempt: fc.constantFrom('a', 'b', 'c'),
      refreshToken: fc.constantFrom('r1', 'r2', null),
      accessToken: fc.constantFrom('t1', 't2', null),
      expiresAt: fc.option(instants),
      lifetimeMs: fc.constantFrom(900_000, null),
      scope: fc.constant(null),
    }),
    fc.constant(unknown),
    fc.record({ state: fc.constant('ended' as const), sid: fc.option(sids), reason: fc.constant('logout' as const) }),
  )
  const records: fc.Arbitrary<SessionRecord | null> = fc.option(
    fc.record({
      session: sessions,
      pause: fc.option(fc.record({ from: instants, until: instants })),
      revocations: fc.constant([]),
    }),
    { freq: 5 },
  )
  const chances = fc.record({
    now: instants,
    attempt: fc.uuid(),
    jitter: fc.double({ min: 0, max: 0.999, noNaN: true }),
  })
  const answerKinds: fc.Arbitrary<Answer> = fc.oneof(
    fc.record({
      kind: fc.constant('granted' as const),
      grant: fc.record({
        accessToken: fc.constant('new'),
        refreshToken: fc.constantFrom('new', null),
        lifetimeMs: fc.constantFrom(900_000, null),
        scope: fc.constant(null),
        sid: fc.option(sids),
      }),
    }),
    fc.constant({ kind: 'refused' as const }),
    fc.constant({ kind: 'other_session' as const }),
    fc.constant({ kind: 'misconfigured' as const, cause: 'invalid_client' }),
    fc.constant({ kind: 'key_lost' as const }),
    fc.record({
      kind: fc.constant('later' as const),
      retryAfterMs: fc.option(fc.integer({ min: 0, max: 30_000 })),
      cause: fc.constant('status 503'),
    }),
  )
  /** What the world does at each step, should it be asked. `others` is what somebody else stores, undefined for nobody. */
  const moves = fc.record({
    isAcquired: fc.boolean(),
    others: fc.option(records, { nil: undefined, freq: 3 }),
    answer: answerKinds,
    chance: chances,
  })
  const worlds = fc.record({
    stale: fc.option(fc.record({ sid: sids, generation: fc.integer({ min: 3, max: 5 }) })),
    carrier: fc.constantFrom('token' as const, 'cookie' as const),
    first: records,
    moves: fc.array(moves, { minLength: 1, maxLength: 40 }),
  })

  interface Trace {
    readonly effect: Effect
    readonly fact: Fact | null
    /** What was stored when the effect had been carried out. */
    readonly after: SessionRecord | null
  }

  function live(world: typeof worlds extends fc.Arbitrary<infer World> ? World : never): Trace[] {
    const rules = world.carrier === 'cookie' ? COOKIE : RULES
    let record = world.first
    let seen = record
    let { state, effect } = begin(world.stale)
    const trace: Trace[] = []
    for (let step = 0; effect !== null; step += 1) {
      const move = world.moves[step % world.moves.length]!
      // Others write for as long as the story lasts; then they leave the machine alone.
      const written = step < world.moves.length ? move.others : undefined
      if (written !== undefined) record = written
      let fact: Fact | null = null
      switch (effect.kind) {
        case 'acquire':
          fact = { kind: move.isAcquired ? 'acquired' : 'not_acquired' }
          break
        case 'read':
          seen = record
          fact = { kind: 'read', record, chance: move.chance }
          break
        case 'write': {
          const unchanged = record === seen
          if (unchanged) record = effect.record
          fact = { kind: 'written', ok: unchanged }
          break
        }
        case 'post':
          fact = { kind: 'answered', answer: move.answer, sentAt: move.chance.now, chance: move.chance }
          break
        case 'release':
          fact = { kind: 'released' }
          break
        case 'wait':
          fact = { kind: 'waited' }
          break
        case 'settle':
          break
      }
      trace.push({ effect, fact, after: record })
      if (fact === null) break
      ;({ state, effect } = next(state, fact, rules))
    }
    return trace
  }

  const always = (holds: (trace: Trace[]) => void) => {
    fc.assert(
      fc.property(worlds, (world) => holds(live(world))),
      { numRuns: 2000 },
    )
  }

  test('it comes to an end, after a number of requests that is bounded', () => {
    always((trace) => {
      expect(trace.at(-1)?.effect.kind).toBe('settle')
      expect(trace.length).toBeLessThan(120)
      expect(trace.filter(({ effect }) => effect.kind === 'post').length).toBeLessThanOrEqual(3 + 8)
    })
  })

  test('the lock is held around re-read, POST and commit, and never while waiting or telling', () => {
    always((trace) => {
      let held = false
      for (const { effect, fact } of trace) {
        if (['post', 'write', 'release'].includes(effect.kind)) expect(held).toBe(true)
        if (['acquire', 'wait', 'settle'].includes(effect.kind)) expect(held).toBe(false)
        if (fact?.kind === 'acquired') held = true
        if (fact?.kind === 'released') held = false
      }
    })
  })

  test('what is sent is what was stored when it was last looked at, its attempt included', () => {
    always((trace) => {
      let last: SessionRecord | null = null
      for (const { effect, fact } of trace) {
        if (fact?.kind === 'read') last = fact.record
        if (effect.kind === 'write' && fact?.kind === 'written' && fact.ok) last = effect.record
        if (effect.kind === 'post') expect(last?.session).toMatchObject({ attempt: effect.request.attempt })
      }
    })
  })

  test('only what was sent is ever replaced by what came of it; nothing brings back what has ended', () => {
    always((trace) => {
      let read: SessionRecord | null = null
      let sent: SessionRecord | null = null
      for (const { effect, fact } of trace) {
        if (effect.kind === 'post') sent = read
        if (fact?.kind === 'read') read = fact.record
        if (effect.kind !== 'write' || fact?.kind !== 'written' || !fact.ok) continue
        if (effect.record.session.state !== 'live' || effect.record.session === read?.session) {
          if (effect.record.session.state === 'unknown') read = effect.record
          continue
        }
        expect(read?.session.state).not.toBe('ended')
        const { session } = sent ?? {}
        if (session?.state === 'live')
          expect(read?.session).toMatchObject({ sid: session.sid, generation: session.generation })
        else expect(read?.session.state).toBe('unknown')
      }
    })
  })

  test('nobody is signed out but by a sign-out, an emptied storage, or a refusal of what is still stored', () => {
    always((trace) => {
      const { outcome } = trace.at(-1)!.effect as Extract<Effect, { kind: 'settle' }>
      if (outcome.kind !== 'signed_out') return
      const answersSoFar = trace.flatMap(({ fact }) => (fact?.kind === 'answered' ? [fact.answer.kind] : []))
      const lastRead = trace.flatMap(({ fact }) => (fact?.kind === 'read' ? [fact.record] : [])).at(-1)
      const session = lastRead?.session
      switch (outcome.reason) {
        case 'refused':
          expect(answersSoFar.at(-1)).toBe('refused')
          expect(session?.state).toBe('live')
          break
        case 'replaced':
          expect(answersSoFar.at(-1)).toBe('other_session')
          break
        case 'not_renewable':
          expect(session).toMatchObject({ refreshToken: null })
          break
        case 'logout':
          expect(session?.state).toBe('ended')
          break
        case 'cleared':
          expect(session).toBeUndefined()
          break
        case 'no_session':
          expect(session?.state).not.toBe('live')
          break
      }
    })
  })

  test('every state takes every fact', () => {
    const facts: Fact[] = [acquired, late, sees(live0()), ok, changed, answers(granted()), released, waited]
    const states: State[] = [...reachable(facts)]
    expect(new Set(states.map(({ at }) => at)).size).toBe(7)
    for (const state of states) for (const fact of facts) expect(() => next(state, fact, RULES)).not.toThrow()
  })

  function live0(): LiveSession {
    return { ...next5, generation: 4, expiresAt: NOW - 1 }
  }

  function reachable(facts: readonly Fact[]): Set<State> {
    const found = new Map<string, State>()
    const visit = (state: State, depth: number) => {
      const key = JSON.stringify(state)
      if (found.has(key) || depth === 0) return
      found.set(key, state)
      const more: Fact[] = [...facts, answers(later()), answers(later(5)), answers({ kind: 'refused' })]
      for (const fact of more) visit(next(state, fact, RULES).state, depth - 1)
    }
    visit(begin(STALE).state, 9)
    return new Set(found.values())
  }
})
