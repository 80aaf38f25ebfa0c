import type { Answer, Grant } from './answer.js'
import {
  EMPTY,
  type EndedSession,
  type LiveSession,
  type SessionRecord,
  type SignedOutReason,
  type UnknownSession,
} from './record.js'

/** Which generation of which session. */
export interface Seen {
  readonly sid: string
  readonly generation: number
}

/** What a refresh needs to know of its world; fixed while it runs. */
export interface Rules {
  /** Who carries the refresh token: we, or a cookie that no script sees. */
  readonly carrier: 'token' | 'cookie'
  /** Whether access tokens are stored, so that one refresh serves everybody. */
  readonly sharesAccessToken: boolean
  /** How often one refresh asks before it gives up; the session stays. */
  readonly tries: number
  /** Back-off: from nothing up to this, doubled at each try. */
  readonly backOffMs: number
  readonly mostBackOffMs: number
  /** A pause that is longer ends this refresh instead of holding its callers. */
  readonly patienceMs: number
}

/** What comes from outside with a fact: the wall clock, and randomness for what may follow from it. */
export interface Chance {
  /** Epoch milliseconds. */
  readonly now: number
  /** 128 random bits or more as text: an Idempotency-Key, should one be needed. */
  readonly attempt: string
  /** From 0 up to but not including 1. */
  readonly jitter: number
}

/** What has happened. */
export type Fact =
  | { readonly kind: 'acquired' }
  /** The lock did not come in time. */
  | { readonly kind: 'not_acquired' }
  | {
      readonly kind: 'read'
      readonly record: SessionRecord | null
      readonly chance: Chance
      /** Whose access token our caller has by now, and it works. */
      readonly held?: Seen | null
    }
  /** `ok` is false where something was stored since the last read: nothing has been written then. */
  | { readonly kind: 'written'; readonly ok: boolean }
  /** `sentAt` is from before the request was sent, epoch milliseconds. */
  | { readonly kind: 'answered'; readonly answer: Answer; readonly sentAt: number; readonly chance: Chance }
  | { readonly kind: 'released' }
  | { readonly kind: 'waited' }

/** What to do next; exactly one fact answers each but `settle`. */
export type Effect =
  /** Answered by `acquired` or `not_acquired`. */
  | { readonly kind: 'acquire' }
  /** Answered by `read`. */
  | { readonly kind: 'read' }
  /** Stores the record unless something was stored since the last read, atomically. Answered by `written`. */
  | { readonly kind: 'write'; readonly record: SessionRecord }
  /** One POST to the token endpoint. Answered by `answered`. */
  | { readonly kind: 'post'; readonly request: RefreshRequest }
  /** Answered by `released`. */
  | { readonly kind: 'release' }
  /** Answered by `waited`; `isPause` tells that the server asked for it, so that nothing may cut it short. */
  | {
      readonly kind: 'wait'
      readonly ms: number
      readonly isPause: boolean
      readonly tries: number
      readonly cause: string
    }
  | { readonly kind: 'settle'; readonly outcome: Outcome }

export interface RefreshRequest {
  /** Null in cookie mode. */
  readonly refreshToken: string | null
  readonly attempt: string
  /** Null where it is unknown. */
  readonly sid: string | null
}

/** How a refresh ended. */
export type Outcome =
  | { readonly kind: 'refreshed'; readonly session: LiveSession }
  /** Somebody else had refreshed, or signed in. */
  | { readonly kind: 'adopted'; readonly session: LiveSession }
  /** `orphan` is a refresh token that came too late to be kept: the server should be told to end it. */
  | { readonly kind: 'signed_out'; readonly reason: SignedOutReason; readonly orphan: string | null }
  /** The session stays; `until` (epoch milliseconds) is when asking again makes sense. */
  | { readonly kind: 'unavailable'; readonly until: number | null; readonly cause: string }
  /** The lock did not come in time; the session stays. */
  | { readonly kind: 'timed_out' }
  /** The session stays, but asking again will not help. */
  | { readonly kind: 'misconfigured'; readonly cause: string }
  /** The session stays, but its key is gone, and only another sign-in will help. */
  | { readonly kind: 'key_lost' }

