import { existsSync } from 'node:fs'
import { attempt, fail, run } from './bootstrap.mjs'

/**
 * Programs that tests start: found through `env`, else by trying `commands`, else installed. None is needed where the
 * variable named by `unless` offers what it would; a `service` that the installation starts is stopped again.
 */
const PARTS = [
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

/** Finds or installs these programs and names them in the environment, or ends the process with what to do. */
export async function provideParts(names = PARTS.map((part) => part.name)) {
  for (const part of PARTS.filter(({ name }) => names.includes(name))) await provide(part)
}

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
