import { describe, expect, it } from 'vitest'
import { explore } from '../src/model/explore.js'
import { setups } from '../src/model/setups.js'
import { applyTo, type ModelStore } from '../src/model/store.js'

const STATES = 2500

describe('the model', () => {
  const met = new Set<string>()

  it.each(setups.map((setup) => [setup.name, setup] as const))(
    'the model finds no violation in the world "%s"',
    async (_name, setup) => {
      const { finding, states, occasions } = await explore(setup, { depth: 1000, states: STATES })
      expect(finding).toBeNull()
      expect(states).toBeGreaterThanOrEqual(STATES)
      for (const occasion of occasions.keys()) met.add(occasion)
    },
  )

  it('the model has met every kind of outcome', () => {
    expect([...met].sort()).toEqual(
      ['faults', 'healed', 'imported', 'issued', 'refused', 'renewed', 'retried', 'reuse', 'revoked', 'rotated'].sort(),
    )
  })

  it('the model visits the same states in the same order every time', async () => {
    const again = () => explore(setups[0]!, { depth: 5, states: 10_000 })
    expect(await again()).toEqual(await again())
  })

  const broken: Record<string, { world: string; invariant: string; store: ModelStore }> = {
    'swaps without comparing': {
      world: 'two tabs on a bad network',
      invariant: 'I1',
      store: (record, call) =>
        call.method === 'rotate' && record !== null
          ? applyTo(record, { ...call, command: { ...call.command, expect: record.current.verifier } })
          : applyTo(record, call),
    },
    'loses revocations': {
      world: 'sign-out during refreshes',
      invariant: 'I14',
      store: (record, call) => (call.method === 'revoke' ? record : applyTo(record, call)),
    },
    'extends a family past its absolute expiry': {
      world: 'a family that expires',
      invariant: 'I10',
      store: (record, call) => {
        const after = applyTo(record, call)
        return after === record || after === null
          ? record
          : { ...after, expiresAt: after.lifetime.absoluteExpiresAt + 1 }
      },
    },
    'rotates without a new generation': {
      world: 'two tabs on a bad network',
      invariant: 'I4',
      store: (record, call) => {
        const after = applyTo(record, call)
        return after === record || after === null || record === null
          ? after
          : { ...after, current: { ...after.current, generation: record.current.generation } }
      },
    },
  }

  const anew: ModelStore = (record, call) => (call.method === 'create' ? call.record : applyTo(record, call))
  broken['creates a second family from a code'] = { world: 'a code on a bad network', invariant: 'I17', store: anew }
  broken['creates a second family from a legacy token'] = {
    world: 'a legacy token on a bad network',
    invariant: 'I1',
    store: anew,
  }

  it.each(Object.entries(broken))(
    'the model reports the steps to the violation of a store that %s',
    async (_name, { world, invariant, store }) => {
      const setup = setups.find(({ name }) => name === world)!
      const { finding } = await explore(setup, { depth: 1000, states: 2 * STATES, store })
      expect(finding).toMatchObject({ invariant })
      expect(finding!.steps.length).toBeGreaterThan(0)
    },
  )
})
