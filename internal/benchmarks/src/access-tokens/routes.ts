import { createPublicKey } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { requireAccessToken as expressGuard } from '@baton/express'
import { requireAccessToken as fastifyGuard } from '@baton/fastify'
import { type AccessTokenGuard, accessTokenGuard, type JwtAccessTokens, readNodeRequest } from '@baton/http'
import fastifyJwt from '@fastify/jwt'
import express, { type RequestHandler } from 'express'
import { auth, type AuthResult } from 'express-oauth2-jwt-bearer'
import { createVerifier } from 'fast-jwt'
import { fastify } from 'fastify'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { listen } from '../subject.js'
import { AUDIENCE, type createAccessTokens, ISSUER } from './tokens.js'

/** One row: a route that responds with the subject of the access token. */
export interface Route {
  readonly name: string
  readonly port: number
  readonly path: string
  readonly token: 'jwt' | 'sealed'
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>

const SUBJECT = 'user-1'

/** Serves all rows in this process, so that they are measured in turns under the same conditions. */
export async function serveRoutes(accessTokens: ReturnType<typeof createAccessTokens>): Promise<readonly Route[]> {
  const { jwt } = accessTokens
  return [...(await serveNode(accessTokens)), ...(await serveFastify(jwt)), ...(await serveExpress(jwt))]
}

/** What the other libraries check: signature, algorithm, issuer, audience and time. */
const checks = { allowedIss: ISSUER, allowedAud: AUDIENCE, algorithms: ['ES256' as const] }

function publicKeyPem(accessTokens: JwtAccessTokens): string {
  const [key = {}] = accessTokens.jwks().keys
  return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
}

async function serveNode({ jwt, sealed }: ReturnType<typeof createAccessTokens>): Promise<readonly Route[]> {
  const jwks = createLocalJWKSet({ keys: jwt.jwks().keys.map((key) => ({ ...key })) })
  const key = publicKeyPem(jwt)
  const listeners: Readonly<Record<string, Listener>> = {
    bare: (_request, response) => respond(response, SUBJECT),
    baton: guarded(accessTokenGuard({ accessTokens: jwt })),
    'baton-no-cache': guarded(accessTokenGuard({ accessTokens: jwt, cache: false })),
    'baton-sealed': guarded(accessTokenGuard({ accessTokens: sealed })),
    'baton-sealed-no-cache': guarded(accessTokenGuard({ accessTokens: sealed, cache: false })),
    jose: verified(async (token) => {
      const options = { issuer: ISSUER, audience: AUDIENCE, typ: 'at+jwt', algorithms: ['ES256'] }
      return (await jwtVerify(token, jwks, options)).payload.sub
    }),
    'fast-jwt': verified(subjectBy(createVerifier({ key, ...checks }))),
    'fast-jwt-cache': verified(subjectBy(createVerifier({ key, ...checks, cache: true }))),
  }
  const port = await listenOn((request, response) => {
    void listeners[(request.url ?? '').slice(1)]?.(request, response)
  })
  return Object.keys(listeners).map((name) => {
    return { name: `node/${name}`, port, path: `/${name}`, token: name.includes('sealed') ? 'sealed' : 'jwt' }
  })
}

async function serveFastify(jwt: JwtAccessTokens): Promise<readonly Route[]> {
  const app = fastify()
  app.get('/bare', async () => ({ sub: SUBJECT }))
  const guard = fastifyGuard({ accessTokens: jwt })
  app.get(
    '/baton',
    { onRequest: guard },
    guard.handler((request) => ({ sub: request.auth.sub })),
  )
  for (const [path, cache] of [
    ['/fastify-jwt', false],
    ['/fastify-jwt-cache', true],
  ] as const)
    await app.register(async (scope) => {
      await scope.register(fastifyJwt, { secret: { public: publicKeyPem(jwt) }, verify: { ...checks, cache } })
      const onRequest = async (request: { jwtVerify: () => Promise<unknown> }) => {
        await request.jwtVerify()
      }
      scope.get(path, { onRequest }, async ({ user }) => ({ sub: (user as { readonly sub: string }).sub }))
    })
  await app.ready()
  const port = await listenOn(app.routing.bind(app))
  return toRoutes('fastify', port, ['bare', 'baton', 'fastify-jwt', 'fastify-jwt-cache'])
}

async function serveExpress(jwt: JwtAccessTokens): Promise<readonly Route[]> {
  const keys = await listenOn((_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(jwt.jwks()))
  })
  const jwksUri = `http://127.0.0.1:${String(keys)}/jwks`
  const app = express()
  const answer: RequestHandler = (request, response) => {
    // Both libraries declare `request.auth`.
    const { auth: result } = request as { readonly auth?: unknown }
    response.json({ sub: (result as AuthResult).payload.sub })
  }
  app.get('/bare', (_request, response) => void response.json({ sub: SUBJECT }))
  app.get('/baton', expressGuard({ accessTokens: jwt }), (request, response) => {
    response.json({ sub: request.auth?.sub })
  })
  const bearer = auth({ issuer: ISSUER, audience: AUDIENCE, jwksUri, tokenSigningAlg: 'ES256' })
  app.get('/oauth2-jwt-bearer', bearer, answer)
  return toRoutes('express', await listenOn(app), ['bare', 'baton', 'oauth2-jwt-bearer'])
}

function toRoutes(server: string, port: number, names: readonly string[]): readonly Route[] {
  return names.map((name) => ({ name: `${server}/${name}`, port, path: `/${name}`, token: 'jwt' }))
}

async function listenOn(listener: RequestListener): Promise<number> {
  return listen(createServer(listener))
}

function respond(response: ServerResponse, sub: string | undefined): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ sub }))
}

function guarded(guard: AccessTokenGuard): Listener {
  return async (request, response) => {
    const outcome = await guard(readNodeRequest(request))
    if (outcome.ok) respond(response, outcome.claims.sub)
    else response.writeHead(401).end()
  }
}

/** The least code that calls a verifier. */
function verified(subjectOf: (accessToken: string) => string | undefined | Promise<string | undefined>): Listener {
  return async (request, response) => {
    try {
      respond(response, await subjectOf((request.headers.authorization ?? '').slice('Bearer '.length)))
    } catch {
      response.writeHead(401).end()
    }
  }
}

function subjectBy(verify: (accessToken: string) => unknown): (accessToken: string) => string | undefined {
  return (accessToken) => (verify(accessToken) as { readonly sub?: string }).sub
}
