import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@baton/test-servers'
import type { Example } from './examples.js'

export type Settings = Readonly<Record<string, string | undefined>>

export const SECRET = 'a secret for tests of more than 32 bytes'

type Command = readonly [program: string, ...args: string[]]
const START: Command = [process.execPath, 'dist/main.js']

export interface ExampleServer {
  readonly origin: string
  readonly child: ChildProcess
  /** Returns the output so far. */
  output(): string
  /** Sends SIGTERM and resolves to the exit code. */
  stop(): Promise<number | null>
}

export interface Ending {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Creates a folder for databases. Call `remove` to delete it. */
export function temporaryFolder() {
  const path = mkdtempSync(join(tmpdir(), 'baton-examples-'))
  const remove = () => rmSync(path, { recursive: true, force: true })
  // If all tests of a suite are skipped, its teardown is skipped too.
  process.once('exit', remove)
  return { path, remove }
}

/** Starts the built example and resolves when it listens. Set a port to reuse it after a restart. */
export async function startServer(
  example: Example,
  settings: Settings,
  command: Command = START,
): Promise<ExampleServer> {
  const port = settings['PORT'] ?? String(await freePort())
  const { child, printed } = launch(
    example,
    { BATON_SECRET: SECRET, RATE_LIMIT: '0', ...settings, PORT: port },
    command,
  )
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', () => {
      if (printed.stdout.includes(`listening on http://127.0.0.1:${port}\n`)) resolve()
    })
    child.once('exit', (code) => {
      reject(new Error(`${example.name} ended with ${String(code)} instead of listening: ${printed.stderr}`))
    })
  })
  return {
    origin: `http://127.0.0.1:${port}`,
    child,
    output: () => printed.stdout + printed.stderr,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      return child.exitCode
    },
  }
}

export interface Run {
  readonly args?: readonly string[]
  /** Called with all output so far, whenever there is more. */
  readonly onOutput?: (stdout: string) => void
}

/** Runs an example until it ends. */
export async function runToItsEnd(example: Example, settings: Settings, run: Run = {}): Promise<Ending> {
  const { args = [], onOutput } = run
  const port = String(await freePort())
  const { child, printed } = launch(example, { BATON_SECRET: SECRET, PORT: port, ...settings }, [...START, ...args])
  child.stdout.on('data', () => {
    onOutput?.(printed.stdout)
    if (printed.stdout.includes('listening')) child.kill('SIGKILL')
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...printed }
}

function launch(example: Example, settings: Settings, [program, ...args]: Command = START) {
  const folder = fileURLToPath(new URL(`../../${example.name}/`, import.meta.url))
  // Of the environment of this process, only the variables that locate programs. The test provides the settings.
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const printed = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed.stderr += text))
  return { child, printed }
}
