import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type ExampleServer, freePort, startExampleServer } from './example-server.js'
import { type Observer, startObserver } from './observer.js'
import { servePage } from './page.js'
import { settings } from './settings.js'
import { temporaryFolder } from './temporary-folder.js'

const PORT = 4600

/** Serves the page until a signal arrives. Resolves to the exit code. */
export async function serveDemo(): Promise<number> {
  const lifetimes = settings({
    ACCESS_SECONDS: '20',
    IDLE_SECONDS: '300',
    ABSOLUTE_SECONDS: '3600',
    // Short, so that an attacker can act within and after the window.
    GRACE_SECONDS: '5',
  })
  const ending = waitForSignal()
  let server: ExampleServer | undefined
  let observer: Observer | undefined
  try {
    const upstream = await freePort()
    server = await startExampleServer({
      port: upstream,
      settings: {
        ...lifetimes,
        // No rate limit, so that fast clicks are not rejected.
        ...settings({ RATE_LIMIT: '0' }),
        BATON_SECRET: randomBytes(32).toString('base64url'),
        DATABASE: join(temporaryFolder(), 'demo.db'),
      },
      onEvent: (event) => observer?.report(event),
    })
    const serve = servePage({
      run: randomBytes(8).toString('hex'),
      accessSeconds: Number(lifetimes.ACCESS_SECONDS),
      idleSeconds: Number(lifetimes.IDLE_SECONDS),
      absoluteSeconds: Number(lifetimes.ABSOLUTE_SECONDS),
      graceSeconds: Number(lifetimes.GRACE_SECONDS),
    })
    const open = (port: number) => startObserver({ port, upstream, serve })
    const wanted = process.env['PORT']
    observer = wanted === undefined ? await open(PORT).catch(() => open(0)) : await open(Number(wanted))
    console.log(`The demo is at http://127.0.0.1:${observer.port}  (Ctrl+C ends it)`)
    await Promise.race([ending, server.exited.then(() => Promise.reject(new Error('the example server has exited')))])
    return 0
  } catch (error) {
    console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    await observer?.close()
    await server?.stop()
  }
}

/** Ctrl+C may arrive twice, from the terminal and from a script. The second one must not abort the shutdown. */
function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => resolve())
  })
}
