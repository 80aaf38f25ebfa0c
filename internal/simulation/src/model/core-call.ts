import { createHash } from 'node:crypto'
import {
  type Confirmation,
  createRefreshTokens,
  type FamilyId,
  type FamilyRecord,
  type Grace,
  type RedeemOutcome,
  type RefreshEvent,
  type RefreshTokens,
  type Reservation,
  type Revocation,
  type RevokeOutcome,
  type RotateCommand,
  type RotateOutcome,
} from '@baton/core'

/** An external call that core waits for. */
export type WorldCall =
  | { readonly method: 'create'; readonly record: FamilyRecord }
  | { readonly method: 'find'; readonly id: FamilyId }
  | { readonly method: 'rotate'; readonly command: RotateCommand }
  | { readonly method: 'revoke'; readonly id: FamilyId; readonly revocation: Revocation }
  /** A hook of the app that may fail, such as a remote signing service or a user database. */
  | { readonly method: 'prepare' }
  /** The lookup of a token in the legacy system. */
  | { readonly method: 'accept' }

/** The result of an external call, and its time. Records are compared by content. */
export type Reply =
  | { readonly at: number; readonly kind: 'record'; readonly record: FamilyRecord | null }
  | { readonly at: number; readonly kind: 'done' | 'unknown' | 'failure' }

export interface CallRequest {
  readonly kind: 'rotate' | 'redeem' | 'revoke'
  /** The token or the code. */
  readonly text: string
  readonly idempotencyKey: string | null
  readonly clientId: string
  /** The request meets all requirements of the code. */
  readonly matches: boolean
  readonly confirmation: Confirmation | null
  readonly confidential: boolean
  /** The app has a hook that runs before every response. */
  readonly hasHook: boolean
  /** Index of the process that serves the request. */
  readonly process: number
  readonly arrivedAt: number
  /** The seed for the randomness of this call only. */
  readonly seed: string
}

export type CallOutcome = RotateOutcome | RedeemOutcome | RevokeOutcome

type CallStep =
  | { readonly kind: 'calls'; readonly worldCall: WorldCall }
  | { readonly kind: 'returns'; readonly outcome: CallOutcome }
  | { readonly kind: 'throws'; readonly error: unknown }

/**
 * A call into core, suspended at an external call. It is immutable: resuming it twice gives two independent futures.
 */
export interface CoreCall {
  readonly request: CallRequest
  readonly replies: readonly Reply[]
  readonly step: CallStep
  readonly events: readonly RefreshEvent[]
  readonly futures: Map<string, CoreCall>
}

export interface CoreOptions {
  readonly grace: Grace
  readonly graceSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly rotation: 'always' | 'never'
  /** The secrets of each process. */
  readonly processes: readonly (readonly string[])[]
  readonly confirmation: Confirmation | null
}

/** The first token of the family: an issued token, or a code or legacy token that has yet to be exchanged. */
export type Origin = 'a token' | 'a code' | 'a legacy token'

/** What the first holder has. */
interface FirstToken {
  readonly text: string
  /** Null until a family exists. */
  readonly record: FamilyRecord | null
  /** The expiry of a code; null for tokens. */
  readonly expiresAt: number | null
}

export interface ResumableCore {
  begin(origin: Origin, at: number): Promise<FirstToken>
  start(request: CallRequest): Promise<CoreCall>
  resume(call: CoreCall, reply: Reply): Promise<CoreCall>
}

/** One execution of a call, from its start until the replies run out. */
interface Run {
  readonly request: Pick<CallRequest, 'seed' | 'arrivedAt'>
  readonly replies: readonly Reply[]
  readonly events: RefreshEvent[]
  readonly stop: (worldCall: WorldCall) => void
  clock: number
  replied: number
  drawn: number
}

const MAX_CACHED_CALLS = 200_000
const CODE = 'the code from which everything starts'
const FOREIGN = 'the legacy token'
const CODE_SECONDS = 60
const FOREIGN_GRANT = { subject: 'alice', expiresAt: Date.UTC(2031, 0, 1) }
const ISSUE = 'issue'

/**
 * The real core as a function from the replies so far to the next step. A suspended async function cannot be copied,
 * but it depends only on its request, the clock, its randomness and the replies. Running it again with the same inputs
 * leads to the same state, which allows a search to go back and try another order.
 */