interface Run {
  /** The tokens that its caller found to be of no use; null where it has none. */
  readonly stale: Seen | null
  readonly tries: number
  /** How often what was stored has changed under us. */
  readonly rounds: number
  /** Came too late for its own session. */
  readonly orphan: string | null
}

/** What was sent, and with it what may be overwritten. */
type Base = LiveSession | UnknownSession

/** Why we read: what to make of the record. */
type Intent =
  | { readonly kind: 'refresh' }
  /** Without the lock: only to see whether somebody else has done it. */
  | { readonly kind: 'look' }
  | { readonly kind: 'commit'; readonly base: Base; readonly grant: Grant; readonly sentAt: number }
  | { readonly kind: 'end'; readonly base: Base }
  | { readonly kind: 'replace'; readonly base: Base }
  | { readonly kind: 'pause'; readonly ms: number; readonly then: Next }

type Next = { readonly kind: 'settle'; readonly outcome: Outcome } | Extract<Effect, { kind: 'wait' }>

export type State =
  | { readonly at: 'acquiring'; readonly run: Run }
  | { readonly at: 'reading'; readonly run: Run; readonly intent: Intent }
  | { readonly at: 'writing'; readonly run: Run; readonly intent: Intent; readonly then: Next | Base }
  | { readonly at: 'posting'; readonly run: Run; readonly base: Base }
  | { readonly at: 'releasing'; readonly run: Run; readonly then: Next }
  | { readonly at: 'waiting'; readonly run: Run }
  | { readonly at: 'settled' }

export interface Step {
  readonly state: State
  /** Null where a fact came that nobody was waiting for; it changes nothing. */
  readonly effect: Effect | null
}

/** What is stored may change under us this often; whoever changes it makes progress. */
const MOST_ROUNDS = 8

/** Starts one refresh, for tokens other than `stale`. */
export function begin(stale: Seen | null): Step {
  return acquire({ stale, tries: 0, rounds: 0, orphan: null })
}

/**
 * One step of a refresh. Pure and total: no clock, no randomness, no I/O; what happened comes in, what to do goes out. The lock is
 * held from `acquired` to `release`, around re-read, POST and commit only.
 */
export function next(state: State, fact: Fact, rules: Rules): Step {
  switch (state.at) {
    case 'acquiring':
      if (fact.kind === 'acquired') return read(state.run, { kind: 'refresh' })
      if (fact.kind === 'not_acquired') return read(state.run, { kind: 'look' })
      break
    case 'reading':
      if (fact.kind === 'read') return judge(state.run, state.intent, fact, rules)
      break
    case 'writing':
      if (fact.kind !== 'written') break
      // Judged again from what is there now: it is never overwritten unseen.
      if (!fact.ok) return again(state.run, state.intent)
      return 'state' in state.then ? post(state.run, state.then) : release(state.run, state.then)
    case 'posting':
      if (fact.kind === 'answered') return weigh(state.run, state.base, fact, rules)
      break
    case 'releasing':
      if (fact.kind !== 'released') break
      if (state.then.kind === 'wait') return { state: { at: 'waiting', run: state.run }, effect: state.then }
      return { state: { at: 'settled' }, effect: state.then }
    case 'waiting':
      if (fact.kind === 'waited') return acquire(state.run)
      break
    case 'settled':
      break
  }
  return { state, effect: null }
}

type ReadFact = Extract<Fact, { kind: 'read' }>
type AnsweredFact = Extract<Fact, { kind: 'answered' }>

function judge(run: Run, intent: Intent, fact: ReadFact, rules: Rules): Step {
  switch (intent.kind) {
    case 'refresh':
      return judgeRefresh(run, fact, rules)
    case 'look':
      return { state: { at: 'settled' }, effect: settle(look(run, fact)) }
    case 'commit':
      return judgeCommit(run, intent, fact, rules)
    case 'end':
      // A refusal of a token that has been exchanged meanwhile says nothing about its successor.
      if (fact.record === null || !isSame(fact.record.session, intent.base)) return reconsider(run, fact, rules)
      return conclude(run, intent, fact.record, ended(intent.base))
    case 'replace':
      if (fact.record === null || !isSame(fact.record.session, intent.base)) return reconsider(run, fact, rules)
      // Whose cookie it is, only a page that believes in nobody may find out: this one would show one person's data to another.
      return write(
        run,
        intent,
        { record: fact.record, session: { state: 'unknown', attempt: fact.chance.attempt } },
        settle(signedOut(run, 'replaced')),
      )
    case 'pause': {
      if (fact.record === null) return release(run, intent.then)
      const { now } = fact.chance
      const record = { ...fact.record, pause: { from: now, until: now + intent.ms } }
      return { state: { at: 'writing', run, intent, then: intent.then }, effect: { kind: 'write', record } }
    }
  }
}

