import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const PNPM = '10.34.9'
const MINIMUM_NODE = [20, 19]
const onWindows = process.platform === 'win32'

process.chdir(root)
process.env.PATH = join(root, 'node_modules', '.bin') + delimiter + process.env.PATH
process.env.TURBO_TELEMETRY_DISABLED ??= '1'

/** Prints the message without a stack trace and exits with 1. */
export function fail(message) {
  console.error(`\n${message}`)
  process.exit(1)
}

/** Runs a command on this terminal and resolves to its exit code. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', shell: onWindows, ...options })
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal ? 1 : code))
  })
}

/** Runs a command silently and returns whether it succeeded, and what it printed. */
export function attempt(command, args, options = {}) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', shell: onWindows, ...options })
  return { ok: status === 0, output: stdout?.trim() ?? '' }
}

/** Prepares the workspace: a supported Node, all locked dependencies, a SQLite driver that loads. */
export async function bootstrap() {
  checkNode()
  await install('all', ['install', '--frozen-lockfile'])
  await checkSqliteDriver()
}

/**
 * Prepares the workspace for one program: installs the dependencies of `name` and of the packages it needs at run time, then
 * compiles the SQLite driver while `build` runs. Returns the exit code of `build`.
 */
export async function bootstrapProgram(name, build) {
  checkNode()
  const scope = ['--filter-prod', `${name}...`, '--filter', 'baton']
  // Without install scripts, because compiling the SQLite driver takes longer than all downloads.
  await install(name, ['install', '--frozen-lockfile', '--ignore-scripts', ...scope])
  const [code] = await Promise.all([build(), checkSqliteDriver()])
  return code
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const [minimumMajor, minimumMinor] = MINIMUM_NODE
  if (major > minimumMajor || (major === minimumMajor && minor >= minimumMinor)) return
  fail(`Baton needs Node ${MINIMUM_NODE.join('.')} or newer; this is ${process.version}.`)
}

function pnpm(args) {
  // Runs outside the repository, where `packageManager` cannot make pnpm or corepack switch to another version.
  const onPath = attempt('pnpm', ['--version'], {
    cwd: tmpdir(),
    env: { ...process.env, COREPACK_ENABLE_NETWORK: '0' },
  })
  const [command, ...prefix] = onPath.output === PNPM ? ['pnpm'] : ['npx', '-y', `pnpm@${PNPM}`]
  // Without a terminal, pnpm asks before it replaces node_modules unless CI is set.
  return run(command, [...prefix, ...args], { env: { ...process.env, CI: 'true' } })
}

/** Runs `pnpm install` unless the same lockfile is already installed, for the same scope or for all packages. */
async function install(scope, args) {
  const stamp = join(root, 'node_modules', '.baton-installed')
  const lockHash = createHash('sha256')
    .update(readFileSync('pnpm-lock.yaml'))
    .update(readFileSync('pnpm-workspace.yaml'))
    .digest('hex')
  const installed = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
  if (installed === `all ${lockHash}` || installed === `${scope} ${lockHash}`) return

  if ((await pnpm(args)) !== 0) fail(`The installation failed, see above.\n${compilerHint()}`)
  writeFileSync(stamp, `${scope} ${lockHash}`)
}

async function checkSqliteDriver() {
  if (sqliteDriverLoads()) return
  console.log(`compiling better-sqlite3 for Node ${process.version}`)
  await pnpm(['--filter', '@baton/store-sqlite', 'rebuild', 'better-sqlite3'])
  if (!sqliteDriverLoads()) fail(`better-sqlite3 does not load under Node ${process.version}.\n${compilerHint()}`)
}

function sqliteDriverLoads() {
  // In a separate process: a driver compiled for another Node may crash instead of throwing.
  const probe = 'new (require("better-sqlite3"))(":memory:").close()'
  return attempt(process.execPath, ['-e', probe], { cwd: 'packages/store-sqlite', shell: false }).ok
}

function compilerHint() {
  const command =
    process.platform === 'darwin' ? 'xcode-select --install' : 'apt-get install -y build-essential python3'
  return `If better-sqlite3 could not be compiled, install a compiler and try again:\n  ${command}`
}
