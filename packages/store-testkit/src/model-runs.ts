import assert from 'node:assert/strict'
import type { OneTimeKey, FamilyRecord, TokenStore } from '@baton/core'
import type * as fastCheckModule from 'fast-check'
import { assertEqual, isEqual } from './equality.js'
import { deletableAt, isAlive } from '@baton/core/store'
import { type Call, type State, stepOf } from './model.js'
import {
  claimOf,
  DAY,
  familyOf,
  HOUR,
  NOW,
  renewalOf,
  revocationOf,
  rotationOf,
  verifier,
  withChanges,
} from './records.js'
import { declareOptions, integer, optional, type OptionsOf, rule, withDefault } from '@baton/core/options'
import { type OpenStore, type StoreCase, tokenStoreCasesOptions, withStore } from './store-case.js'

const modelCasesOptions = declareOptions({
  /** As in `tokenStoreCases`. */
  deletion: tokenStoreCasesOptions.fields.deletion,
  /** The number of sequences of calls. Default 30; each opens a store. */
  runs: withDefault(integer({ min: 1, max: 1_000_000_000 }), 30),
  /** The seed of fast-check, which names it when a run fails. */
  seed: optional(integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  /** The module, for test runners that cannot import it, such as jest. Default: `import('fast-check')`. */
  fastCheck: optional(rule<object>('the module fast-check, as `import * as fc` returns it', isFastCheck)),
})

export type ModelCasesOptions = OptionsOf<typeof modelCasesOptions>

/** Indices that the run maps onto what there is. */
interface Command {
  readonly kind: 'create' | 'find' | 'rotate' | 'renew' | 'revoke' | 'list' | 'purge' | 'claimOnce'
  readonly family: number
  /** Which token is presented: the current one, an earlier one, or one never seen. */
  readonly token: number
  /** How much time passes before. */
  readonly pause: number
}

const KINDS = ['create', 'find', 'rotate', 'renew', 'revoke', 'list', 'purge', 'claimOnce'] as const
const NAMES = ['a', 'b', 'c', 'd'] as const
const PAUSES = [0, 0, 0, 1, 1, HOUR, DAY - HOUR, DAY - 1, DAY, 3 * DAY]
const SUBJECT = 'user-1'

/**
 * Returns a case that compares the results of arbitrary sequences of calls with a model of the contract, and shortens a sequence that
 * fails. Requires fast-check, an optional peer dependency.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { memoryStore } from '@baton/store-memory'
 * import { modelCases } from '@baton/store-testkit'
 *
 * for (const { name, run } of modelCases(() => memoryStore(), { runs: 100 })) void test(name, run)
 * ```
 */
export function modelCases(openStore: OpenStore, options: ModelCasesOptions = {}): StoreCase[] {
  const { deletion, runs, seed, fastCheck } = modelCasesOptions.parse('modelCases', options)
  return [
    {
      name: `model: ${String(runs)} arbitrary sequences of calls do what the contract says`,
      async run() {
        const fc = toFastCheck(fastCheck ?? (await importFastCheck()))
        const below = (count: number) => fc.nat({ max: count - 1 })
        const command = fc.record({
          kind: fc.constantFrom(...KINDS, 'rotate', 'rotate', 'create'),
          family: below(NAMES.length),
          token: below(6),
          pause: fc.constantFrom(...PAUSES),
        })
        const property = fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 60, size: 'max' }), (commands) =>
          withStore(openStore, ({ store }) => follow(store, commands, deletion === 'purge')),
        )
        await fc.assert(property, { numRuns: runs, ...(seed === undefined ? {} : { seed }) })
      },
    },
  ]
}

type FastCheck = typeof fastCheckModule

async function importFastCheck(): Promise<object> {
  try {
    return await import('fast-check')
  } catch (cause) {
    throw new Error(
      'modelCases needs fast-check: install it as a dev dependency (npm install --save-dev fast-check), or pass the module as the option fastCheck',
      { cause },
    )
  }
}

function toFastCheck(module: object): FastCheck {
  return ('default' in module && !('asyncProperty' in module) ? module.default : module) as FastCheck
}

function isFastCheck(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const found: unknown = toFastCheck(value)
  return typeof found === 'object' && found !== null && 'asyncProperty' in found && 'constantFrom' in found
}

