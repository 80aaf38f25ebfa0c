import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { bootstrap, fail, run } from './bootstrap.mjs'
import { providePrograms } from './system-programs.mjs'

const MAX_MESSAGE_LINES = 30

const vitestArgs = process.argv.slice(2).filter((argument) => argument !== '--')

await bootstrap()
await providePrograms()
if ((await run('turbo', ['run', 'build', '--output-logs=errors-only'])) !== 0) fail('The build failed.')
process.exitCode = await test()

async function test() {
  const folder = mkdtempSync(join(tmpdir(), 'baton-test-'))
  const resultFile = join(folder, 'results.json')
  process.env.BATON_TEST_RESULTS = resultFile
  const code = await run('vitest', [
    'run',
    '--reporter=default',
    '--reporter=./scripts/test-reporter.mjs',
    ...vitestArgs,
  ])
  const { passed, skipped, failures } = readResults(resultFile)
  rmSync(folder, { recursive: true })

  // With a filter by name, vitest reports all other tests as skipped.
  if (!isFilteredByName()) failures.push(...skipped.map((name) => ({ name, message: 'The test did not run.' })))
  if (failures.length === 0 && (code !== 0 || passed === 0))
    failures.push({ name: 'vitest', message: `It exited with ${code} after ${passed} passed tests.` })

  for (const failure of failures) print(failure)
  console.log(`${passed} passed, ${failures.length} failed`)
  return failures.length === 0 ? 0 : 1
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, skipped: [], failures: [] }
  }
}

/** `.ci/run` repeats lines that start with FAILED. */
function print({ name, message }) {
  const lines = stripVTControlCharacters(message).split('\n').slice(0, MAX_MESSAGE_LINES)
  console.log(`FAILED ${name}`)
  for (const line of lines) console.log(`FAILED   ${line}`)
}

function isFilteredByName() {
  return vitestArgs.some((argument) => /^(-t|--testNamePattern)/.test(argument))
}