function judgeRefresh(run: Run, fact: ReadFact, rules: Rules): Step {
  const { record, chance } = fact
  if (record === null) {
    if (rules.carrier === 'token')
      return release(run, settle(signedOut(run, run.stale === null ? 'no_session' : 'cleared')))
    const session: UnknownSession = { state: 'unknown', attempt: chance.attempt }
    return write(run, { kind: 'refresh' }, { record: EMPTY, session }, session)
  }
  const { session, pause } = record
  if (session.state === 'ended') return release(run, settle(signedOut(run, session.reason)))
  if (session.state === 'live' && isAdoptable(session, run, fact))
    return release(run, settle({ kind: 'adopted', session }))
  if (session.state === 'unknown' && rules.carrier === 'token')
    return release(run, settle(signedOut(run, 'no_session')))
  if (session.state === 'live' && session.refreshToken === null && rules.carrier === 'token') {
    return conclude(run, { kind: 'refresh' }, record, { state: 'ended', sid: session.sid, reason: 'not_renewable' })
  }
  const pausedMs = pause !== null && chance.now >= pause.from ? pause.until - chance.now : 0
  if (pausedMs > 0) {
    const tried = { ...run, tries: run.tries + 1 }
    return release(tried, hold(tried, { ms: pausedMs, isPause: true, cause: 'Retry-After' }, chance, rules))
  }
  return post(run, session)
}

function look(run: Run, fact: ReadFact): Outcome {
  const { record } = fact
  if (record?.session.state === 'ended') return signedOut(run, record.session.reason)
  const session = record?.session
  return session?.state === 'live' && isAdoptable(session, run, fact)
    ? { kind: 'adopted', session }
    : { kind: 'timed_out' }
}

function judgeCommit(run: Run, intent: Extract<Intent, { kind: 'commit' }>, fact: ReadFact, rules: Rules): Step {
  const { record, chance } = fact
  const { base, grant, sentAt } = intent
  if (record === null || !isSame(record.session, base)) {
    const isOurs = record?.session.state === 'live' && base.state === 'live' && record.session.sid === base.sid
    const orphan = isOurs ? run.orphan : (grant.refreshToken ?? run.orphan)
    return reconsider({ ...run, orphan }, fact, rules)
  }
  const before = base.state === 'live' ? base : null
  const session: LiveSession = {
    state: 'live',
    // Only a server that is not ours leaves it out; this attempt is over, so that its random bits are free.
    sid: before?.sid ?? grant.sid ?? base.attempt,
    generation: before === null ? 0 : before.generation + 1,
    attempt: chance.attempt,
    refreshToken: grant.refreshToken ?? before?.refreshToken ?? null,
    accessToken: grant.accessToken,
    expiresAt: grant.lifetimeMs === null ? null : sentAt + grant.lifetimeMs,
    lifetimeMs: grant.lifetimeMs,
    scope: grant.scope ?? before?.scope ?? null,
  }
  const kept = rules.sharesAccessToken ? session : { ...session, accessToken: null }
  return write(
    run,
    intent,
    { record: { ...record, pause: null }, session: kept },
    settle({ kind: 'refreshed', session }),
  )
}

/** What an answer leads to. */
function weigh(run: Run, base: Base, { answer, sentAt, chance }: AnsweredFact, rules: Rules): Step {
  switch (answer.kind) {
    case 'granted':
      return read(run, { kind: 'commit', base, grant: answer.grant, sentAt })
    case 'refused':
      return read(run, { kind: 'end', base })
    case 'other_session':
      return read(run, { kind: 'replace', base })
    case 'misconfigured':
      return release(run, settle({ kind: 'misconfigured', cause: answer.cause }))
    case 'key_lost':
      return release(run, settle({ kind: 'key_lost' }))
    case 'later': {
      const tried = { ...run, tries: run.tries + 1 }
      const { retryAfterMs, cause } = answer
      if (retryAfterMs === null) return release(tried, hold(tried, { ms: 0, isPause: false, cause }, chance, rules))
      const then = hold(tried, { ms: retryAfterMs, isPause: true, cause }, chance, rules)
      return read(tried, { kind: 'pause', ms: retryAfterMs, then })
    }
  }
}

