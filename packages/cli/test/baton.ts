import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type BuiltProgram, buildProgram } from '@baton/test-processes'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The program as a process, bundled from the sources. */
export interface Baton {
  run(args: readonly string[], options?: RunOptions): Promise<Ended>
  /** On a terminal, which shows errors and output as one, with a carriage return before each line feed. */
  runOnTerminal(args: readonly string[]): Promise<Pick<Ended, 'code' | 'stdout'>>
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

  async function run(command: readonly string[], { cwd = folder, env = {}, stdin = '' }: RunOptions): Promise<Ended> {
    const [program = '', ...args] = command
    const child = spawn(program, args, { cwd, env: { PATH: process.env['PATH'], ...env }, stdio: 'pipe' })
    // A program that reads nothing may have ended before it is written to.
    child.stdin.on('error', () => undefined).end(stdin)
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit])
    return { code, stdout, stderr }
  }

  return {
    run: (args, options = {}) => run([process.execPath, built.path, ...args], options),
    runOnTerminal: (args) => run(onTerminal([process.execPath, built.path, ...args]), {}),
    remove: () => {
      built.remove()
    },
  }
}

/** By `script`, which comes with every Unix, in one of its two dialects. */
function onTerminal(command: readonly string[]): readonly string[] {
  if (process.platform === 'darwin') return ['script', '-q', '/dev/null', ...command]
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  return ['script', '--quiet', '--return', '--command', quoted.join(' '), '/dev/null']
}
