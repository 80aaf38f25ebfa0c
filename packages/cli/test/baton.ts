import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type BuiltProgram, buildProgram } from '@baton/test-processes'

interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line as a process, bundled from the sources. */
export interface Baton {
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** Runs on a terminal, which joins stdout and stderr and adds a carriage return before each line feed. */
  runOnTerminal(args: readonly string[]): Promise<Pick<Outcome, 'code' | 'stdout'>>
  remove(): void
}

interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
}

export async function buildBaton(testUrl: string): Promise<Baton> {
  const built: BuiltProgram = await buildProgram(testUrl, {
    entry: fileURLToPath(new URL('../src/main.ts', import.meta.url)),
    external: ['better-sqlite3', 'ioredis', 'pg'],
  })
  const folder = fileURLToPath(new URL('..', import.meta.url))

  async function run(command: readonly string[], { cwd = folder, env = {}, stdin = '' }: RunOptions): Promise<Outcome> {
    const [program = '', ...args] = command
    const child = spawn(program, args, { cwd, env: { PATH: process.env['PATH'], ...env }, stdio: 'pipe' })
    // A program that does not read stdin may exit before it is written.
    child.stdin.on('error', () => undefined).end(stdin)
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit])
    return { code, stdout, stderr }
  }

  return {
    run: (args, options = {}) => run([process.execPath, built.path, ...args], options),
    runOnTerminal: (args) => run(terminalCommand([process.execPath, built.path, ...args]), {}),
    remove: () => {
      built.remove()
    },
  }
}

/** Uses `script`, whose arguments differ between macOS and Linux. */
function terminalCommand(command: readonly string[]): readonly string[] {
  if (process.platform === 'darwin') return ['script', '-q', '/dev/null', ...command]
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  return ['script', '--quiet', '--return', '--command', quoted.join(' '), '/dev/null']
}