/** Waits, or gives up where it has been tried often enough or would take too long. Full jitter, on top of what the server asked for. */
function hold(
  { tries }: Run,
  { ms, isPause, cause }: { readonly ms: number; readonly isPause: boolean; readonly cause: string },
  { now, jitter }: Chance,
  { tries: mostTries, backOffMs, mostBackOffMs, patienceMs }: Rules,
): Next {
  const backOff = Math.min(mostBackOffMs, backOffMs * 2 ** Math.max(0, tries - 1))
  const waitMs = ms + Math.floor(jitter * backOff)
  if (tries >= mostTries || waitMs > patienceMs)
    return settle({ kind: 'unavailable', until: isPause ? now + ms : null, cause })
  return { kind: 'wait', ms: waitMs, isPause, tries, cause }
}

/** Whether what is stored is still what was sent. */
function isSame(session: SessionRecord['session'], base: Base): boolean {
  if (session.state === 'live' && base.state === 'live') return isOne(session, base)
  return session.state === 'unknown' && base.state === 'unknown' && session.attempt === base.attempt
}

function isAdoptable(session: LiveSession, { stale }: Run, { held = null, chance }: ReadFact): boolean {
  // Somebody has signed in here while we waited for the lock.
  if (held?.sid === session.sid && !isOne(held, stale)) return true
  const { accessToken, expiresAt } = session
  if (accessToken === null || (expiresAt !== null && expiresAt <= chance.now)) return false
  return !isOne(session, stale)
}

function isOne({ sid, generation }: Seen, other: Seen | null): boolean {
  return other?.sid === sid && other.generation === generation
}

function ended(base: Base): EndedSession {
  return base.state === 'live'
    ? { state: 'ended', sid: base.sid, reason: 'refused' }
    : { state: 'ended', sid: null, reason: 'no_session' }
}

function signedOut({ orphan }: Run, reason: SignedOutReason): Outcome {
  return { kind: 'signed_out', reason, orphan }
}

function settle(outcome: Outcome) {
  return { kind: 'settle', outcome } as const
}

function acquire(run: Run): Step {
  return { state: { at: 'acquiring', run }, effect: { kind: 'acquire' } }
}

function read(run: Run, intent: Intent): Step {
  return { state: { at: 'reading', run, intent }, effect: { kind: 'read' } }
}

/** What is stored has changed before we could write. */
function again(run: Run, intent: Intent): Step {
  return run.rounds < MOST_ROUNDS ? read({ ...run, rounds: run.rounds + 1 }, intent) : contended(run)
}

/** What is stored is not what was sent any more: the answer says nothing about it, and the refresh begins anew, but not for ever. */
function reconsider(run: Run, fact: ReadFact, rules: Rules): Step {
  return run.rounds < MOST_ROUNDS ? judgeRefresh({ ...run, rounds: run.rounds + 1 }, fact, rules) : contended(run)
}

function contended(run: Run): Step {
  return release(run, settle({ kind: 'unavailable', until: null, cause: 'contended' }))
}

function write(
  run: Run,
  intent: Intent,
  { record, session }: { readonly record: Omit<SessionRecord, 'session'>; readonly session: SessionRecord['session'] },
  then: Next | Base,
): Step {
  return { state: { at: 'writing', run, intent, then }, effect: { kind: 'write', record: { ...record, session } } }
}

/** The session is over, for everybody. */
function conclude(run: Run, intent: Intent, record: SessionRecord, session: EndedSession): Step {
  return write(run, intent, { record, session }, settle(signedOut(run, session.reason)))
}

function post(run: Run, base: Base): Step {
  const request = {
    refreshToken: base.state === 'live' ? base.refreshToken : null,
    attempt: base.attempt,
    sid: base.state === 'live' ? base.sid : null,
  }
  return { state: { at: 'posting', run, base }, effect: { kind: 'post', request } }
}

function release(run: Run, then: Next): Step {
  return { state: { at: 'releasing', run, then }, effect: { kind: 'release' } }
}
