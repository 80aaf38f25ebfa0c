import type { FamilyRecord, TokenStore } from '@baton/core'
import {
  appendRevocation,
  applyRevocation,
  applyRotation,
  deletableAt,
  type LoggedRevocation,
  pageOf,
  pageOfLog,
} from '@baton/core/store'
import { type Rng, createRng } from './rng.js'
import type { Recorder } from './recorder.js'
import type { VirtualClock } from './clock.js'
import type { Plan, Rates } from './plan.js'
import type { RequestTrace } from './trace.js'

const NO_FAULTS = { storeFails: 0, storeFailsLate: 0, storeRepeats: 0, revokeRejects: 0 }

export interface SimulatedStore {
  /** Returns the store for one slot. Its calls belong to the request in that slot. */
  storeFor(slot: StoreSlot): TokenStore
  /** The store is unavailable for this time. */
  fail(ms: number): void
  /** Loses the last writes. The store is unavailable until the replica has taken over. */
  failOver(lagMs: number): void
  /** Starts the planned faults. */
  enableFaults(): void
  /** Stops all faults. */
  disableFaults(): void
  readonly rows: ReadonlyMap<string, FamilyRecord>
}

/** The request that calls the store. */
interface StoreSlot {
  readonly trace: RequestTrace
  /** Called before each store call. */
  resumeClock(): void
}

interface StoreWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly rng: Rng
  readonly recorder: Recorder
}

/** The store timeout of core. Core measures it with real timers, so that the simulation applies it instead. */
const TIMEOUT_MS = 5000
const TAKE_OVER_MS = 2000

/**
 * A store as core sees it: linearizable, like memory, SQLite and PostgreSQL. Connections fail before or after a
 * command, replies are lost while the command takes effect later, and drivers send commands twice. With Redis, a
 * fail-over may also lose the last writes.
 */
export function createSimulatedStore({ plan, clock, rng, recorder }: StoreWorld): SimulatedStore {
  const rows = new Map<string, FamilyRecord>()
  const oneTimeKeys = new Map<string, { owner: string; expiresAt: number }>()
  const revocations: LoggedRevocation[] = []
  const undo: { at: number; id: string; row: FamilyRecord | undefined; forget: () => void }[] = []
  let rates: Pick<Rates, keyof typeof NO_FAULTS> = NO_FAULTS
  const replicas = createRng(`${plan.seed}/replicas`)
  let outUntil = 0
  const latency = () => clock.sleep(plan.engine === 'memory' ? 0 : rng.between(1, 8))

  async function execute<Result>(slot: StoreSlot, isWrite: boolean, command: () => Result): Promise<Result> {
    const { trace } = slot
    slot.resumeClock()
    const faultInjected = (message: string): Error => {
      trace.faultInjected = true
      return new Error(message)
    }
    await latency()
    if (clock.now() < outUntil) {
      await clock.sleep(rng.pick([5, TIMEOUT_MS]))
      throw faultInjected('no connection')
    }
    if (rng.chance(rates.storeFails)) throw faultInjected('the connection failed')
    if (isWrite && rng.chance(rates.storeFailsLate)) {
      if (rng.chance(0.5)) command()
      else clock.after(rng.between(100, 40_000), command)
      await clock.sleep(rng.pick([20, TIMEOUT_MS]))
      throw faultInjected('no reply')
    }
    let result = command()
    if (isWrite && rng.chance(rates.storeRepeats)) {
      await clock.sleep(rng.between(1, 3000))
      result = command()
    }
    await latency()
    return result
  }

  function put(id: string, record: FamilyRecord | null, note: () => void): void {
    undo.push({ at: clock.now(), id, row: rows.get(id), forget: recorder.checkpoint(id) })
    note()
    if (record === null) rows.delete(id)
    else rows.set(id, Object.freeze(record))
  }

  const storeFor = (slot: StoreSlot): TokenStore => ({
    create(record) {
      assertIntegers(record)
      const { trace } = slot
      return execute(slot, true, () => {
        const stored = rows.get(record.id)
        if (stored !== undefined) {
          recorder.storeAccessed(trace, { before: stored, after: stored, madeAt: 0, at: clock.now(), isSwap: true })
          return stored
        }
        appendRevocation(revocations, record)
        put(record.id, { ...record }, () => {
          recorder.created(trace, record, clock.now())
        })
        return record
      })
    },
    find(id) {
      const { trace } = slot
      return execute(slot, false, () => {
        const row = rows.get(id) ?? null
        if (row !== null)
          recorder.storeAccessed(trace, { before: row, after: row, madeAt: 0, at: clock.now(), isSwap: false })
        return row
      })
    },
    rotate(command) {
      const { id, next, now } = command
      assertIntegers({ ...next, now })
      const { trace } = slot
      return execute(slot, true, () => {
        const before = rows.get(id)
        if (before === undefined) return null
        const after = applyRotation(before, command)
        const note = () => {
          recorder.storeAccessed(trace, { before, after, madeAt: now, at: clock.now(), isSwap: true })
        }
        if (after !== before) put(id, after, note)
        else note()
        return after
      })
    },
    revoke(id, revocation) {
      assertIntegers(revocation)
      const { trace } = slot
      const revoked = execute(slot, true, () => {
        const before = rows.get(id)
        if (before === undefined) return null
        const after = applyRevocation(before, revocation)
        if (after === before) return before
        appendRevocation(revocations, after)
        put(id, after, () => {
          recorder.revoked(trace, { before, after })
        })
        return after
      })
      return revoked.then((record) => {
        if (!replicas.chance(rates.revokeRejects)) return record
        trace.faultInjected = true
        throw new Error('too few replicas have the write')
      })
    },
    list: (query) =>
      execute(slot, false, () =>
        pageOf(
          [...rows.values()].filter(({ grant }) => grant.subject === query.subject),
          query,
        ),
      ),
    listRevoked: (query) => execute(slot, false, () => pageOfLog(revocations, query)),
    purge: (now, limit) =>
      execute(slot, true, () => {
        const dead = [...rows.values()].filter((row) => deletableAt(row) <= now)
        for (const row of dead.slice(0, limit))
          put(row.id, null, () => {
            recorder.deleted(row, now)
          })
        return Math.min(dead.length, limit)
      }),
    claimOnce({ key, owner, expiresAt }, now) {
      assertIntegers({ expiresAt, now })
      return execute(slot, true, () => {
        const known = oneTimeKeys.get(key)
        if (known !== undefined && known.expiresAt > now) return known.owner
        oneTimeKeys.set(key, { owner, expiresAt })
        return owner
      })
    },
  })

  return {
    storeFor,
    rows,
    fail(ms) {
      outUntil = Math.max(outUntil, clock.now() + ms)
    },
    failOver(lagMs) {
      outUntil = Math.max(outUntil, clock.now() + TAKE_OVER_MS)
      for (let last = undo.at(-1); last !== undefined && last.at > clock.now() - lagMs; last = undo.at(-1)) {
        undo.pop()
        last.forget()
        if (last.row === undefined) rows.delete(last.id)
        else rows.set(last.id, last.row)
      }
    },
    enableFaults() {
      rates = plan.rates
    },
    disableFaults() {
      outUntil = 0
      rates = NO_FAULTS
    },
  }
}

/** An integer column rejects other values although the store works: core must not send them. */
function assertIntegers(command: object): void {
  for (const [name, value] of Object.entries(command)) {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new Error(`${name} is not an integer`)
  }
}
