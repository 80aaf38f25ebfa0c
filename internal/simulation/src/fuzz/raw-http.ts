import { connect } from 'node:net'
import * as express from '@baton/express'
import * as fastify from '@baton/fastify'
import { createRefreshTokens } from '@baton/core'
import type { TokenEndpointOptions } from '@baton/http'
import { toNodeHandler, tokenEndpoint } from '@baton/http'
import { serve, type Served } from '@baton/http-parity'
import * as koa from '@baton/koa'
import { memoryStore } from '@baton/store-memory'
import Router from '@koa/router'
import createExpress from 'express'
import createFastify from 'fastify'
import Koa from 'koa'
import type { FuzzTarget } from './targets.js'

const NOW = Date.UTC(2030, 0, 1)
const PATH = '/oauth/token'
const TIMEOUT_MS = 60_000

const REQUESTS = [
  'POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 51\r\n\r\ngrant_type=refresh_token&client_id=a&refresh_token=b',
  'POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n5\r\na=b&c\r\n0\r\n\r\n',
  'GET /oauth/token?grant_type=x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic Og==\r\n\r\n',
  'POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  'OPTIONS * HTTP/1.0\r\n\r\n',
]

/** Creates a target for the same endpoint behind each adapter, on real sockets. `close` stops the servers. */
export async function createRawTargets(): Promise<{ targets: readonly FuzzTarget[]; close: () => Promise<void> }> {
  const tokens = createRefreshTokens({
    store: memoryStore(),
    secrets: ['the secret of the fuzz targets, long enough.'],
    now: () => NOW,
  })
  const options: TokenEndpointOptions = {
    accessTokens: async () => ({ accessToken: 'at', expiresIn: 60 }),
    clients: [{ clientId: 'a' }],
    rateLimit: false,
    onError: () => undefined,
  }
  const app = createFastify()
  await app.register(fastify.tokenPlugin(tokens, options), { prefix: PATH })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const router = new Router().all(PATH, koa.tokenHandler(tokens, options))
  const koaApp = new Koa()
  koaApp.silent = true
  const servers: Readonly<Record<string, Served>> = {
    'node:http': await serve(toNodeHandler(tokenEndpoint(tokens, options))),
    Express: await serve(createExpress().all(PATH, express.tokenHandler(tokens, options))),
    Koa: await serve(koaApp.use(router.routes()).callback()),
    Fastify: { port: Number(new URL(address).port), close: () => app.close() },
  }
  return {
    targets: Object.entries(servers).map(([name, { port }]) => ({
      name: `bytes on a socket of ${name}`,
      seeds: REQUESTS,
      feed: (input) => feed(port, input),
    })),
    async close() {
      await Promise.all(Object.values(servers).map((server) => server.close()))
    },
  }
}

/** Sends the input. Every response must be a rejection, and the server must still answer the next request. */
async function feed(port: number, input: Uint8Array): Promise<void> {
  assertRejections(await exchange(port, input))
  const [request = ''] = REQUESTS
  assertRejections(await exchange(port, Buffer.from(request)), 1)
}

function assertRejections(response: string, minCount = 0): void {
  const statuses = [...response.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))
  if (statuses.length < minCount) throw new Error('the server does not respond any more')
  // Express answers OPTIONS itself, and adapters pass on requests for other routes.
  const wrong = statuses.find((status) => status >= 500 && status !== 501 && status !== 505)
  if (wrong !== undefined) throw new Error(`the response has the status ${String(wrong)}`)
  if (/"access_token"|refresh_token":/.test(response)) throw new Error('the response contains a token')
}

/** Sends the bytes, closes the connection for writing and reads the response. */
function exchange(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.end(bytes))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.once('error', () => {
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
    socket.once('close', () => {
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
    socket.setTimeout(TIMEOUT_MS, () => {
      reject(new Error('the server keeps the connection open without a response'))
      socket.destroy()
    })
  })
}
