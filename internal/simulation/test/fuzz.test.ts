import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fuzz } from '../src/fuzz/fuzz.js'
import { createRawTargets } from '../src/fuzz/raw-http.js'
import { createTargets, type FuzzTarget } from '../src/fuzz/targets.js'

const limits = { seed: 'test', maxMs: Infinity }

describe('every parser of untrusted input', async () => {
  const targets = await createTargets()
  it.each(targets.map((target) => [target.name, target] as const))(
    'a parser rejects random input in time: %s',
    async (_name, target) => {
      expect(await fuzz(target, { ...limits, inputs: 1500 })).toMatchObject({ inputs: 1500, failure: null })
    },
  )
})

describe('every adapter', () => {
  let raw: Awaited<ReturnType<typeof createRawTargets>>
  beforeAll(async () => {
    raw = await createRawTargets()
  })
  afterAll(() => raw.close())

  it('every adapter survives random bytes on a socket', async () => {
    expect(raw.targets).toHaveLength(4)
    for (const target of raw.targets)
      expect(await fuzz(target, { ...limits, inputs: 150 })).toMatchObject({ inputs: 150, failure: null })
  })
})

describe('the fuzzer', () => {
  const careless: FuzzTarget = {
    name: 'a parser that fails on a quotation mark',
    seeds: ['abc'],
    async feed(input) {
      if (Buffer.from(input).includes('"')) throw new Error('unexpected quotation mark')
    },
  }

  it('the fuzzer finds the input on which a parser fails', async () => {
    const { failure } = await fuzz(careless, { ...limits, inputs: 100_000 })
    expect(failure).toMatchObject({ message: 'Error: unexpected quotation mark' })
    expect(Buffer.from(failure!.input, 'base64').toString()).toContain('"')
  })

  it('the fuzzer makes the same inputs from the same seed', async () => {
    const again = () => fuzz(careless, { ...limits, inputs: 100_000 })
    const [one, other] = [await again(), await again()]
    expect(other.failure).toEqual(one.failure)
    expect(other.inputs).toBe(one.inputs)
  })
})
