import { bootstrap, run } from './bootstrap.mjs'

/**
 * The proofs that take too long for `npm test`. Each is a program of `simulation` that exits with 0 if it finds no
 * violation.
 */
const PROOFS = [
  ['simulate', '--seed', 'test', '--schedules', '10000'],
  ['model', '--states', '20000'],
]

await bootstrap()

let failed = 0
for (const [program, ...args] of PROOFS) {
  console.log(`\n> ${program} ${args.join(' ')}`)
  if ((await run('tsx', [`internal/simulation/src/${program}/main.ts`, ...args])) === 0) continue
  failed += 1
  console.log(`FAILED: ${program} ${args.join(' ')}`)
}
console.log(`${PROOFS.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
