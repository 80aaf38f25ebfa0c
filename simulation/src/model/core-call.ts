import { createHash } from 'node:crypto'
import {
  createRefreshTokens,
  type FamilyId,
  type FamilyRecord,
  type RefreshEvent,
  type RefreshTokens,
  type Revocation,
  type RevokeOutcome,
  type RotateCommand,
  type RotateOutcome,
} from '@baton/core'

/** What a call asks of the world before it can go on. */
export type Question =
  | { readonly method: 'find'; readonly id: FamilyId }
  | { readonly method: 'rotate'; readonly command: RotateCommand }
  | { readonly method: 'revoke'; readonly id: FamilyId; readonly revocation: Revocation }
  /** Work of the app that may fail: signing by a remote service, asking a user database. */
  | { readonly method: 'prepare' }

/** What the world says, and when. Records are compared by content, so equal ones may be different objects. */
export type Reply =
  | { readonly at: number; readonly kind: 'record'; readonly record: FamilyRecord | null }
  | { readonly at: number; readonly kind: 'done' | 'failure' }

export interface CallRequest {
  readonly kind: 'rotate' | 'revoke'
  readonly refreshToken: string
  readonly idempotencyKey: string | null
  readonly clientId: string
  readonly boundKey: string | null
  readonly confidential: boolean
  /** The app has work to do before every answer. */
  readonly prepares: boolean
  /** Which of the processes serves it. */
  readonly process: number
  readonly arrivedAt: number
  /** Determines the randomness of this call, and of no other. */
  readonly seed: string
}

export type CallOutcome = RotateOutcome | RevokeOutcome

type CallStep =
  | { readonly kind: 'asks'; readonly question: Question }
  | { readonly kind: 'answers'; readonly outcome: CallOutcome }
  | { readonly kind: 'throws'; readonly error: unknown }

/** A call into the core, stopped where it waits for the world. It is a value: resume it twice, and there are two futures. */
export interface CoreCall {
  readonly request: CallRequest
  readonly replies: readonly Reply[]
  readonly step: CallStep
  readonly events: readonly RefreshEvent[]
  readonly futures: Map<string, CoreCall>
}

export interface CoreOptions {
  readonly graceSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly rotation: 'always' | 'never'
  /** The secrets of each process. */
  readonly processes: readonly (readonly string[])[]
  readonly boundKey: string | null
}

export interface ResumableCore {
  issue(at: number): Promise<{ refreshToken: string; record: FamilyRecord }>
  start(request: CallRequest): Promise<CoreCall>
  resume(call: CoreCall, reply: Reply): Promise<CoreCall>
}

/** One run of a call, from its beginning to where the replies end. */
interface Run {
  readonly request: Pick<CallRequest, 'seed' | 'arrivedAt'>
  readonly replies: readonly Reply[]
  readonly events: RefreshEvent[]
  readonly stop: (question: Question) => void
  clock: number
  replied: number
  drawn: number
}

const MOST_REMEMBERED = 200_000

/**
 * The real core as a function from what a call has been told so far to what it does next. An async function cannot be copied
 * while it waits; but it depends on nothing but its request, the clock, its randomness and the replies, so that running it again
 * with all of these brings it back to the same place. That is what lets a search go back and try another order.
 */
