import { createHash } from 'node:crypto'
import { resumableCore } from './core-call.js'
import { canonicalForm } from './identity.js'
import { createJudge, type Occasion } from './judge.js'
import { createLineage } from '../history/lineage.js'
import { type Move, listMoves, type Rules } from './moves.js'
import { Violation } from '../history/violation.js'
import type { ModelStore } from './store.js'
import type { Setup, World } from './world.js'

export interface SearchLimits {
  /** The maximum number of events in a row. */
  readonly depth: number
  /** The search ends after this number of states, even in the middle of a level. */
  readonly states: number
  /** A store that violates the contract, to show that the search detects it. */
  readonly store?: ModelStore
}

interface Finding {
  readonly invariant: string
  readonly message: string
  /** The shortest sequence of events that leads to the violation. */
  readonly steps: readonly string[]
}

export interface SearchReport {
  /** Every order of this number of events has been tried. */
  readonly depth: number
  /** No further event is possible. Longer sequences only repeat states. */
  readonly isComplete: boolean
  readonly states: number
  readonly transitions: number
  readonly occasions: ReadonlyMap<Occasion, number>
  readonly finding: Finding | null
}

const BORN_AT = Date.UTC(2030, 0, 1)

/** Searches every order of events breadth first, so that the first violation found has a shortest sequence. */
export async function explore(setup: Setup, limits: SearchLimits): Promise<SearchReport> {
  const lineage = createLineage()
  const judge = createJudge(setup, lineage, limits.store)
  const core = resumableCore(setup.core)
  const rules: Rules = { setup, core, lineage, judge }
  const first = await firstWorld(rules)

  const seen = new Set([hash(canonicalForm(first, lineage))])
  /** For each state: the index of the previous state, and the index of the move between them. */
  const parents = [-1]
  const moveIndexes = [0]
  let level: { world: World; index: number }[] = [{ world: first, index: 0 }]
  let transitions = 0
  let depth = 0

  const report = (isComplete: boolean, finding: Finding | null): SearchReport => ({
    depth,
    isComplete,
    states: seen.size,
    transitions,
    occasions: judge.occasions,
    finding,
  })

  while (level.length > 0 && depth < limits.depth) {
    const next: typeof level = []
    for (const { world, index } of level) {
      for (const [moveIndex, move] of listMoves(rules, world).entries()) {
        transitions += 1
        let after: World
        try {
          after = await move.make()
        } catch (error) {
          if (!(error instanceof Violation)) throw error
          const steps = [...(await replayPath(rules, first, pathTo(parents, moveIndexes, index))), move.words()]
          return report(false, { invariant: error.invariant, message: error.message, steps })
        }
        const key = hash(canonicalForm(after, lineage))
        if (seen.has(key)) continue
        seen.add(key)
        parents.push(index)
        moveIndexes.push(moveIndex)
        next.push({ world: after, index: parents.length - 1 })
      }
      if (seen.size >= limits.states) return report(false, null)
    }
    level = next
    depth += 1
  }
  return report(level.length === 0, null)
}

/** The rotation from which a code or a legacy token is said to come. No store has a record of it. */
const ORIGIN = 'the origin'

async function firstWorld({ setup, core, lineage }: Rules): Promise<World> {
  const { text, record, expiresAt } = await core.begin(setup.startsFrom, BORN_AT)
  const verifier = record?.current.verifier ?? ORIGIN
  const link = { verifier, presented: null, madeAt: BORN_AT, appliedAt: BORN_AT, key: null }
  lineage.noteLink(link, null)
  lineage.noteToken(verifier, text)
  return {
    now: BORN_AT,
    code: expiresAt === null ? null : { text, expiresAt },
    fallbacks: 0,
    sent: 0,
    remaining: setup.budget,
    record,
    chain: [link],
    verdict: false,
    reported: false,
    past: [],
    places: { 'shared storage': text, 'storage of tab C': text },
    stolenTokens: [],
    stolenKey: null,
    flights: [],
  }
}

function pathTo(parents: readonly number[], moveIndexes: readonly number[], index: number): number[] {
  const way: number[] = []
  for (let at = index; at > 0; at = parents[at] ?? 0) way.unshift(moveIndexes[at] ?? 0)
  return way
}

async function replayPath(rules: Rules, first: World, way: readonly number[]): Promise<string[]> {
  const steps: string[] = []
  let world = first
  for (const moveIndex of way) {
    const move: Move | undefined = listMoves(rules, world)[moveIndex]
    if (move === undefined) throw new Error('the recorded path does not exist')
    steps.push(move.words())
    world = await move.make()
  }
  return steps
}

function hash(identity: string): string {
  return createHash('md5').update(identity).digest('base64')
}
