import { bootstrap, fail } from './bootstrap.mjs'
import { providePrograms } from './system-programs.mjs'
import { build, printResults, runTests } from './vitest.mjs'

await bootstrap()
await providePrograms()
// The test of nextjs belongs to `pnpm proofs`, and its build is the slowest one.
const filters = process.env.BATON_TESTS === undefined ? ['--filter=!nextjs'] : []
if (!(await build(filters))) fail('The build failed.')
process.exitCode = printResults(await runTests(process.argv.slice(2).filter((argument) => argument !== '--')))