/** Carries out the commands on the store and on the model, and compares after each. */
async function follow(store: TokenStore, commands: readonly Command[], purges: boolean): Promise<void> {
  const states = new Map<string, State>(NAMES.map((name) => [name, null]))
  const claims = new Map<string, OneTimeKey>()
  let now = NOW

  /** What is dead and past `keepUntil` may be gone already; whether it is, only the store knows. */
  async function compare(name: string, call: Call, run: () => Promise<State>): Promise<void> {
    const state = states.get(name) ?? null
    const steps = [stepOf(state, call)]
    if (state !== null && isOver(state, now)) steps.push(stepOf(null, call))
    const answer = await run()
    const step = steps.find((candidate) => isEqual(candidate.answer, answer))
    if (step === undefined) assertEqual(answer, steps[0]?.answer)
    else states.set(name, step.state)
  }

  async function carryOut({ kind, family, token }: Command, turn: number): Promise<void> {
    const name = NAMES[family] ?? NAMES[0]
    const state = states.get(name) ?? null
    const presented = presentedBy(name, state, token, turn)
    switch (kind) {
      case 'create': {
        const record = newborn(name, now, turn)
        await compare(name, { method: 'create', record }, () => store.create(record, now))
        break
      }
      case 'find':
        await compare(name, { method: 'find' }, () => store.find(presented.id))
        break
      case 'rotate':
      case 'renew': {
        const command =
          kind === 'renew'
            ? renewalOf(presented, now)
            : rotationOf(presented, now, { verifier: verifier(`${name} ${String(turn)}`) })
        await compare(name, { method: 'rotate', command }, () => store.rotate(command))
        break
      }
      case 'revoke': {
        const revocation = revocationOf(String(turn), { at: now })
        await compare(name, { method: 'revoke', revocation }, () => store.revoke(presented.id, revocation))
        break
      }
      case 'list':
        assertEqual(await pagesOf(store, 1 + token, now), livingOf(states, now))
        break
      case 'purge':
        await purge()
        break
      case 'claimOnce':
        await remember(name, turn)
    }
  }

  async function purge(): Promise<void> {
    const over = [...states].filter(([, state]) => state !== null && isOver(state, now))
    const forgotten = [...claims].filter(([, { expiresAt }]) => expiresAt <= now)
    const count = await store.purge(now, 1000)
    assert.ok(count <= over.length + forgotten.length, `purge must delete nothing else, and says ${String(count)}`)
    if (!purges) return
    for (const [name] of over) {
      assert.equal(await store.find(familyOf(name).id), null)
      states.set(name, null)
    }
    for (const [key] of forgotten) claims.delete(key)
  }

  async function remember(key: string, turn: number): Promise<void> {
    const standing = claims.get(key)
    // An engine that deletes by its own clock has not deleted the expired claim yet.
    if (!purges && standing !== undefined && standing.expiresAt <= now) return
    const claim = claimOf(key, String(turn), now + HOUR)
    const owner = standing !== undefined && standing.expiresAt > now ? standing : claim
    assert.equal(await store.claimOnce(claim, now), owner.owner)
    claims.set(key, owner)
  }

  for (const [turn, command] of commands.entries()) {
    now += command.pause
    await carryOut(command, turn)
  }
  for (const name of NAMES) await compare(name, { method: 'find' }, () => store.find(familyOf(name).id))
  assertEqual(await pagesOf(store, 100, now), livingOf(states, now))
}

/** Of differing kinds: idle or not, kept beyond their end or not. */
function newborn(name: string, now: number, turn: number): FamilyRecord {
  const idleMs = name === 'b' ? null : DAY
  const absoluteExpiresAt = now + (name === 'c' ? DAY + HOUR : 4 * DAY)
  return familyOf(name, {
    verifier: verifier(`${name} born ${String(turn)}`),
    idleMs,
    absoluteExpiresAt,
    expiresAt: idleMs === null ? absoluteExpiresAt : now + idleMs,
    rotatedAt: now,
    keepUntil: name === 'd' ? now + 6 * DAY : now,
    // No two alike, so that the order of the list is settled.
    createdAt: NOW - NAMES.indexOf(name as 'a') - turn * NAMES.length,
    metadata: { turn },
  })
}

function presentedBy(name: string, state: State, token: number, turn: number): FamilyRecord {
  const record = state ?? familyOf(name)
  if (token < 4) return record
  return withChanges(record, { verifier: verifier(token === 4 ? `${name} ${String(turn - 1)}` : 'never seen') })
}

function livingOf(states: ReadonlyMap<string, State>, now: number): FamilyRecord[] {
  return [...states.values()]
    .filter((state): state is FamilyRecord => state !== null && isAlive(state, now))
    .sort((one, other) => other.grant.createdAt - one.grant.createdAt)
}

async function pagesOf(store: TokenStore, limit: number, now: number): Promise<FamilyRecord[]> {
  const items: FamilyRecord[] = []
  let cursor: string | null = null
  do {
    const query = { subject: SUBJECT, limit, now }
    const page = await store.list(cursor === null ? query : { ...query, cursor })
    assert.ok(page.items.length <= limit)
    items.push(...page.items)
    cursor = page.cursor
  } while (cursor !== null)
  return items
}

function isOver(record: FamilyRecord, now: number): boolean {
  return deletableAt(record) <= now
}
