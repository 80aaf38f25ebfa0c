import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { RefreshEvent } from '@baton/core'

const START_MS = 20_000
const STOP_MS = 10_000
/** A killed demo cannot stop its server, so that the server exits when the parent disconnects. */
const EXIT_WITH_PARENT = 'data:text/javascript,process.once("disconnect",()=>process.kill(process.pid,"SIGTERM"))'

export interface ExampleServerOptions {
  readonly port: number
  /** The settings of the example: `DATABASE`, `ACCESS_SECONDS`, … */
  readonly settings: Readonly<Record<string, string>>
  readonly onEvent: (event: RefreshEvent) => void
}

export interface ExampleServer {
  readonly port: number
  /** Resolves when the server process has exited. */
  readonly exited: Promise<void>
  /** Lets the server finish the requests in flight. Resolves to its exit code. */
  stop(): Promise<number | null>
}

/** Runs the express-sqlite example in a separate process, which sends Baton's events to its parent. */
export async function startExampleServer({ port, settings, onEvent }: ExampleServerOptions): Promise<ExampleServer> {
  const main = fileURLToPath(new URL('dist/main.js', import.meta.resolve('express-sqlite/package.json')))
  const child = fork(main, [], {
    env: { ...process.env, ...settings, PORT: String(port) },
    execArgv: ['--import', EXIT_WITH_PARENT],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.on('message', (message) => onEvent(message as RefreshEvent))
  const killChild = () => child.kill('SIGKILL')
  process.once('exit', killChild)
  const exited = once(child, 'exit').then(() => {
    process.off('exit', killChild)
  })
  await waitUntilListening(child)
  return {
    port,
    exited,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      child.kill('SIGTERM')
      const timeout = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await exited
      clearTimeout(timeout)
      return child.exitCode
    },
  }
}

async function waitUntilListening(child: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = deferred()
  const timeout = setTimeout(() => {
    child.kill('SIGKILL')
    reject(new Error(`the express-sqlite example did not start within ${String(START_MS / 1000)} seconds`))
  }, START_MS)
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    output = (output + chunk).slice(-10_000)
    if (output.includes('listening on ')) resolve()
  })
  child.once('error', reject)
  child.once('exit', (code) => {
    reject(new Error(`the express-sqlite example exited with code ${String(code)} instead of listening\n${output}`))
  })
  await promise.finally(() => clearTimeout(timeout))
}

function deferred() {
  let settle: { resolve: () => void; reject: (error: Error) => void } | undefined
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, resolve: () => settle?.resolve(), reject: (error: Error) => settle?.reject(error) }
}

/** Returns a free port. The issuer of access tokens contains it, so that a restarted server needs the same one. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