export function resumableCore({ processes, boundKey, ...policy }: CoreOptions): ResumableCore {
  let run = runOf({ seed: 'issue', arrivedAt: 0 }, [], () => undefined)
  let remembered = new Map<string, CoreCall>()
  let created: FamilyRecord | undefined

  function ask<Answer>(question: Question, read: (reply: Reply) => Answer): Promise<Answer> {
    const mine = run
    const reply = mine.replies[mine.replied]
    if (reply === undefined) {
      mine.stop(question)
      return new Promise(() => undefined)
    }
    mine.replied += 1
    return Promise.resolve().then(() => {
      mine.clock = reply.at
      if (reply.kind === 'failure') throw new Error('the connection is gone')
      return read(reply)
    })
  }

  const cores: readonly RefreshTokens[] = processes.map((secrets) =>
    createRefreshTokens({
      store: {
        create: async (record) => (created = record),
        find: (id) => ask({ method: 'find', id }, recordIn),
        rotate: (command) => ask({ method: 'rotate', command }, recordIn),
        revoke: (id, revocation) => ask({ method: 'revoke', id, revocation }, recordIn),
        list: async () => ({ items: [], cursor: null }),
        purge: async () => 0,
        remember: async ({ by }) => by,
      },
      secrets,
      policy,
      storeTimeoutSeconds: null,
      now: () => run.clock,
      random: (size) => bytesOf(run, size),
      onEvent: (event) => run.events.push(event),
    }),
  )

  function coreOf(process: number): RefreshTokens {
    const core = cores[process]
    if (core === undefined) throw new Error(`there is no process ${String(process)}`)
    return core
  }

  async function invoke(request: CallRequest): Promise<CallOutcome> {
    const { refreshToken, clientId, confidential, idempotencyKey, prepares } = request
    const core = coreOf(request.process)
    if (request.kind === 'revoke') return core.revoke({ refreshToken, reason: 'logout' })
    const work = { prepare: () => ask({ method: 'prepare' }, () => undefined) }
    return core.rotate({
      refreshToken,
      clientId,
      confidential,
      idempotencyKey,
      boundKey: request.boundKey,
      ...(prepares ? work : {}),
    })
  }

  async function play(request: CallRequest, replies: readonly Reply[]): Promise<CoreCall> {
    const { step, events } = await new Promise<Pick<CoreCall, 'step' | 'events'>>((resolve) => {
      const mine = runOf(request, replies, (question) => {
        resolve({ step: { kind: 'asks', question }, events: [...mine.events] })
      })
      run = mine
      invoke(request).then(
        (outcome) => {
          resolve({ step: { kind: 'answers', outcome }, events: mine.events })
        },
        (error: unknown) => {
          resolve({ step: { kind: 'throws', error }, events: mine.events })
        },
      )
    })
    return { request, replies, step, events, futures: new Map() }
  }

  return {
    async issue(at) {
      run = runOf({ seed: 'issue', arrivedAt: at }, [], () => undefined)
      const { refreshToken } = await coreOf(0).issue({ subject: 'alice', boundKey })
      if (created === undefined) throw new Error('issue created nothing')
      return { refreshToken, record: created }
    },
    async start(request) {
      const key = JSON.stringify(request)
      const known = remembered.get(key)
      if (known !== undefined) return known
      if (remembered.size > MOST_REMEMBERED) remembered = new Map()
      const call = await play(request, [])
      remembered.set(key, call)
      return call
    },
    async resume(call, reply) {
      const key = keyOf(reply)
      const known = call.futures.get(key)
      if (known !== undefined) return known
      const next = await play(call.request, [...call.replies, reply])
      call.futures.set(key, next)
      return next
    },
  }
}

function runOf(request: Run['request'], replies: readonly Reply[], stop: Run['stop']): Run {
  return { request, replies, stop, events: [], clock: request.arrivedAt, replied: 0, drawn: 0 }
}

function bytesOf(run: Run, size: number): Uint8Array {
  run.drawn += 1
  const bytes = createHash('sha256')
    .update(`${run.request.seed}/${String(run.drawn)}`)
    .digest()
  return new Uint8Array(bytes.subarray(0, size))
}

function recordIn(reply: Reply): FamilyRecord | null {
  if (reply.kind !== 'record') throw new Error(`a store answers with a record, not with ${reply.kind}`)
  return reply.record
}

/** Two records with the same verifier, end and revocation are the same: a verifier is made once. */
function keyOf(reply: Reply): string {
  if (reply.kind !== 'record') return `${String(reply.at)} ${reply.kind}`
  if (reply.record === null) return `${String(reply.at)} nothing`
  const { verifier, generation, rotatedAt, expiresAt, revocation, retryKey } = reply.record
  return [reply.at, verifier, generation, rotatedAt, expiresAt, revocation?.id, retryKey].join(' ')
}
