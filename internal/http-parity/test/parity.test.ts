import type { Server } from 'node:http'
import { toWebHandler, webGuard, type WebOptions } from '@baton/http'
import { createAdaptorServer } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, type Handler, Hono } from 'hono'
import { describeParity, editHeaders, listen, createAdapter, serveBare, type Served, type World } from '../src/index.js'

const webOptions = (c: Context): WebOptions => ({ remoteAddress: () => getConnInfo(c).remote.address ?? null })

const hono = createAdapter<Handler, Handler>(
  (endpoint) => (c) => toWebHandler(endpoint, webOptions(c))(c.req.raw),
  (guard) => async (c) => {
    const verdict = await webGuard(guard, webOptions(c))(c.req.raw)
    if (!verdict.ok) return verdict.response
    const headers = { ...Object.fromEntries(verdict.headers), 'Content-Type': 'text/plain; charset=utf-8' }
    return c.body(verdict.claims.sub, 200, headers)
  },
)

function serveHono(world: World): Promise<Served> {
  const { whole, exact, below, guards } = world.mounts(hono)
  const app = new Hono({ strict: false })
  app.use(async (c, next) => {
    editHeaders(c.req.raw.headers)
    await next()
  })
  for (const [path, handler] of [...exact, ...guards]) app.all(path, handler)
  for (const [path, handler] of below) app.all(`${path}/*`, handler)
  for (const path of ['/whole/*', '/.well-known/oauth-authorization-server/whole']) app.all(path, whole)
  return listen(createAdaptorServer({ fetch: app.fetch }) as Server)
}

describeParity('bare node:http, in another world,', serveBare)
/** `Headers` joins repeated headers with commas, which is equivalent. Only Set-Cookie is kept separate. */
const JOINED = {
  status: 207,
  headers: {
    'content-type': ['text/x-mirror'],
    'set-cookie': ['a=1; Path=/; Expires=Thu, 01 May 2031 12:00:00 GMT', 'b=2; Path=/'],
    'www-authenticate': ['Bearer realm="api", DPoP algs="ES256 EdDSA"'],
    vary: ['Origin, Cookie'],
  },
}

describeParity('toWebHandler behind Hono', serveHono, {
  'repeated headers in the request and the response': JOINED,
  'a response without a body': JOINED,
  'a response without a body, to HEAD': JOINED,
})
