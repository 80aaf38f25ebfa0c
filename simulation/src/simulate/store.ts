import type { FamilyRecord, TokenStore } from '@baton/core'
import { applyRevocation, applyRotation, deletableAt, pageOf } from '@baton/core/store'
import { type Chances, chancesOf } from './chances.js'
import type { Chronicle } from './chronicle.js'
import type { VirtualClock } from './clock.js'
import type { Plan, Rates } from './plan.js'
import type { Visit } from './visit.js'

const CALM = { storeFails: 0, storeFailsLate: 0, storeRepeats: 0, revokeRejects: 0 }

export interface SimulatedStore {
  /** The store as one desk sees it: what is asked through it is asked for the visit that stands there. */
  storeAt(desk: StoreDesk): TokenStore
  /** Nothing answers for so long. */
  fail(ms: number): void
  /** The last writes are gone, and nothing answers until the replica has taken over. */
  failOver(lagMs: number): void
  /** From here on things go wrong as planned; before, somebody signs in. */
  unleash(): void
  /** From here on nothing goes wrong by itself. */
  heal(): void
  readonly rows: ReadonlyMap<string, FamilyRecord>
}

/** Who asks. */
interface StoreDesk {
  readonly visit: Visit
  /** Called when the store is asked. */
  settle(): void
}

interface StoreWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly chances: Chances
  readonly chronicle: Chronicle
}

/** How long core's own limit would wait for a store; its timers are real ones, so that the simulation keeps the time instead. */
const TIMEOUT_MS = 5000
const TAKE_OVER_MS = 2000

/**
 * A store as core meets it: linearizable, as memory, SQLite and PostgreSQL are, with connections that fail before a command or
 * after it, answers that never come while the command takes effect later, and drivers that send one twice. As Redis it may also
 * forget its last writes when a replica takes over.
 */
export function simulatedStore({ plan, clock, chances, chronicle }: StoreWorld): SimulatedStore {
  const rows = new Map<string, FamilyRecord>()
  const remembered = new Map<string, { by: string; expiresAt: number }>()
  const undo: { at: number; id: string; row: FamilyRecord | undefined; forget: () => void }[] = []
  let rates: Pick<Rates, keyof typeof CALM> = CALM
  const replicas = chancesOf(`${plan.seed}/replicas`)
  let outUntil = 0
  const latency = () => clock.sleep(plan.engine === 'memory' ? 0 : chances.between(1, 8))

  async function execute<Answer>(desk: StoreDesk, isWrite: boolean, command: () => Answer): Promise<Answer> {
    const { visit } = desk
    desk.settle()
    const hurt = (message: string): Error => {
      visit.hurt = true
      return new Error(message)
    }
    await latency()
    if (clock.now() < outUntil) {
      await clock.sleep(chances.oneOf([5, TIMEOUT_MS]))
      throw hurt('no connection')
    }
    if (chances.happens(rates.storeFails)) throw hurt('the connection broke')
    if (isWrite && chances.happens(rates.storeFailsLate)) {
      if (chances.happens(0.5)) command()
      else clock.after(chances.between(100, 40_000), command)
      await clock.sleep(chances.oneOf([20, TIMEOUT_MS]))
      throw hurt('no answer')
    }
    let answer = command()
    if (isWrite && chances.happens(rates.storeRepeats)) {
      await clock.sleep(chances.between(1, 3000))
      answer = command()
    }
    await latency()
    return answer
  }

  function put(id: string, record: FamilyRecord | null, note: () => void): void {
    undo.push({ at: clock.now(), id, row: rows.get(id), forget: chronicle.checkpoint(id) })
    note()
    if (record === null) rows.delete(id)
    else rows.set(id, Object.freeze(record))
  }

  const storeAt = (desk: StoreDesk): TokenStore => ({
    create(record) {
      demandIntegers(record)
      const { visit } = desk
      return execute(desk, true, () => {
        const standing = rows.get(record.id)
        if (standing !== undefined) {
          chronicle.looked(visit, { before: standing, after: standing, madeAt: 0, at: clock.now(), isSwap: true })
          return standing
        }
        put(record.id, { ...record }, () => {
          chronicle.created(visit, record, clock.now())
        })
        return record
      })
    },
    find(id) {
      const { visit } = desk
      return execute(desk, false, () => {
        const row = rows.get(id) ?? null
        if (row !== null)
          chronicle.looked(visit, { before: row, after: row, madeAt: 0, at: clock.now(), isSwap: false })
        return row
      })
    },
    rotate(command) {
      const { id, next, now } = command
      demandIntegers({ ...next, now })
      const { visit } = desk
      return execute(desk, true, () => {
        const before = rows.get(id)
        if (before === undefined) return null
        const after = applyRotation(before, command)
        const note = () => {
          chronicle.looked(visit, { before, after, madeAt: now, at: clock.now(), isSwap: true })
        }
        if (after !== before) put(id, after, note)
        else note()
        return after
      })
    },
    revoke(id, revocation) {
      demandIntegers(revocation)
      const { visit } = desk
      const revoked = execute(desk, true, () => {
        const before = rows.get(id)
        if (before === undefined) return null
        const after = applyRevocation(before, revocation)
        if (after === before) return before
        put(id, after, () => {
          chronicle.revoked(visit, { before, after })
        })
        return after
      })
      return revoked.then((record) => {
        if (!replicas.happens(rates.revokeRejects)) return record
        visit.hurt = true
        throw new Error('too few replicas have the write')
      })
    },
    list: (query) =>
      execute(desk, false, () =>
        pageOf(
          [...rows.values()].filter(({ grant }) => grant.subject === query.subject),
          query,
        ),
      ),
    purge: (now, limit) =>
      execute(desk, true, () => {
        const dead = [...rows.values()].filter((row) => deletableAt(row) <= now)
        for (const row of dead.slice(0, limit))
          put(row.id, null, () => {
            chronicle.deleted(row, now)
          })
        return Math.min(dead.length, limit)
      }),
    remember({ key, by, expiresAt }, now) {
      demandIntegers({ expiresAt, now })
      return execute(desk, true, () => {
        const known = remembered.get(key)
        if (known !== undefined && known.expiresAt > now) return known.by
        remembered.set(key, { by, expiresAt })
        return by
      })
    },
  })

  return {
    storeAt,
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
    unleash() {
      rates = plan.rates
    },
    heal() {
      outUntil = 0
      rates = CALM
    },
  }
}

/** A column for integers rejects everything else, and nothing is wrong with the store: core must not send it. */
function demandIntegers(command: object): void {
  for (const [name, value] of Object.entries(command)) {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new Error(`${name} is no integer`)
  }
}
