import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.js'
import { createRawTargets } from './raw-http.js'
import { createTargets } from './targets.js'

const USAGE = `pnpm fuzz -- [--seconds N] [--seed S] [--target TEXT]

Sends random inputs to every parser of untrusted data. None may throw, be accepted, answer 500 or take long.
  --seconds  duration for each target; default 10
  --seed     the same seed gives the same inputs; default random
  --target   only targets whose name contains this text`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: randomBytes(6).toString('hex') },
    target: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(USAGE)
else await main()

async function main(): Promise<void> {
  const { seed } = values
  const limits = { seed, inputs: Infinity, maxMs: Number(values.seconds) * 1000 }
  const raw = await createRawTargets()
  const targets = [...(await createTargets()), ...raw.targets].filter(({ name }) => name.includes(values.target))
  console.log(`seed ${seed}\n  inputs  slowest ms  target`)
  for (const target of targets) {
    const { inputs, slowestMs, failure } = await fuzz(target, limits)
    console.log(`${String(inputs).padStart(8)} ${slowestMs.toFixed(1).padStart(11)}  ${target.name}`)
    if (failure === null) continue
    console.log(`  ${failure.message}; the input in base64:\n  ${failure.input}`)
    process.exitCode = 1
  }
  await raw.close()
}
