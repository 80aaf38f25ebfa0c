import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BrowserContext, Page } from 'playwright-core'
import { bundle } from './bundle.js'
import type { Action, Actions, Opening, Told } from './page.js'

type Result<Name extends Action> = Actions[Name] extends (...given: never[]) => Promise<infer Value> ? Value : never

/** A page or a worker that has a session. */
export interface Tab {
  /** Resolves with what came of it, errors included. */
  tell<Name extends Action>(name: Name, ...parameters: Parameters<Actions[Name]>): Promise<Told<Result<Name>>>
  /** Resolves with the value; rejects where there was an error. */
  ask<Name extends Action>(name: Name, ...parameters: Parameters<Actions[Name]>): Promise<Result<Name>>
  readonly page: Page
}

/** Pages to be served by the server of the session, whose origin they share. */
export async function pages() {
  const [first, second] = [await bundle('page.ts', 'browser'), await bundle('page.ts', 'browser')]
  const script = (path: string) => (_request: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(path))
  const text = (type: string, body: string, headers = {}) => {
    return (_request: IncomingMessage, response: ServerResponse) =>
      void response.writeHead(200, { 'content-type': type, ...headers }).end(body)
  }
  return {
    served: {
      '/page': text('text/html', html('/bundle.mjs')),
      // A document of no origin: it may store nothing and lock nothing.
      '/shut-off': text('text/html', html('/bundle.mjs'), { 'content-security-policy': 'sandbox allow-scripts' }),
      // The same client, published another time.
      '/page-of-another-version': text('text/html', html('/other/bundle.mjs')),
      '/bundle.mjs': script(first.path),
      '/other/bundle.mjs': script(second.path),
      '/worker.mjs': text('text/javascript', WORKER),
      '/favicon.ico': text('image/x-icon', ''),
    },
    remove() {
      first.remove()
      second.remove()
    },
  }
}

const WORKER = `
import '/bundle.mjs'
addEventListener('connect', ({ ports: [port] }) => serve(port))
addEventListener('message', ({ ports: [port] }) => port && serve(port))
`

function html(bundlePath: string): string {
  return `<!doctype html><title>session</title><script type="module">
import '${bundlePath}'
const connections = new Map()
async function connect(kind) {
  if (kind === 'shared') {
    const { port } = new SharedWorker('/worker.mjs', { type: 'module' })
    port.start()
    return port
  }
  const { port1, port2 } = new MessageChannel()
  port1.start()
  if (kind === 'dedicated') new Worker('/worker.mjs', { type: 'module' }).postMessage('hello', [port2])
  else {
    await navigator.serviceWorker.register('/worker.mjs', { type: 'module' })
    const { active } = await navigator.serviceWorker.ready
    active.postMessage('hello', [port2])
  }
  return port1
}
let calls = 0
globalThis.actIn = async (kind, name, parameters) => {
  const connecting = connections.get(kind) ?? connect(kind)
  connections.set(kind, connecting)
  const port = await connecting
  const id = (calls += 1)
  return new Promise((resolve) => {
    port.addEventListener('message', ({ data }) => data[0] === id && resolve(data[1]))
    port.postMessage([id, name, parameters])
  })
}
globalThis.ready = true
</script>`
}

/** Opens a page and, unless told otherwise, a session in it. */
export async function openTab(
  context: BrowserContext,
  origin: string,
  opening: Opening | null = {},
  path = '/page',
): Promise<Tab> {
  const page = await context.newPage()
  await page.goto(origin + path)
  await page.waitForFunction('globalThis.ready === true')
  const tab = tabOf(page, 'act')
  if (opening !== null) await tab.ask('open', opening)
  return tab
}

/** A worker of this page, with its own session. */
export async function openWorker(
  { page }: Tab,
  kind: 'dedicated' | 'shared' | 'service',
  opening: Opening,
): Promise<Tab> {
  const tab = tabOf(page, `(...call) => actIn('${kind}', ...call)`)
  await tab.ask('open', opening)
  return tab
}

function tabOf(page: Page, call: string): Tab {
  const tell: Tab['tell'] = (name, ...parameters) =>
    page.evaluate(`(${call})(${JSON.stringify(name)}, ${JSON.stringify(parameters)})`)
  return {
    page,
    tell,
    async ask<Name extends Action>(name: Name, ...parameters: Parameters<Actions[Name]>): Promise<Result<Name>> {
      const told: Told<Result<Name>> = await tell(name, ...parameters)
      if (!told.ok) throw new Error(told.error)
      return told.value
    },
  }
}
