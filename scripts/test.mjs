import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { attempt, bootstrap, fail, root, run } from './bootstrap.mjs'

/**
 * Programs that tests start: found through `env`, else by trying `commands`, else installed. None is needed where the
 * variable named by `unless` offers what it would; a `service` that the installation starts is stopped again.
 */
const systemParts = [
  {
    name: 'Chromium',
    env: 'CHROMIUM_PATH',
    commands: [
      'chromium',
      'chromium-browser',
      'google-chrome',
      'google-chrome-stable',
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
      '/Applications/Chromium.app/Contents/MacOS/Chromium',
    ],
    apt: ['chromium'],
    brew: ['--cask', 'chromium'],
  },
  {
    name: 'Redis or Valkey',
    env: 'REDIS_SERVER_PATH',
    unless: 'REDIS_URL',
    commands: ['redis-server', 'valkey-server'],
    apt: ['redis-server'],
    service: 'redis-server',
    brew: ['redis'],
  },
]

const vitestArgs = process.argv.slice(2).filter((argument) => argument !== '--')

await bootstrap()
for (const part of systemParts) await provide(part)
if ((await run('turbo', ['run', 'build', '--output-logs=errors-only'])) !== 0) fail('The build failed.')
process.exitCode = await test()

async function provide(part) {
  if (part.unless && process.env[part.unless]) return
  const found = find(part)
  if (found) {
    process.env[part.env] = found
    return
  }
  if (process.env[part.env]) fail(`${part.env} is ${process.env[part.env]}, which does not run.`)

  const { steps, byHand } = installation(part)
  for (const [command, ...args] of steps) {
    console.log(`${part.name} is missing: ${command} ${args.join(' ')}`)
    await run(command, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
  const installed = find(part)
  if (!installed) fail(`The tests need ${part.name}. Install it, or name it in ${part.env}:\n  ${byHand}`)
  process.env[part.env] = installed
}

function find({ env, commands }) {
  const candidates = process.env[env] ? [process.env[env]] : commands
  for (const candidate of candidates) {
    if (!attempt(candidate, ['--version'], { shell: false }).ok) continue
    return candidate.includes('/') ? candidate : attempt('sh', ['-c', `command -v ${candidate}`]).output
  }
  return undefined
}

function installation({ apt, brew, service }) {
  if (attempt('apt-get', ['--version']).ok) {
    const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
    const allowed = sudo.length === 0 || attempt('sudo', ['-n', 'true']).ok
    const update = ['apt-get', 'update', '-qq']
    const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...apt]
    const stop = ['systemctl', 'disable', '--now', service]
    const all = service && existsSync('/run/systemd/system') ? [update, install, stop] : [update, install]
    const steps = allowed ? all.map((step) => [...sudo, ...step]) : []
    return { steps, byHand: `sudo apt-get update && sudo apt-get install -y ${apt.join(' ')}` }
  }
  const byHand = `brew install ${brew.join(' ')}`
  return { steps: attempt('brew', ['--version']).ok ? [['brew', 'install', ...brew]] : [], byHand }
}

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
  const failures = tests.filter(hasFailed).length + brokenFiles.length + (skippingIsAsked() ? 0 : skipped.length)
  // vitest also fails for what belongs to no test, such as an unhandled rejection or no test at all.
  const failed = failures === 0 && (code !== 0 || passed === 0) ? 1 : failures

  if (!skippingIsAsked())
    for (const test of skipped) console.log(`not run: ${relative(root, test.file)} ${test.fullName}`)
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

function hasFailed(result) {
  return result.status === 'failed'
}

/** Choosing tests by name makes vitest report all others as skipped. */
function skippingIsAsked() {
  return vitestArgs.some((argument) => /^(-t|--testNamePattern)/.test(argument))
}
