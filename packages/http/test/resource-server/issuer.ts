import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { importJWK, type JWTHeaderParameters, SignJWT } from 'jose'
import {
  accessTokenGuard,
  type AccessTokenGuardOptions,
  generateSigningKey,
  type RemoteAccessTokenClaims,
  type TokenVerifier,
} from '../../src/index.js'
import { jsonOf, request } from '../app.js'

export type Respond = (incoming: IncomingMessage, response: ServerResponse) => unknown
type Jwk = ReturnType<typeof generateSigningKey>

export const AUDIENCE = 'https://api.example'
export const METADATA = '/.well-known/oauth-authorization-server'
export const KEYS = '/jwks'

/** Responds with a JSON value. */
export const sendJson =
  (value: unknown, status = 200): Respond =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

export const redirectTo =
  (location: string): Respond =>
  (_, response) =>
    response.writeHead(302, { location }).end()

/** The public part of a key, as in a JWK set. */
export function publicOf(jwk: Jwk): Jwk {
  const secret = ['d', 'p', 'q', 'dp', 'dq', 'qi']
  return Object.fromEntries(Object.entries(jwk).filter(([name]) => !secret.includes(name)))
}

/** An authorization server on loopback that can be stopped and started again on the same port. */
export async function startIssuer({ path = '' } = {}) {
  const requests: string[] = []
  const routes = new Map<string, Respond>()
  const clock = { now: Date.UTC(2030, 0, 2, 3, 4, 5) }
  const key = generateSigningKey()
  let server = await listen(0)
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${String(port)}`
  const url = origin + path

  async function listen(at: number): Promise<Server> {
    const created = createServer((incoming, response) => {
      const target = incoming.url ?? ''
      requests.push(target)
      const respond = routes.get(target) ?? sendJson({ error: 'not_found' }, 404)
      respond(incoming, response)
    })
    created.listen(at, '127.0.0.1')
    await once(created, 'listening')
    return created
  }

  async function stop() {
    if (!server.listening) return
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }

  const start = async () => {
    server = await listen(port)
  }

  const publish = (...keys: readonly object[]) => routes.set(KEYS, sendJson({ keys }))
  routes.set(METADATA, sendJson({ issuer: url, jwks_uri: origin + KEYS }))
  publish(publicOf(key))

  /** Signs a token that is valid except for the changes. */
  async function sign(changes: TokenChanges = {}): Promise<string> {
    const signer = changes.key ?? key
    const seconds = Math.floor(clock.now / 1000)
    const claims = {
      iss: url,
      sub: 'alice',
      aud: AUDIENCE,
      client_id: 'web',
      jti: 'j',
      iat: seconds,
      exp: seconds + 900,
    }
    const header = { alg: signer['alg'] ?? 'ES256', typ: 'at+jwt', kid: signer.kid, ...changes.header }
    const token = new SignJWT({ ...claims, ...changes.claims }).setProtectedHeader(header as JWTHeaderParameters)
    return token.sign(await importJWK(signer, header.alg))
  }

  return {
    url,
    origin,
    requests,
    routes,
    clock,
    key,
    publish,
    sign,
    stop,
    start,
    requestsFor: (target: string) => requests.filter((each) => each === target).length,
  }
}

export interface TokenChanges {
  readonly key?: Jwk
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A client of an API that a guard protects. */
export function clientOf(
  accessTokens: TokenVerifier<RemoteAccessTokenClaims>,
  options: Omit<AccessTokenGuardOptions<RemoteAccessTokenClaims>, 'accessTokens'>,
) {
  const errors: unknown[] = []
  const guard = accessTokenGuard({ accessTokens, onError: (error) => errors.push(error), ...options })

  async function send(token: string) {
    const outcome = await guard(request({ headers: { authorization: `Bearer ${token}` } }))
    if (outcome.ok) return { status: 200, claims: outcome.claims, error: undefined }
    const { response } = outcome
    return { status: response.status, claims: null, error: jsonOf(response).error as string }
  }

  return { send, errors, messages: () => errors.map((error) => (error as Error).message) }
}