export function resumableCore({ processes, confirmation, ...policy }: CoreOptions): ResumableCore {
  let run = createRun({ seed: ISSUE, arrivedAt: 0 }, [], () => undefined)
  let cache = new Map<string, CoreCall>()
  let issued: FamilyRecord | undefined
  let reservation: Reservation | undefined

  function callWorld<Result>(worldCall: WorldCall, read: (reply: Reply) => Result): Promise<Result> {
    const mine = run
    const reply = mine.replies[mine.replied]
    if (reply === undefined) {
      mine.stop(worldCall)
      return new Promise(() => undefined)
    }
    mine.replied += 1
    return Promise.resolve().then(() => {
      mine.clock = reply.at
      if (reply.kind === 'failure') throw new Error('the connection failed')
      return read(reply)
    })
  }

  const cores: readonly RefreshTokens[] = processes.map((secrets) =>
    createRefreshTokens({
      store: {
        create: async (record) =>
          run.request.seed === ISSUE ? (issued = record) : callWorld({ method: 'create', record }, getExistingRecord),
        find: (id) => callWorld({ method: 'find', id }, getRecord),
        rotate: (command) => callWorld({ method: 'rotate', command }, getRecord),
        revoke: (id, revocation) => callWorld({ method: 'revoke', id, revocation }, getRecord),
        list: async () => ({ items: [], cursor: null }),
        listRevoked: async () => ({ items: [], cursor: 'end', hasMore: false }),
        purge: async () => 0,
        claimOnce: async ({ owner }) => owner,
      },
      secrets,
      policy,
      legacyTokens: {
        normalize: (token) => (token === FOREIGN ? token : null),
        lookup: () => callWorld({ method: 'accept' }, ({ kind }) => (kind === 'unknown' ? null : FOREIGN_GRANT)),
      },
      storeTimeoutSeconds: null,
      now: () => run.clock,
      random: (size) => drawBytes(run, size),
      onEvent: (event) => run.events.push(event),
    }),
  )

  function getCore(process: number): RefreshTokens {
    const core = cores[process]
    if (core === undefined) throw new Error(`no process has the index ${String(process)}`)
    return core
  }

  async function invoke(request: CallRequest): Promise<CallOutcome> {
    const { kind, text, clientId, confidential, idempotencyKey, matches, hasHook, confirmation: provenKey } = request
    const core = getCore(request.process)
    const work = hasHook ? { beforeCommit: () => callWorld({ method: 'prepare' }, () => undefined) } : {}
    switch (kind) {
      case 'revoke':
        return core.revoke({ refreshToken: text, reason: 'logout' })
      case 'redeem':
        if (reservation === undefined) throw new Error('no code was issued')
        return core.redeem({ reservation, matches, confirmation: provenKey, idempotencyKey, ...work })
      case 'rotate':
        return core.rotate({
          refreshToken: text,
          clientId,
          confidential,
          idempotencyKey,
          confirmation: provenKey,
          ...work,
        })
    }
  }

  async function play(request: CallRequest, replies: readonly Reply[]): Promise<CoreCall> {
    const { step, events } = await new Promise<Pick<CoreCall, 'step' | 'events'>>((resolve) => {
      const mine = createRun(request, replies, (worldCall) => {
        resolve({ step: { kind: 'calls', worldCall }, events: [...mine.events] })
      })
      run = mine
      invoke(request).then(
        (outcome) => {
          resolve({ step: { kind: 'returns', outcome }, events: mine.events })
        },
        (error: unknown) => {
          resolve({ step: { kind: 'throws', error }, events: mine.events })
        },
      )
    })
    return { request, replies, step, events, futures: new Map() }
  }

  return {
    async begin(origin, at) {
      run = createRun({ seed: ISSUE, arrivedAt: at }, [], () => undefined)
      if (origin === 'a legacy token') return { text: FOREIGN, record: null, expiresAt: null }
      if (origin === 'a code') {
        reservation = getCore(0).reserve({ subject: 'alice', expiresInSeconds: CODE_SECONDS })
        return { text: CODE, record: null, expiresAt: reservation.expiresAt }
      }
      const { refreshToken } = await getCore(0).issue({ subject: 'alice', confirmation })
      if (issued === undefined) throw new Error('issue created no record')
      return { text: refreshToken, record: issued, expiresAt: null }
    },
    async start(request) {
      const key = JSON.stringify(request)
      const known = cache.get(key)
      if (known !== undefined) return known
      if (cache.size > MAX_CACHED_CALLS) cache = new Map()
      const call = await play(request, [])
      cache.set(key, call)
      return call
    },
    async resume(call, reply) {
      const key = describeReply(reply)
      const known = call.futures.get(key)
      if (known !== undefined) return known
      const next = await play(call.request, [...call.replies, reply])
      call.futures.set(key, next)
      return next
    },
  }
}

function createRun(request: Run['request'], replies: readonly Reply[], stop: Run['stop']): Run {
  return { request, replies, stop, events: [], clock: request.arrivedAt, replied: 0, drawn: 0 }
}

function drawBytes(run: Run, size: number): Uint8Array {
  run.drawn += 1
  const bytes = createHash('sha256')
    .update(`${run.request.seed}/${String(run.drawn)}`)
    .digest()
  return new Uint8Array(bytes.subarray(0, size))
}

function getRecord(reply: Reply): FamilyRecord | null {
  if (reply.kind !== 'record') throw new Error(`a store call returns a record, got ${reply.kind}`)
  return reply.record
}

function getExistingRecord(reply: Reply): FamilyRecord {
  const record = getRecord(reply)
  if (record === null) throw new Error('create returns a record, got null')
  return record
}

/** Records with the same verifier, expiry and revocation are equal: each verifier is created once. */
function describeReply(reply: Reply): string {
  if (reply.kind !== 'record') return `${String(reply.at)} ${reply.kind}`
  if (reply.record === null) return `${String(reply.at)} nothing`
  const { current, expiresAt, revocation } = reply.record
  const { verifier, generation, rotatedAt, retryKey } = current
  return [reply.at, verifier, generation, rotatedAt, expiresAt, revocation?.id, retryKey].join(' ')
}
