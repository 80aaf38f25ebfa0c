import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createPlan } from './plan.js'
import { run } from './run.js'
import { add, type Failure, scheduleSeed, EMPTY_TALLY, playAll, type Range, type Tally } from './schedules.js'
import { type Cut, cutPlan, shrink } from './shrink.js'

const USAGE = `pnpm simulate -- [--schedules N] [--seed S] [--workers N]
pnpm simulate -- --seed S --only K [--without 0,3] [--calm slow,copied] [--length MS]

Plays N schedules with the real core, endpoints and clients on a virtual clock. Everything else is simulated.
  --schedules  number of schedules; default 10000
  --seed       seed of the schedules; default 1
  --workers    number of processes; default one for each processor
  --only       play one schedule and print its events
  --without    leave out incidents, by index
  --calm       turn off faults, by name
  --length     end the schedule after this number of milliseconds`

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: String(availableParallelism()) },
    only: { type: 'string' },
    without: { type: 'string', default: '' },
    calm: { type: 'string', default: '' },
    length: { type: 'string' },
    worker: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const MAX_SHRUNK = 3
/** The number of schedules that a worker plays at a time. */
const BATCH_SIZE = 200

if (values.worker) work()
else if (values.help) console.log(USAGE)
else if (values.only !== undefined) await replay(Number(values.only))
else await main()

/** Main loop of a worker process: plays one range after another and sends the tally of each. */
function work(): void {
  process.on('message', (range: Range) => {
    void playAll(range).then((tally) => process.send?.(tally))
  })
}

async function main(): Promise<void> {
  const { seed } = values
  const schedules = Number(values.schedules)
  let tally = EMPTY_TALLY
  let first = 0
  async function runWorker(): Promise<void> {
    const worker = fork(fileURLToPath(import.meta.url), ['--worker'])
    while (first < schedules) {
      const range = { seed, first, count: Math.min(BATCH_SIZE, schedules - first) }
      first += range.count
      const share = await playInWorker(worker, range)
      tally = add(tally, share)
      for (const { schedule, invariant, message } of share.failures)
        console.log(`schedule ${String(schedule)}: ${invariant}: ${message}`)
      console.error(formatSummary(tally))
    }
    worker.disconnect()
  }
  await Promise.all(Array.from({ length: Number(values.workers) }, runWorker))
  console.log(formatSummary(tally))
  for (const failure of tally.failures.slice(0, MAX_SHRUNK)) await printFailure(failure)
  process.exitCode = tally.failures.length === 0 ? 0 : 1
}

function playInWorker(worker: ChildProcess, range: Range): Promise<Tally> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => {
      reject(new Error(`a worker exited with ${String(code)}`))
    }
    worker.once('exit', onExit)
    worker.once('message', (tally: Tally) => {
      worker.off('exit', onExit)
      resolve(tally)
    })
    worker.send(range)
  })
}

function formatSummary(tally: Tally): string {
  const { schedules, requests, codes, imports, rotations, proofs, retries, heals, reuses, faults, failures } = tally
  return [
    `${String(schedules)} schedules`,
    `${String(requests)} requests`,
    `${String(codes)} codes redeemed`,
    `${String(imports)} imports`,
    `${String(rotations)} rotations`,
    `${String(proofs)} responses to a proof`,
    `${String(retries)} retries`,
    `${String(heals)} heals`,
    `${String(reuses)} reuse verdicts`,
    `${String(faults)} responses with 503`,
    `${String(failures.length)} violations`,
  ].join(', ')
}

async function printFailure({ schedule, invariant, message }: Failure): Promise<void> {
  console.log(`\n${invariant}: ${message} (schedule ${String(schedule)})`)
  console.log(`  ${commandFor(schedule, await shrink(createPlan(scheduleSeed(values.seed, schedule)), invariant))}`)
}

function commandFor(schedule: number, { without, calm, lengthMs }: Cut): string {
  const parts = [
    `npx pnpm simulate -- --seed ${values.seed} --only ${String(schedule)}`,
    ...(without.length === 0 ? [] : [`--without ${without.join(',')}`]),
    ...(calm.length === 0 ? [] : [`--calm ${calm.join(',')}`]),
    ...(lengthMs === null ? [] : [`--length ${String(lengthMs)}`]),
  ]
  return parts.join(' ')
}

async function replay(schedule: number): Promise<void> {
  const plan = createPlan(scheduleSeed(values.seed, schedule))
  const splitList = (text: string) => text.split(',').filter((part) => part !== '')
  const rates = Object.keys(plan.rates) as (keyof typeof plan.rates)[]
  const cut = {
    without: splitList(values.without).map(Number),
    calm: rates.filter((rate) => splitList(values.calm).includes(rate)),
    lengthMs: values.length === undefined ? null : Number(values.length),
  }
  const chosen = cutPlan(plan, cut)
  console.log(chosen)
  const { lines, violation, digest } = await run(chosen)
  for (const line of lines) console.log(line)
  console.log(violation === null ? 'no violation' : `${violation.invariant}: ${violation.message}`, digest)
  process.exitCode = violation === null ? 0 : 1
}
