import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname } from 'node:path'
import type { Observer } from './observer.js'

/** The settings of the server that the page displays. */
export interface PageFacts {
  /** Each start of the demo has a new database, for which earlier tokens are unknown. */
  readonly run: string
  readonly accessSeconds: number
  readonly idleSeconds: number
  readonly absoluteSeconds: number
  readonly graceSeconds: number
}

const FILES = ['index.html', 'style.css', 'app.js', 'session.js', 'history.js', 'picture.js', 'tabs.js', 'icon.svg']
const CLIENT = [
  ['/client/index.js', import.meta.resolve('@baton/client')],
  ['/client/oauth.js', import.meta.resolve('@baton/client/oauth')],
  ['/client/web-storage.js', import.meta.resolve('@baton/client/web-storage')],
] as const
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}
const SECURITY = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** Serves the page and `/demo/…`. All other requests go to the example server. */
export function servePage(facts: PageFacts) {
  const files = new Map(FILES.map((name) => [`/${name}`, readFileSync(new URL(`../page/${name}`, import.meta.url))]))
  // The published files run in a browser unchanged: they import each other by relative paths.
  for (const [path, url] of CLIENT) files.set(path, readFileSync(new URL(url)))
  const home = files.get('/index.html')
  if (home !== undefined) files.set('/', home)

  return (observer: Observer, req: IncomingMessage, res: ServerResponse): boolean => {
    const path = (req.url ?? '').replace(/\?.*/s, '')
    const file = files.get(path)
    if (req.method !== 'GET') return false
    if (file !== undefined) {
      const type = TYPES[extname(path) || '.html'] ?? 'application/octet-stream'
      res.writeHead(200, { ...SECURITY, 'content-type': type, 'cache-control': 'no-store' }).end(file)
      return true
    }
    if (path === '/demo/facts') {
      res.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(facts))
      return true
    }
    if (path !== '/demo/observations') return false
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const stop = observer.watch((observation) => res.write(`data: ${JSON.stringify(observation)}\n\n`))
    res.once('close', stop)
    return true
  }
}
