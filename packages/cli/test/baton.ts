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
  return {
    async run(args, { cwd = fileURLToPath(new URL('..', import.meta.url)), env = {}, stdin = '' } = {}) {
      const child = spawn(process.execPath, [built.path, ...args], {
        cwd,
        env: { PATH: process.env['PATH'], ...env },
        stdio: 'pipe',
      })
      // A program that reads nothing may have ended before it is written to.
      child.stdin.on('error', () => undefined).end(stdin)
      const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
      const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit])
      return { code, stdout, stderr }
    },
    remove: () => {
      built.remove()
    },
  }
}
