import { existsSync } from 'node:fs'
import { attempt, fail, run } from './bootstrap.mjs'

/**
 * Programs that tests start. Each is found through `env` or by trying `commands`, or is installed. A program is not
 * needed if the variable `unless` names a running service. A `service` that the installation starts is stopped.
 */
const PROGRAMS = [
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

/** Finds or installs these programs and sets their environment variables. Exits with instructions if that fails. */
export async function providePrograms(names = PROGRAMS.map((program) => program.name)) {
  for (const program of PROGRAMS.filter(({ name }) => names.includes(name))) await provideOne(program)
}

async function provideOne(program) {
  if (program.unless && process.env[program.unless]) return
  const found = find(program)
  if (found) {
    process.env[program.env] = found
    return
  }
  if (process.env[program.env]) fail(`${program.env} is ${process.env[program.env]}, which cannot be run.`)

  const { steps, manual } = installation(program)
  for (const [command, ...args] of steps) {
    console.log(`${program.name} is missing: ${command} ${args.join(' ')}`)
    await run(command, args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
  const installed = find(program)
  if (!installed) fail(`The tests need ${program.name}. Install it, or set its path in ${program.env}:\n  ${manual}`)
  process.env[program.env] = installed
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
    return { steps, manual: `sudo apt-get update && sudo apt-get install -y ${apt.join(' ')}` }
  }
  const manual = `brew install ${brew.join(' ')}`
  return { steps: attempt('brew', ['--version']).ok ? [['brew', 'install', ...brew]] : [], manual }
}
