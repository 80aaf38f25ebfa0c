import { parseArgs } from 'node:util'
import { explore, type SearchReport } from './explore.js'
import { setups } from './setups.js'

const USAGE = `pnpm model -- [--states N] [--depth N] [--world TEXT]

Searches every order of events in small worlds, breadth first, for a violated invariant.
  --states  maximum number of states in each world; default 100000
  --depth   maximum number of events in a row; default unlimited
  --world   only worlds whose name contains this text`

const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '100000' },
    depth: { type: 'string', default: '1000' },
    world: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(USAGE)
else await main()

async function main(): Promise<void> {
  const limits = { states: Number(values.states), depth: Number(values.depth) }
  console.log('  depth   states  transitions  seconds  violations  world')
  let violations = 0
  let states = 0
  for (const setup of setups.filter(({ name }) => name.includes(values.world))) {
    const startedAt = performance.now()
    const report = await explore(setup, limits)
    const seconds = (performance.now() - startedAt) / 1000
    if (report.finding !== null) violations += 1
    states += report.states
    console.log(formatRow(setup.name, report, seconds))
    if (report.finding !== null) {
      printFinding(report.finding)
      break
    }
  }
  console.log(`${String(states)} states, ${String(violations)} violations`)
  process.exitCode = violations === 0 ? 0 : 1
}

function formatRow(
  name: string,
  { depth, isComplete, states, transitions, finding, occasions }: SearchReport,
  seconds: number,
): string {
  const columns = [
    `${String(depth)}${isComplete ? ', all' : ''}`.padStart(7),
    String(states).padStart(8),
    String(transitions).padStart(12),
    seconds.toFixed(1).padStart(8),
    String(finding === null ? 0 : 1).padStart(11),
  ]
  const met = [...occasions].map(([what, count]) => `${what} ${String(count)}`).join(', ')
  return `${columns.join(' ')}  ${name} (${met})`
}

function printFinding({ invariant, message, steps }: NonNullable<SearchReport['finding']>): void {
  console.log(`\n${invariant}: ${message}. Shortest sequence of events:`)
  for (const [index, line] of steps.entries()) console.log(`  ${String(index + 1).padStart(2)}. ${line}`)
  console.log()
}
