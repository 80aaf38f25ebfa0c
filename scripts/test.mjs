import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { bootstrap, fail, root, run } from './bootstrap.mjs'
import { providePrograms } from './system-programs.mjs'

const vitestArgs = process.argv.slice(2).filter((argument) => argument !== '--')

await bootstrap()
await providePrograms()
if ((await run('turbo', ['run', 'build', '--output-logs=errors-only'])) !== 0) fail('The build failed.')
process.exitCode = await test()

async function test() {
  const folder = mkdtempSync(join(tmpdir(), 'baton-test-'))
  const outputFile = join(folder, 'results.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${outputFile}`]
  const code = await run('vitest', ['run', ...reporters, ...vitestArgs])
  const files = readResults(outputFile)
  rmSync(folder, { recursive: true })

  const tests = files.flatMap((file) => file.assertionResults.map((result) => ({ ...result, file: file.name })))
  const passed = tests.filter((test) => test.status === 'passed').length
  const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed')
  const brokenFiles = files.filter((file) => file.status === 'failed' && !file.assertionResults.some(hasFailed))
  const failures = tests.filter(hasFailed).length + brokenFiles.length + (isFilteredByName() ? 0 : skipped.length)
  // vitest also fails for errors outside of tests, such as an unhandled rejection, and for a run without tests.
  const failed = failures === 0 && (code !== 0 || passed === 0) ? 1 : failures

  if (!isFilteredByName())
    for (const test of skipped) console.log(`not run: ${relative(root, test.file)} ${test.fullName}`)
  for (const test of tests.filter(hasFailed)) reportFailure(test.file, test.fullName, test.failureMessages)
  for (const file of brokenFiles) reportFailure(file.name, '(the file itself)', [file.message])
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).testResults
  } catch {
    return []
  }
}

/** Repeats a failure in one line, with the first line of its message. `.ci/run` shows these lines again at its end. */
function reportFailure(file, name, messages) {
  const [message = ''] = (messages[0] ?? '').split('\n')
  console.log(`FAILED: ${relative(root, file)} ${name}: ${message}`)
}

function hasFailed(result) {
  return result.status === 'failed'
}

/** With a filter by name, vitest reports all other tests as skipped. */
function isFilteredByName() {
  return vitestArgs.some((argument) => /^(-t|--testNamePattern)/.test(argument))
}
