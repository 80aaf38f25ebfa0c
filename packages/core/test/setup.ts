import { createHash } from 'node:crypto'
import {
  type OneTimeKey,
  createRefreshTokens,
  type FamilyRecord,
  type RefreshEvent,
  type RefreshTokensOptions,
  type TokenStore,
} from '../src/index.js'
import { appendRevocation, type LoggedRevocation, pageOfLog } from '../src/store.js'

/** Public test secrets. The golden vectors are computed with them. */
export const OLD_SECRET = 'the old secret of the test suite, 48 bytes long.'
export const NEW_SECRET = 'the new secret of the test suite, 48 bytes long.'
export const START = Date.UTC(2030, 0, 1)
export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR
export const KEY = 'an-idempotency-key-of-32-letters'
export const OTHER_KEY = 'another-idempotency-key-32-chars'

/** Returns a deterministic stream of bytes for the seed. */
export function seededRandom(seed: string): (size: number) => Uint8Array {
  let count = 0
  return (size) => {
    const bytes = createHash('sha512')
      .update(`${seed}:${String(count++)}`)
      .digest()
    return new Uint8Array(bytes.subarray(0, size))
  }
}

type Write = 'create' | 'rotate' | 'revoke' | 'claimOnce'

export interface TestStore extends TokenStore {
  /** The names of the methods that were called. */
  readonly calls: string[]
  readonly rows: Map<string, FamilyRecord>
  /** Removes the last `steps` rotations of every family, as a fail-over may. */
  rollBack(steps: number): void
  /** The next call of this method rejects, after the write if `written`. */
  failNext(method: keyof TokenStore, how?: { written: boolean }): void
  /** The next call of this method writes and never settles. */
  hangNext(method: keyof TokenStore): void
  /** The driver executes every write twice. `between` runs between the two executions. */
  executeTwice(methods: readonly Write[], between?: () => Promise<unknown>): void
  /** Runs before the next call of this method. */
  beforeNext(method: keyof TokenStore, run: () => Promise<unknown> | undefined): void
}

/** A store in memory that can simulate the failures of real databases. */
export function testStore(): TestStore {
  const rows = new Map<string, FamilyRecord>()
  const history = new Map<string, FamilyRecord[]>()
  const claims = new Map<string, OneTimeKey>()
  const revocations: LoggedRevocation[] = []
  const calls: string[] = []
  const failures = new Map<string, { written: boolean }>()
  const hangs = new Set<string>()
  const callbacks = new Map<string, () => Promise<unknown> | undefined>()
  let twice: readonly Write[] = []
  let between: () => Promise<unknown> = async () => undefined

  async function run<Result>(method: string, work: () => Result): Promise<Result> {
    calls.push(method)
    const callback = callbacks.get(method)
    callbacks.delete(method)
    await callback?.()
    const failure = failures.get(method)
    failures.delete(method)
    if (failure?.written === false) throw new Error('connection refused')
    let result = work()
    if (twice.includes(method as Write)) {
      const meanwhile = between
      between = async () => undefined
      await meanwhile()
      result = work()
    }
    if (failure) throw new Error('connection reset')
    if (hangs.delete(method)) return new Promise<never>(() => undefined)
    return structuredClone(result)
  }

  function put(record: FamilyRecord) {
    const before = rows.get(record.id)
    if (before) history.set(record.id, [...(history.get(record.id) ?? []), before])
    rows.set(record.id, record)
    return record
  }

  return {
    calls,
    rows,
    create: (record) =>
      run('create', () => {
        const stored = rows.get(record.id)
        if (stored) return stored
        appendRevocation(revocations, record)
        return put(structuredClone(record))
      }),
    find: (id) => run('find', () => rows.get(id) ?? null),
    rotate: ({ id, expect, next, now }) =>
      run('rotate', () => {
        const record = rows.get(id)
        if (!record) return null
        if (record.current.verifier !== expect || record.revocation || record.expiresAt <= now) return record
        const { idleMs, absoluteExpiresAt } = record.lifetime
        const expiresAt = Math.min(idleMs === null ? Infinity : now + idleMs, absoluteExpiresAt)
        return put({ ...record, current: next ?? record.current, expiresAt })
      }),
    revoke: (id, revocation) =>
      run('revoke', () => {
        const record = rows.get(id)
        if (!record) return null
        if (record.revocation) return record
        const revoked = { ...record, revocation }
        appendRevocation(revocations, revoked)
        return put(revoked)
      }),
    list: ({ subject, cursor, limit, now }) =>
      run('list', () => {
        const place = (record: FamilyRecord) => `${String(1e15 - record.grant.createdAt)} ${record.id}`
        const active = [...rows.values()]
          .filter((record) => record.grant.subject === subject && !record.revocation && record.expiresAt > now)
          .filter((record) => cursor === undefined || place(record) > cursor)
          .sort((a, b) => (place(a) < place(b) ? -1 : 1))
        const items = active.slice(0, limit)
        return { items, cursor: active.length > limit ? place(items.at(-1)!) : null }
      }),
    listRevoked: (query) => run('listRevoked', () => pageOfLog(revocations, query)),
    purge: (now, limit) =>
      run('purge', () => {
        const dead = [...rows.values()].filter(
          (record) => (record.revocation !== null || record.expiresAt <= now) && record.lifetime.keepUntil <= now,
        )
        for (const record of dead.slice(0, limit)) rows.delete(record.id)
        for (const { key, expiresAt } of [...claims.values()]) if (expiresAt <= now) claims.delete(key)
        return Math.min(dead.length, limit)
      }),
    claimOnce: (claim, now) =>
      run('claimOnce', () => {
        const existing = claims.get(claim.key)
        if (existing !== undefined && existing.expiresAt > now) return existing.owner
        claims.set(claim.key, claim)
        return claim.owner
      }),
    rollBack(steps) {
      for (const [id, states] of history) {
        const then = states.at(-steps)
        if (then) rows.set(id, then)
        history.set(id, states.slice(0, -steps))
      }
    },
    failNext: (method, how = { written: false }) => failures.set(method, how),
    hangNext: (method) => hangs.add(method),
    executeTwice(methods, meanwhile = async () => undefined) {
      twice = methods
      between = meanwhile
    },
    beforeNext: (method, callback) => callbacks.set(method, callback),
  }
}

export type TestSetup = ReturnType<typeof createSetup>

/** Creates a store, a clock, seeded randomness and a list of the emitted events. */
export function createSetup(options: Partial<RefreshTokensOptions> = {}, shared: { store?: TestStore } = {}) {
  const store = shared.store ?? testStore()
  const events: RefreshEvent[] = []
  const clock = { now: START }
  const instance = (more: Partial<RefreshTokensOptions> = {}) =>
    createRefreshTokens({
      store,
      secrets: [OLD_SECRET],
      now: () => clock.now,
      onEvent: (event) => events.push(event),
      ...options,
      ...more,
    })
  return {
    store,
    events,
    clock,
    /** Returns another instance on the same store, which may have other options. */
    instance,
    tokens: instance(),
    advance: (ms: number) => (clock.now += ms),
    eventTypes: () => events.map(({ type }) => type),
    /** Deletes the recorded events and store calls. */
    clearRecords() {
      events.length = 0
      store.calls.length = 0
    },
  }
}

/** Returns a successful outcome, and throws for any other. */
export function expectOk<Outcome extends { ok: boolean }>(outcome: Outcome): Extract<Outcome, { ok: true }> {
  if (!outcome.ok) throw new Error(`expected success, got ${JSON.stringify(outcome)}`)
  return outcome as Extract<Outcome, { ok: true }>
}
