import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { handler as expressHandler } from '@baton/express'
import { endpointPlugin as fastifyPlugin } from '@baton/fastify'
import { type Endpoint, toNodeHandler, toWebHandler } from '@baton/http'
import { handler as koaHandler } from '@baton/koa'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { fastify, type FastifyInstance } from 'fastify'
import Koa from 'koa'
import type { ServerName } from '../row.js'
import { listen, PATH } from '../subject.js'

/** Serves an endpoint of Baton as in the README of the adapter, and returns the port. */
export async function serve(server: ServerName, endpoint: Endpoint): Promise<number> {
  switch (server) {
    case 'node':
      return listenOn(toNodeHandler(endpoint))
    case 'web': {
      const fetch = toWebHandler(endpoint)
      return listenWeb((request) => fetch(request))
    }
    case 'fastify': {
      const app = fastify()
      await app.register(fastifyPlugin(endpoint), { prefix: PATH })
      await app.ready()
      return listenFastify(app)
    }
    case 'koa':
      return listenOn(new Koa().use(koaHandler(endpoint)).callback())
    case 'express': {
      const app = express()
      app.post(PATH, expressHandler(endpoint))
      return listenOn(app)
    }
  }
}

/** Reads the body and responds with a constant: the cost of the framework alone. */
export async function serveConstant(server: ServerName, body: string): Promise<number> {
  switch (server) {
    case 'node':
      return listen(
        createServer((request, response) => {
          request.resume().on('end', () => {
            response.setHeader('content-type', 'application/json')
            response.end(body)
          })
        }),
      )
    case 'web': {
      const headers = { 'content-type': 'application/json' }
      const answer = async (request: Request) => {
        await request.text()
        return new Response(body, { headers })
      }
      return listenWeb(answer)
    }
    case 'fastify': {
      const app = fastify()
      app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, parsed) => parsed(null, text))
      app.post(PATH, (_request, reply) => reply.type('application/json').send(body))
      await app.ready()
      return listenFastify(app)
    }
    case 'koa': {
      const app = new Koa()
      app.use(async (ctx) => {
        await new Promise((resolve) => ctx.req.resume().on('end', resolve))
        ctx.type = 'json'
        ctx.body = body
      })
      return listenOn(app.callback())
    }
    case 'express': {
      const app = express()
      app.post(PATH, (request, response) => {
        request.resume().on('end', () => {
          response.type('json').send(body)
        })
      })
      return listenOn(app)
    }
  }
}

function listenOn(handle: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<number> {
  return listen(createServer((request, response) => void handle(request, response)))
}

function listenWeb(fetch: (request: Request) => Promise<Response>): Promise<number> {
  return listenOn(getRequestListener(fetch, { overrideGlobalObjects: false }))
}

async function listenFastify(app: FastifyInstance): Promise<number> {
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  return Number(new URL(address).port)
}
