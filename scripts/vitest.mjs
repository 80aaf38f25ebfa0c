import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { run } from './bootstrap.mjs'

const MAX_MESSAGE_LINES = 30

/** Builds what the examples and their tests run: JavaScript only. `pnpm check` also builds the declarations. */
export async function build(filters = []) {
  const env = { ...process.env, BATON_BUILD_TYPES: 'false' }
  return (await run('turbo', ['run', 'build', '--output-logs=errors-only', ...filters], { env })) === 0
}

/** Runs vitest with these arguments. Resolves to the number of passed tests, and to the failures with their messages. */
export async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'baton-test-'))
  process.env.BATON_TEST_RESULTS = join(folder, 'results.json')
  const code = await run('vitest', ['run', '--reporter=default', '--reporter=./scripts/test-reporter.mjs', ...args])
  const { passed, skipped, failures } = readResults(process.env.BATON_TEST_RESULTS)
  rmSync(folder, { recursive: true })

  // With a filter by name, vitest reports all other tests as skipped.
  const isFilteredByName = args.some((argument) => /^(-t|--testNamePattern)/.test(argument))
  if (!isFilteredByName) failures.push(...skipped.map((name) => ({ name, message: 'The test did not run.' })))
  if (failures.length === 0 && (code !== 0 || passed === 0))
    failures.push({ name: 'vitest', message: `It exited with ${code} after ${passed} passed tests.` })
  return { passed, failures }
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, skipped: [], failures: [] }
  }
}

/** Prints the failures and the total, and returns the exit code. `.ci/run` repeats lines that start with FAILED. */
export function printResults({ passed, failures }) {
  for (const { name, message } of failures) {
    const lines = stripVTControlCharacters(message).split('\n').slice(0, MAX_MESSAGE_LINES)
    console.log(`FAILED ${name}`)
    for (const line of lines) console.log(`FAILED   ${line}`)
  }
  console.log(`${passed} passed, ${failures.length} failed`)
  return failures.length === 0 ? 0 : 1
}
