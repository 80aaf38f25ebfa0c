import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { RefreshEvent } from '@baton/core'

const START_MS = 20_000
const STOP_MS = 10_000
/** A demo that was killed cannot end its server any more; the server then does it by itself. */
const LEAVE_WITH_PARENT = 'data:text/javascript,process.once("disconnect",()=>process.kill(process.pid,"SIGTERM"))'

export interface ExampleServerOptions {
  readonly port: number
  /** The settings of the example: `DATABASE`, `ACCESS_SECONDS`, … */
  readonly settings: Readonly<Record<string, string>>
  readonly onEvent: (event: RefreshEvent) => void
}

export interface ExampleServer {
  readonly port: number
  /** Resolves if the server was ended by itself or by somebody else. */
  readonly gone: Promise<void>
  /** Asks the server to finish what is in flight; resolves to its exit code. */
  stop(): Promise<number | null>
}

/** Runs the express-sqlite example in a process of its own. It sends Baton's events here, since its parent asks for them. */
export async function startExampleServer({ port, settings, onEvent }: ExampleServerOptions): Promise<ExampleServer> {
  const main = fileURLToPath(new URL('dist/main.js', import.meta.resolve('express-sqlite/package.json')))
  const child = fork(main, [], {
    env: { ...process.env, ...settings, PORT: String(port) },
    execArgv: ['--import', LEAVE_WITH_PARENT],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.on('message', (message) => onEvent(message as RefreshEvent))
  const leaveNoOrphan = () => child.kill('SIGKILL')
  process.once('exit', leaveNoOrphan)
  const gone = once(child, 'exit').then(() => {
    process.off('exit', leaveNoOrphan)
  })
  await listening(child)
  return {
    port,
    gone,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await gone
      clearTimeout(late)
      return child.exitCode
    },
  }
}

async function listening(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = deferred()
  const late = setTimeout(() => {
    child.kill('SIGKILL')
    reject(new Error(`the express-sqlite example said nothing for ${String(START_MS / 1000)} seconds`))
  }, START_MS)
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output = (output + chunk).slice(-10_000)
    if (output.includes('listening on ')) resolve()
  })
  child.once('error', reject)
  child.once('exit', (code) => {
    reject(new Error(`the express-sqlite example ended with code ${String(code)} instead of listening\n${output}`))
  })
  await promise.finally(() => clearTimeout(late))
}

function deferred() {
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, resolve: () => settle?.resolve(), reject: (error: Error) => settle?.reject(error) }
}

/** A port that is free now: the issuer of access tokens contains it, so a restarted server needs the same one again. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port on loopback')
  return address.port
}
