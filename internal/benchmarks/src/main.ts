import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { startEngines } from './engines.js'
import { measureSize, measureSpeed, type Plan, type Size, type Speed } from './measure.js'
import type { Engines } from './messages.js'
import { renderMarkdown } from './report/markdown.js'
import { renderPlot } from './report/plot.js'
import { type Summary, summarize } from './report/summary.js'
import { type Row, findRows } from './row.js'

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    warm: { type: 'string' },
    rotations: { type: 'string' },
    seconds: { type: 'string' },
    clients: { type: 'string', default: '32' },
    sizes: { type: 'boolean', default: false },
    profiles: { type: 'string' },
    out: { type: 'string' },
  },
})

const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3))
const plan: Plan = {
  clients: Number(flags.clients),
  warmMilliseconds: Number(flags.warm ?? (flags.quick ? 0.2 : 4)) * 1000,
  rotations: Number(flags.rotations ?? (flags.quick ? 200 : Infinity)),
  maxMilliseconds: Number(flags.seconds ?? 4) * 1000,
  profiles: flags.profiles ?? null,
}
const sizePlan = flags.quick ? { sessions: 100, turns: 1 } : { sessions: 1000, turns: 3 }
const rows = findRows(names)
const failures = new Map<Row, string>()

const { engines, stop } = await startEngines(rows)
try {
  write(await measureAll(engines))
} finally {
  await stop()
}
for (const [row, message] of failures) console.log(`FAILED ${row.name}: ${message}`)
process.exitCode = failures.size === 0 ? 0 : 1

async function measureAll(on: Engines): Promise<Summary[]> {
  const speeds = new Map<Row, Speed[]>(rows.map((row) => [row, []]))
  const sizes = new Map<Row, Size>()
  // Rounds are interleaved, so that the load of the machine affects all rows.
  for (let round = 1; round <= rounds; round += 1) {
    for (const row of rows)
      await attempt(row, async () => {
        const speed = await measureSpeed(row, on, plan)
        speeds.get(row)?.push(speed)
        return `round ${String(round)}: ${speed.requestsPerSecond.toFixed(0)}/s, ${speed.cpuMicros.toFixed(0)} µs`
      })
  }
  for (const row of flags.sizes ? rows.filter(({ store }) => store !== null) : [])
    await attempt(row, async () => {
      const size = await measureSize(row, on, sizePlan)
      sizes.set(row, size)
      return `${size.bytesPerSession.toFixed(0)} B a session, ${size.commands.toFixed(2)} commands per rotation`
    })
  return rows.map((row) => summarize(row, speeds.get(row) ?? [], sizes.get(row) ?? null))
}

/** Reports a failed row and skips its later rounds. Other rows are still measured. */
async function attempt(row: Row, measure: () => Promise<string>): Promise<void> {
  if (failures.has(row)) return
  try {
    console.error(`${row.name.padEnd(32)} ${await measure()}`)
  } catch (error) {
    failures.set(row, error instanceof Error ? error.message : String(error))
    console.error(`${row.name.padEnd(32)} failed`)
  }
}

function write(summaries: readonly Summary[]): void {
  const table = renderMarkdown(summaries)
  console.log(table)
  if (flags.out === undefined) return
  writeFileSync(`${flags.out}.md`, table)
  writeFileSync(`${flags.out}.json`, `${JSON.stringify(summaries, null, 2)}\n`)
  writeFileSync(`${flags.out}.svg`, renderPlot(summaries))
}
