import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as onExpress from '@baton/express'
import * as onFastify from '@baton/fastify'
import { type Endpoint, toNodeHandler } from '@baton/http'
import * as onKoa from '@baton/koa'
import express from 'express'
import { fastify } from 'fastify'
import Koa from 'koa'

/** Where each framework has the console. */
const MOUNT = '/admin/sessions'

/** The console behind each framework, as its README says, with a parser in front where there usually is one. */
export const SERVERS: Record<string, (endpoint: Endpoint) => Promise<Server>> = {
  async Express(endpoint) {
    const app = express()
    app.use(express.json())
    app.use(MOUNT, onExpress.handler(endpoint))
    return createServer((request, response) => void app(request, response))
  },
  async Koa(endpoint) {
    const app = new Koa()
    const answer = onKoa.handler(endpoint)
    app.use((ctx, next) => (ctx.path === MOUNT ? answer(ctx, next) : next()))
    const listener = app.callback()
    return createServer((request, response) => void listener(request, response))
  },
  async Fastify(endpoint) {
    const app = fastify()
    await app.register(onFastify.endpointPlugin(endpoint), { prefix: MOUNT })
    await app.ready()
    return app.server
  },
  async 'node:http'(endpoint) {
    return createServer(toNodeHandler(endpoint))
  },
}

/** Listens on a free port of this machine and resolves to the console's address. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}${MOUNT}`
}
