import { spawn } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { entrust } from './reaper.js'

/** The account that a server runs as, where that is not the account of the tests. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

export interface ServerCommand {
  readonly program: string
  readonly args: readonly string[]
  /** Takes what the server prints. */
  readonly logFile: string
  /** Ends the server at once and, unlike SIGKILL, all its children too, where it has any. */
  readonly endSignal: NodeJS.Signals
  readonly account?: Account | undefined
}

/** One run of a server: a restart is another one. */
export interface ServerProcess {
  readonly pid: number
  isRunning(): boolean
  /** Resolves when the process is gone. A running server does not keep Node alive, but waiting for its end does. */
  gone(): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** The last lines that the server printed. */
  lastWords(): string
}

export function startProcess({ program, args, logFile, endSignal, account }: ServerCommand): Promise<ServerProcess> {
  const log = openSync(logFile, 'a')
  const child = spawn(program, args, {
    cwd: tmpdir(),
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', log, log],
    ...account,
  })
  closeSync(log)
  child.unref()
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))

  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Error(`${program} does not start: ${cause.message}`, { cause })))
    child.once('spawn', () => {
      const { pid } = child
      if (pid === undefined) throw new Error(`${program} started without a process id.`)
      const release = entrust({ pid, signal: endSignal })
      void gone.then(release)
      resolve({
        pid,
        gone() {
          child.ref()
          return gone
        },
        isRunning: () => child.exitCode === null && child.signalCode === null,
        signal: (signal) => void child.kill(signal),
        lastWords: () => readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-12).join('\n'),
      })
    })
  })
}

/** A folder that is removed by `remove`, or else when this process ends. */
export function temporaryFolder(name: string, account?: Account): { readonly path: string; remove(): Promise<void> } {
  const path = mkdtempSync(join(tmpdir(), `baton-${name}-`))
  if (account) chownSync(path, account.uid, account.gid)
  const release = entrust({ folder: path })
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true, maxRetries: 5 })
      release()
    },
  }
}
