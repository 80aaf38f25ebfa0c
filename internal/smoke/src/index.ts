import { createRefreshTokens, type RefreshTokens } from '@baton/core'
import * as onExpress from '@baton/express'
import * as onFastify from '@baton/fastify'
import { generateSigningKey, jwtAccessTokens, tokenEndpoint, toNodeHandler } from '@baton/http'
import * as onHono from '@baton/hono'
import * as onKoa from '@baton/koa'
import { memoryStore } from '@baton/store-memory'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { createServer, type Server } from 'node:http'

// Compiled twice, as an ES module and as CommonJS, against the packed packages: no top-level await, no import.meta.

const origin = 'http://localhost'
const accessTokens = jwtAccessTokens({ issuer: origin, audience: origin, keys: [generateSigningKey()] })
const options = { accessTokens, clients: [{ clientId: 'web' }] }

const servers: Record<string, (tokens: RefreshTokens) => Promise<Server>> = {
  async Express(tokens) {
    const app = express()
    app.post('/oauth/token', onExpress.tokenHandler(tokens, options))
    return createServer((request, response) => void app(request, response))
  },
  async Koa(tokens) {
    const answer = new Koa().use(onKoa.tokenHandler(tokens, options)).callback()
    return createServer((request, response) => void answer(request, response))
  },
  async Fastify(tokens) {
    const app = fastify()
    await app.register(onFastify.tokenPlugin(tokens, options), { prefix: '/oauth/token' })
    await app.ready()
    return app.server
  },
  async Hono(tokens) {
    const app = new Hono().post('/oauth/token', onHono.tokenHandler(tokens, options))
    const answer = getRequestListener(app.fetch)
    return createServer((request, response) => void answer(request, response))
  },
  async 'node:http'(tokens) {
    return createServer(toNodeHandler(tokenEndpoint(tokens, options)))
  },
}

/** A rotation, a retry that is answered alike, and a replay that ends the family, over HTTP. */
async function rotate(port: number, tokens: RefreshTokens): Promise<void> {
  async function refresh(refreshToken: string): Promise<Record<string, unknown>> {
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'web', refresh_token: refreshToken })
    const answer = await fetch(`http://127.0.0.1:${port}/oauth/token`, { method: 'POST', body })
    return (await answer.json()) as Record<string, unknown>
  }
  const { refreshToken: first } = await tokens.issue({ subject: 'alice', clientId: 'web' })
  const { access_token, refresh_token: second } = await refresh(first)
  notEqual(second, first)
  const claims = await accessTokens.verify(String(access_token), Date.now())
  equal(claims?.sub, 'alice')
  equal((await refresh(first))['refresh_token'], second)
  const { refresh_token: third } = await refresh(String(second))
  notEqual(third, second)
  equal((await refresh(first))['error'], 'invalid_grant')
  deepEqual((await tokens.list({ subject: 'alice' })).items, [])
}

async function main(): Promise<void> {
  for (const [name, make] of Object.entries(servers)) {
    const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['s'.repeat(32)] })
    const server = await make(tokens)
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    try {
      await rotate(port, tokens)
    } finally {
      server.close()
      server.closeAllConnections()
    }
    process.stdout.write(`rotated on ${name}\n`)
  }
}

void main()
