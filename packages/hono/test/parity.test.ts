import type { Server } from 'node:http'
import { describeParity, editHeaders, listen, type Served, type World } from '@baton/http-parity'
import { createAdaptorServer } from '@hono/node-server'
import { Hono, type MiddlewareHandler } from 'hono'
import * as adapter from '../src/index.js'

type Guard = MiddlewareHandler<{ Variables: adapter.AuthVariables }>

/** Hono's own `c.text` writes the name of the charset in upper case. */
const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' }

function start(world: World): Promise<Served> {
  const { whole, exact, below, guards } = world.mounts<MiddlewareHandler, Guard>(adapter)
  const app = new Hono({ strict: false })
  app.use(async (c, next) => {
    editHeaders(c.req.raw.headers)
    await next()
  })
  app.use(whole)
  for (const [path, handler] of exact) app.all(path, handler)
  for (const [path, handler] of below) app.all(`${path}/*`, handler)
  for (const [path, guard] of guards) app.get(path, guard, (c) => c.body(c.var.auth.sub, 200, TEXT))
  return listen(createAdaptorServer({ fetch: app.fetch }) as Server)
}

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

describeParity('Hono', start, {
  'repeated headers in the request and the response': JOINED,
  'a response without a body': JOINED,
  'a response without a body, to HEAD': JOINED,
})
