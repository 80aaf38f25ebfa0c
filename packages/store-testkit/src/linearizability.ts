import { isEqual } from './equality.js'
import { type Call, type State, stepOf } from './model.js'

/**
 * One call on one family, with the positions of its beginning and end in the order of all beginnings and ends. A call that failed
 * or never returned has no end: it may have taken effect at any later time, or not at all.
 */
export interface Operation {
  readonly call: Call
  readonly begin: number
  readonly end: number | null
  /** What the store answered; of no meaning without an end. */
  readonly answer: State
}

/**
 * Returns true if one order of these calls on one family explains all results, where each call takes effect at one instant between its
 * beginning and its end. `initial` is the record before the first call. The search is the one of Wing and Gong; it never visits the same
 * set of calls with the same record twice.
 *
 * @example
 * ```ts
 * import { memoryStore } from '@baton/store-memory'
 * import { familyOf, isLinearizable, recorder } from '@baton/store-testkit'
 *
 * const store = memoryStore()
 * const { operations, record } = recorder()
 * const family = familyOf('one')
 * await Promise.all([
 *   record({ method: 'create', record: family }, () => store.create(family, 0)),
 *   record({ method: 'find' }, () => store.find(family.id)),
 * ])
 * console.log(isLinearizable(operations))
 * ```
 */
export function isLinearizable(history: readonly Operation[], initial: State = null): boolean {
  const seen = new Set<string>()

  function search(pending: readonly Operation[], state: State): boolean {
    if (pending.every(({ end }) => end === null)) return true
    const key = `${pending.map(({ begin }) => begin).join(',')}|${JSON.stringify(state)}`
    if (seen.has(key)) return false
    seen.add(key)
    // Whatever began after another call had ended cannot have come before it.
    const firstEnd = Math.min(...pending.map(({ end }) => end ?? Infinity))
    return pending.some((operation) => {
      if (operation.begin > firstEnd) return false
      const next = stepOf(state, operation.call)
      if (operation.end !== null && !isEqual(next.answer, operation.answer)) return false
      return search(
        pending.filter((other) => other !== operation),
        next.state,
      )
    })
  }

  return search(history, initial)
}

/** Collects what callers did to one family, in any number of calls at once. */
export interface Recorder {
  readonly operations: readonly Operation[]
  /** Runs the call and notes when it began and ended. Rejects as it does; the history then has a call without an end. */
  readonly record: (call: Call, run: () => Promise<State>) => Promise<State>
}

/**
 * Returns a recorder of concurrent calls on one family, for `isLinearizable`.
 *
 * @example
 * ```ts
 * import { memoryStore } from '@baton/store-memory'
 * import { familyOf, recorder } from '@baton/store-testkit'
 *
 * const store = memoryStore()
 * const { operations, record } = recorder()
 * const family = familyOf('one')
 * await record({ method: 'create', record: family }, () => store.create(family, 0))
 * console.log(operations.length) // 1
 * ```
 */
export function recorder(): Recorder {
  const operations: Operation[] = []
  let time = 0
  const tick = () => (time += 1)
  return {
    operations,
    async record(call, run) {
      const begin = tick()
      try {
        const answer = await run()
        operations.push({ call, begin, end: tick(), answer })
        return answer
      } catch (error) {
        operations.push({ call, begin, end: null, answer: null })
        throw error
      }
    },
  }
}

/**
 * Returns the history as text with one line per call, in the order in which the calls began.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict'
 * import { describeHistory, isLinearizable, type Operation } from '@baton/store-testkit'
 *
 * const check = (history: readonly Operation[]) => assert.ok(isLinearizable(history), describeHistory(history))
 * ```
 */
export function describeHistory(history: readonly Operation[]): string {
  return [...history]
    .sort((one, other) => one.begin - other.begin)
    .map(({ call, begin, end, answer }) => {
      const outcome = end === null ? 'never answered' : `answered ${describeState(answer)}`
      return `${String(begin)}–${end === null ? '?' : String(end)} ${describeCall(call)} ${outcome}`
    })
    .join('\n')
}

function describeCall(call: Call): string {
  switch (call.method) {
    case 'create':
      return `create ${call.record.current.verifier}`
    case 'find':
      return 'find'
    case 'rotate':
      return `rotate ${call.command.expect} to ${call.command.next?.verifier ?? 'itself'} at ${String(call.command.now)}`
    case 'revoke':
      return `revoke ${call.revocation.id}`
    case 'list':
      return `list at ${String(call.now)}`
  }
}

function describeState(state: State): string {
  if (state === null) return 'nothing'
  const { current, expiresAt, revocation } = state
  const end = revocation === null ? `until ${String(expiresAt)}` : `revoked by ${revocation.id}`
  return `${current.verifier} (generation ${String(current.generation)}, ${end})`
}
