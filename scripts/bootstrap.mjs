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

/** Ends the process with a message instead of a stack trace. */
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

/** Makes the workspace ready to build: a Node that fits, the locked dependencies, a SQLite driver that loads. */
export async function bootstrap() {
  checkNode()
  await installDependencies()
  await checkSqliteDriver()
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const [wantedMajor, wantedMinor] = MINIMUM_NODE
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return
  fail(`Baton needs Node ${MINIMUM_NODE.join('.')} or newer; this is ${process.version}.`)
}

function pnpm(args) {
  // Asked outside the repository, where `packageManager` cannot make pnpm or corepack answer for another version.
  const onPath = attempt('pnpm', ['--version'], {
    cwd: tmpdir(),
    env: { ...process.env, COREPACK_ENABLE_NETWORK: '0' },
  })
  const [command, ...prefix] = onPath.output === PNPM ? ['pnpm'] : ['npx', '-y', `pnpm@${PNPM}`]
  // Without a terminal pnpm asks before it replaces node_modules, unless it knows that nobody is there.
  return run(command, [...prefix, ...args], { env: { ...process.env, CI: 'true' } })
}

async function installDependencies() {
  const stamp = join(root, 'node_modules', '.baton-installed')
  const wanted = createHash('sha256')
    .update(readFileSync('pnpm-lock.yaml'))
    .update(readFileSync('pnpm-workspace.yaml'))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return

  if ((await pnpm(['install', '--frozen-lockfile'])) !== 0)
    fail(`The installation failed, see above.\n${compilerHint()}`)
  writeFileSync(stamp, wanted)
}

async function checkSqliteDriver() {
  if (sqliteDriverLoads()) return
  console.log(`better-sqlite3 does not load under Node ${process.version}; compiling it again`)
  await pnpm(['--filter', '@baton/store-sqlite', 'rebuild', 'better-sqlite3'])
  if (!sqliteDriverLoads()) fail(`better-sqlite3 does not load under Node ${process.version}.\n${compilerHint()}`)
}

function sqliteDriverLoads() {
  // In a process of its own: a build for another Node may crash instead of throwing.
  const probe = 'new (require("better-sqlite3"))(":memory:").close()'
  return attempt(process.execPath, ['-e', probe], { cwd: 'packages/store-sqlite', shell: false }).ok
}

function compilerHint() {
  const command =
    process.platform === 'darwin' ? 'xcode-select --install' : 'apt-get install -y build-essential python3'
  return `If better-sqlite3 could not be compiled, install a compiler and try again:\n  ${command}`
}
