import { setImmediate } from 'node:timers/promises'

const CHECKS_PER_CALL = 4
/** The checks of a purge between two pauses: a million checks in one turn would delay other work by half a second. */
const CHECKS_PER_TURN = 1000

/** Deletes entries of a map. `deleteIfDead` returns true if it deleted the entry of the value. */
export function createCleaner<Value>(map: Map<unknown, Value>, deleteIfDead: (value: Value, now: number) => boolean) {
  let entries = map.entries()
  return {
    /** Checks the next few values, and begins again after the last. */
    checkSome(now: number): void {
      for (let checks = 0; checks < CHECKS_PER_CALL; checks += 1) {
        const { done, value: entry } = entries.next()
        if (done === true) return void (entries = map.entries())
        deleteIfDead(entry[1], now)
      }
    },

    /** Deletes up to `limit` entries and resolves with their number. */
    async purge(now: number, limit: number): Promise<number> {
      let [count, checks] = [0, 0]
      for (const value of map.values()) {
        if (count === limit) break
        if (deleteIfDead(value, now)) count += 1
        checks += 1
        if (checks % CHECKS_PER_TURN === 0) await setImmediate()
      }
      return count
    },
  }
}
