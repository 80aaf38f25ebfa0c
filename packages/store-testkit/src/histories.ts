import assert from 'node:assert/strict'
import type { TokenStore } from '@baton/core'
import { declareOptions, integer, optional, type OptionsOf, withDefault } from '@baton/core/options'
import { describeHistory, isLinearizable, recorder, type Recorder } from './linearizability.js'
import type { Call, State } from './model.js'
import { claimOf, familyOf, HOUR, hashOf, NOW, renewalOf, revocationOf, rotationOf, verifier } from './records.js'
import { type Choices, choicesOf } from './seeded.js'
import { closing, type StoreCase } from './store-case.js'

/** Connections to one and the same store, such as one per process. */
export interface OpenedStores {
  readonly stores: readonly TokenStore[]
  readonly close?: () => unknown
}

const COUNT = { min: 1, max: 1_000_000_000 }

const linearizabilityOptions = declareOptions({
  /** The same seed makes the same calls; their order depends on the engine. Default 1. */
  seed: withDefault(integer({ min: 0, max: 2 ** 53 - 1 }), 1),
  /** The number of histories. Default: the environment variable `BATON_HISTORIES`, or 100. A hundred make one case. */
  histories: optional(integer(COUNT)),
  /** The number of concurrent callers on each connection. Default 2. */
  callers: withDefault(integer(COUNT), 2),
})

export type LinearizabilityOptions = OptionsOf<typeof linearizabilityOptions>

const HISTORIES_PER_CASE = 100
const CALLS_PER_CALLER = 5
const MINUTE = 60_000

/**
 * Returns cases that record the results of concurrent callers on several connections to the same few families, and fail unless one order
 * of the calls explains all results. A call that rejects fails the case.
 *
 * @example
 * ```ts
 * import { test } from 'node:test'
 * import { memoryStore } from '@baton/store-memory'
 * import { linearizabilityCases } from '@baton/store-testkit'
 *
 * const open = () => ({ stores: [memoryStore()] })
 * for (const { name, run } of linearizabilityCases(open, { histories: 1000 })) void test(name, run)
 * ```
 */
export function linearizabilityCases(
  openStores: () => OpenedStores | Promise<OpenedStores>,
  options: LinearizabilityOptions = {},
): StoreCase[] {
  const { seed, callers, ...given } = linearizabilityOptions.parse('linearizabilityCases', options)
  const histories =
    given.histories ??
    linearizabilityOptions.fields.histories.rule.parse(Number(process.env['BATON_HISTORIES'] ?? 100), 'BATON_HISTORIES')
  return Array.from({ length: Math.ceil(histories / HISTORIES_PER_CASE) }, (_, part) => {
    const first = part * HISTORIES_PER_CASE + 1
    const last = Math.min(histories, first + HISTORIES_PER_CASE - 1)
    return {
      name: `linearizability: histories ${String(first)} to ${String(last)} of seed ${String(seed)}`,
      async run() {
        const opened = await openStores()
        assert.ok(opened.stores.length > 0, 'openStores: there must be one store at least')
        await closing(opened, async () => {
          const hands = Array.from({ length: callers }, () => opened.stores).flat()
          for (let index = first; index <= last; index += 1)
            await checkHistory(hands, `${String(seed)}/${String(index)}`)
        })
      },
    }
  })
}

async function checkHistory(hands: readonly TokenStore[], name: string): Promise<void> {
  const families = Array.from({ length: 1 + choicesOf(name).below(2) }, (_, index) => `${name} ${String(index)}`)
  const recorders = new Map(families.map((family) => [family, recorder()]))
  const owners = new Set<string>()
  const claimants = new Set<string>()
  await Promise.all(
    hands.map(async (store, hand) => {
      const choices = choicesOf(`${name} ${String(hand)}`)
      const callers = [...recorders].map(([family, { record }]) =>
        callerOn({ store, family, record, choices, name: `${family} ${String(hand)}` }),
      )
      for (let turn = 0; turn < CALLS_PER_CALLER * callers.length; turn += 1) {
        const caller = callers[choices.below(callers.length)]
        if (choices.below(10) === 0) {
          const claim = claimOf(name, `${String(hand)} ${String(turn)}`)
          claimants.add(claim.owner)
          owners.add(await store.claimOnce(claim, NOW))
        }
        await caller?.(turn)
      }
    }),
  )
  for (const [family, { operations }] of recorders)
    assert.ok(
      isLinearizable(operations),
      `no order of these calls explains their answers (history ${name}, family ${family}):\n${describeHistory(operations)}`,
    )
  assert.ok(
    owners.size <= 1 && [...owners].every((owner) => claimants.has(owner)),
    `exactly one claim of a key wins, and every claim gets its owner (history ${name})`,
  )
}

interface Caller {
  readonly store: TokenStore
  readonly family: string
  readonly name: string
  readonly record: Recorder['record']
  readonly choices: Choices
}

/** A caller whose next call depends on the record that its last call returned. */
function callerOn({ store, family, name, record, choices }: Caller): (turn: number) => Promise<void> {
  let known: State = null
  return async (turn) => {
    const call = callOf({ known, family, choices, name: `${name} ${String(turn)}` })
    const answer = await record(call, () => execute(store, familyOf(family).id, subjectOf(family), call))
    if (answer !== null) known = answer
  }
}

interface Occasion {
  readonly known: State
  readonly family: string
  /** Of this call, and no other. */
  readonly name: string
  readonly choices: Choices
}

function callOf({ known, family, name, choices }: Occasion): Call {
  // Some calls come when the idle end has passed, or the absolute one.
  const now = NOW + choices.oneOf([0, 1, 10, 59, 60, 61, 89, 90]) * MINUTE
  const chance = choices.below(100)
  if (known === null)
    return chance < 60
      ? { method: 'create', record: newborn(family, name) }
      : chance < 80
        ? { method: 'find' }
        : { method: 'list', now }
  if (chance < 50)
    return { method: 'rotate', command: rotationOf(known, now, { verifier: verifier(name), retryKey: hashOf(name) }) }
  if (chance < 65) return { method: 'rotate', command: renewalOf(known, now) }
  if (chance < 80) return { method: 'find' }
  if (chance < 88) return { method: 'list', now }
  if (chance < 94) return { method: 'create', record: newborn(family, name) }
  return { method: 'revoke', revocation: revocationOf(name, { at: now }) }
}

/** Idle after an hour, over after an hour and a half. */
function newborn(family: string, name: string) {
  const times = {
    idleMs: HOUR,
    expiresAt: NOW + HOUR,
    absoluteExpiresAt: NOW + 90 * MINUTE,
    keepUntil: NOW + 100 * HOUR,
  }
  return familyOf(family, { ...times, subject: subjectOf(family), verifier: verifier(name), metadata: { name } })
}

function subjectOf(family: string): string {
  return `subject ${family}`
}

/** Makes the call on a family that is its subject's only one. */
async function execute(
  store: TokenStore,
  id: ReturnType<typeof familyOf>['id'],
  subject: string,
  call: Call,
): Promise<State> {
  switch (call.method) {
    case 'create':
      return store.create(call.record, call.record.grant.createdAt)
    case 'find':
      return store.find(id)
    case 'rotate':
      return store.rotate(call.command)
    case 'revoke':
      return store.revoke(id, call.revocation)
    case 'list': {
      const { items } = await store.list({ subject, limit: 2, now: call.now })
      assert.ok(items.length <= 1, 'a family must be listed once')
      return items[0] ?? null
    }
  }
}
