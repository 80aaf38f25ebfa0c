import { parseArgs } from 'node:util'
import { createDetectors } from './detectors.js'
import { type Fault, faults } from './faults.js'
import { type WorkingCopy, createCopy } from './working-copy.js'

const USAGE = `pnpm mutants -- [--only TEXT] [--all] [--workers N]

Inserts one fault at a time into a copy of the sources and reports which program detects it.
  --only     only faults whose name matches this regular expression
  --all      run every detector, even after the first one has detected the fault
  --workers  number of copies in parallel; default 2`

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    all: { type: 'boolean', default: false },
    workers: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
})

interface Verdict {
  readonly fault: Fault
  readonly detectedBy: readonly string[]
  readonly seconds: number
}

if (values.help) console.log(USAGE)
else await main()

async function main(): Promise<void> {
  const chosen = faults.filter(({ name }) => new RegExp(values.only).test(name))
  const waiting = [...chosen]
  const survivors: string[] = []
  let worksAt: Promise<unknown> = Promise.resolve()

  async function work(): Promise<void> {
    const copy = await createCopy()
    try {
      // A detector that fails without a fault would detect everything. One copy at a time: the detectors need the whole
      // machine.
      await (worksAt = worksAt.then(() => assertBaseline(copy, waiting[0])))
      for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
        const verdict = await judge(copy, fault)
        if (verdict.detectedBy.length === 0) survivors.push(fault.name)
        console.log(formatRow(verdict))
      }
    } finally {
      await copy.remove()
    }
  }

  console.log('seconds  detected by            fault')
  await Promise.all(Array.from({ length: Number(values.workers) }, work))
  console.log(`${String(chosen.length)} faults, ${String(chosen.length - survivors.length)} detected`)
  for (const name of survivors) console.log(`NOT DETECTED: ${name}`)
  process.exitCode = survivors.length === 0 ? 0 : 1
}

async function assertBaseline(copy: WorkingCopy, fault: Fault | undefined): Promise<void> {
  if (fault === undefined) return
  for (const detector of createDetectors(fault)) {
    if (await detector.detects(copy)) throw new Error(`${detector.name} fails without a fault; fix that first`)
  }
}

async function judge(copy: WorkingCopy, fault: Fault): Promise<Verdict> {
  const startedAt = performance.now()
  const restore = await copy.inject(fault)
  const detectedBy: string[] = []
  try {
    for (const detector of createDetectors(fault)) {
      if (await detector.detects(copy)) detectedBy.push(detector.name)
      if (detectedBy.length > 0 && !values.all) break
    }
  } finally {
    await restore()
  }
  return { fault, detectedBy, seconds: (performance.now() - startedAt) / 1000 }
}

function formatRow({ fault, detectedBy, seconds }: Verdict): string {
  const names = detectedBy.length === 0 ? 'none' : detectedBy.join(', ')
  return `${seconds.toFixed(1).padStart(7)}  ${names.padEnd(21)}  ${fault.name} (${fault.file})`
}
