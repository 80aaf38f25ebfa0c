import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type AccessTokenGuard,
  accessTokenGuard,
  defineAdapter,
  type Endpoint,
  readNodeRequest,
  toNodeHandler,
  writeNodeResponse,
} from '@baton/http'
import type { Adapter } from './adapter.js'
import { serve, type Served } from './serve.js'
import { editHeaderRecord, type World } from './world.js'

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown

/** Creates an adapter from two functions that mount an endpoint and a guard. */
export function createAdapter<Handler, Guard>(
  handler: (endpoint: Endpoint) => Handler,
  guard: (guard: AccessTokenGuard) => Guard,
): Adapter<Handler, Guard> {
  return {
    handler,
    ...defineAdapter({ mount: handler, serve: ({ endpoint }) => handler(endpoint) }),
    requireAccessToken: (options) => guard(accessTokenGuard(options)),
  }
}

const bare = createAdapter<Listener, Listener>(toNodeHandler, (guard) => async (request, response) => {
  const verdict = await guard(readNodeRequest(request))
  if (!verdict.ok) {
    writeNodeResponse(response, verdict.response)
    return
  }
  for (const [name, value] of verdict.headers) response.setHeader(name, value)
  response.setHeader('Content-Type', 'text/plain; charset=utf-8').end(verdict.claims.sub)
})

/** Serves the world on bare `node:http`, without a framework. The responses of all other servers are compared with it. */
export function serveBare(world: World): Promise<Served> {
  const { whole, exact, below, guards } = world.mounts(bare)
  const exactPaths = new Map([...exact, ...guards])
  return serve((request, response) => {
    editHeaderRecord(request.headers)
    const path = (request.url ?? '').replace(/\?.*/, '')
    const [, listener] = below.find(([prefix]) => path.startsWith(`${prefix}/`)) ?? ['', exactPaths.get(path)]
    return (listener ?? whole)(request, response)
  })
}
