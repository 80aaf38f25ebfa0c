import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { startEngines } from './engines.js'
import { startRow } from './measure.js'
import { findRows } from './row.js'

/*
 * Runs rows in short alternating turns, so that changes in the load of the machine affect all of them alike. Shows
 * differences of microseconds on a shared machine.
 *
 *   node internal/benchmarks/dist/compare.js bare/node baton/node/memory/sealed
 *   node internal/benchmarks/dist/compare.js baton/node/redis/sealed --with=../another-checkout
 */

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    with: { type: 'string' },
    clients: { type: 'string', default: '32' },
    warm: { type: 'string', default: '4' },
    turns: { type: 'string', default: '40' },
    seconds: { type: 'string', default: '0.4' },
  },
})
const clients = Number(flags.clients)
const rows = findRows(names)
const checkouts = [
  { label: '', folder: {} },
  ...(flags.with === undefined
    ? []
    : [{ label: ` of ${flags.with}`, folder: { folder: pathToFileURL(`${flags.with}/internal/benchmarks/dist/`) } }]),
]

interface Turn {
  readonly cpuMicros: number
  readonly requestsPerSecond: number
  readonly p50: number
}

interface Contender {
  readonly name: string
  run(milliseconds: number): Promise<Turn>
  stop(): Promise<void>
}

async function startContender(
  row: (typeof rows)[number],
  { label, folder }: (typeof checkouts)[number],
): Promise<Contender> {
  // Separate engines: each row starts with an empty one.
  const { engines, stop: stopEngines } = await startEngines([row])
  const started = await startRow({ row, engines, profiles: null, ...folder }).catch(async (error: unknown) => {
    await stopEngines()
    throw error
  })
  const { target, server, load, stop: stopRow } = started
  let chains = await server.issue(clients)
  return {
    name: row.name + label,
    async stop() {
      await stopRow()
      await stopEngines()
    },
    async run(milliseconds) {
      await server.usage()
      const ran = await load(target, chains, clients, { milliseconds, rotations: Infinity })
      chains = ran.chains
      const { cpuMicros } = await server.usage()
      return { cpuMicros, requestsPerSecond: ran.rotations / ran.seconds, p50: quantile([...ran.latencies], 1 / 2) }
    },
  }
}

/** Returns the value below which this share of all values lies. */
function quantile(values: number[], share: number): number {
  return values.sort((one, other) => one - other)[Math.floor(values.length * share)] ?? NaN
}

const contenders: Contender[] = []
try {
  for (const row of rows) for (const checkout of checkouts) contenders.push(await startContender(row, checkout))
  const turns = new Map(contenders.map((contender) => [contender, [] as Turn[]]))
  for (const contender of contenders) await contender.run(Number(flags.warm) * 1000)
  for (let turn = 0; turn < Number(flags.turns); turn += 1)
    for (const contender of contenders) turns.get(contender)?.push(await contender.run(Number(flags.seconds) * 1000))
  console.log('| row | CPU µs, lowest | lower quarter | requests/s, upper quarter | p50 ms, lower quarter |')
  console.log('| --- | ---: | ---: | ---: | ---: |')
  for (const [{ name }, ran] of turns) {
    const of = (figure: keyof Turn, share: number) =>
      quantile(
        ran.map((turn) => turn[figure]),
        share,
      )
    const cpu = `${of('cpuMicros', 0).toFixed(1)} | ${of('cpuMicros', 1 / 4).toFixed(1)}`
    console.log(`| ${name} | ${cpu} | ${of('requestsPerSecond', 3 / 4).toFixed(0)} | ${of('p50', 1 / 4).toFixed(3)} |`)
  }
} finally {
  for (const contender of contenders) await contender.stop()
}
