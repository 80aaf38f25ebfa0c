import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bootstrap, fail, run } from './bootstrap.mjs'
import { providePrograms } from './system-programs.mjs'
import { build, printResults, runTests } from './vitest.mjs'

/**
 * The proofs that take too long for `npm test`. Each is a program of `simulation` that exits with 0 if it finds no
 * violation.
 */
const PROOFS = [
  ['simulate', '--seed', 'test', '--schedules', '10000'],
  ['model', '--states', '20000'],
]

// The tests that `npm test` omits.
process.env.BATON_TESTS = 'rest'

await bootstrap()
await providePrograms()
if (!(await build())) fail('The build failed.')

const { passed, failures } = await runTests(findLongTests())
let passedProofs = 0
for (const [program, ...args] of PROOFS) {
  console.log(`\n> ${program} ${args.join(' ')}`)
  if ((await run('tsx', [`internal/simulation/src/${program}/main.ts`, ...args])) === 0) passedProofs += 1
  else failures.push({ name: `${program} ${args.join(' ')}`, message: 'It found a violation, see above.' })
}
process.exitCode = printResults({ passed: passed + passedProofs, failures })

/** Returns the test files with cases that `npm test` omits. */
function findLongTests() {
  const folders = ['packages', 'internal', 'examples'].flatMap((parent) =>
    readdirSync(parent).map((name) => join(parent, name, 'test')),
  )
  const files = folders.filter(existsSync).flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(folder, name)),
  )
  return files.filter(
    (file) => file.endsWith('.long.test.ts') || /\bsampled(Examples)?\b/.test(readFileSync(file, 'utf8')),
  )
}
