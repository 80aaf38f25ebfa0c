import cluster from 'node:cluster'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { RefreshTokens } from '@baton/core'
import { type Environment, warnAboutDerivedSecrets } from './environment.js'
import { exitWithProblem } from './settings.js'

const PURGE_MS = 60_000
/** Less than the usual timeout of supervisors. */
const STOP_MS = 8_000
/** An unresponsive store cannot be closed cleanly. */
const CLOSE_MS = 1_000

/** The request handler of any framework. Its promise, if any, never rejects. */
type RequestHandler = (request: IncomingMessage, response: ServerResponse) => unknown

export interface Serving {
  readonly env: Pick<Environment, 'port' | 'origin' | 'derivedSecrets'>
  /** Purged regularly. A server without sessions has none. */
  readonly tokens?: RefreshTokens
  /** Closes the connections of the server to its store. Called after the last response. */
  readonly close?: () => unknown
}

/**
 * Listens on loopback and purges expired sessions, if there are any, once a minute. SIGTERM and SIGINT finish the requests in flight,
 * close idle connections, and exit with 0.
 */
export function serve(handler: RequestHandler, { env, tokens, close }: Serving): void {
  const server = createServer((request, response) => void handler(request, response))
  const closeConnections = closeConnectionsGracefully(server)

  server.once('error', (error) => exitWithProblem('PORT', `${env.port} is not available (${error.message})`))
  server.listen(env.port, '127.0.0.1', () => {
    warnAboutDerivedSecrets(env)
    // A parent with several workers prints this once all of them listen.
    if (cluster.isPrimary) console.log(`listening on ${env.origin}`)
  })

  setInterval(() => {
    tokens?.purge().catch((error: unknown) => {
      console.warn('purge failed and will be repeated', error)
    })
  }, PURGE_MS).unref()

  let stopping = false
  function stop() {
    // npm and pnpm forward a signal that the terminal has already sent. The second one must not abort the shutdown.
    if (stopping) return
    stopping = true
    server.close(() => {
      void Promise.resolve(close?.()).then(() => process.exit(0))
      setTimeout(() => process.exit(0), CLOSE_MS)
    })
    closeConnections()
    // A client that never finishes its request must not delay the shutdown.
    setTimeout(() => {
      server.closeAllConnections()
    }, STOP_MS).unref()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
}

/**
 * Returns a function that closes idle connections at once and the others after their response, with `Connection:
 * close`. A client or proxy that reused such a connection would lose its next request. `server.close` alone waits for
 * clients that keep a connection open.
 */
function closeConnectionsGracefully(server: Server): () => void {
  const idle = new Set<Socket>()
  const inFlight = new Set<ServerResponse>()
  let stopping = false
  const announceClose = (response: ServerResponse) => {
    if (!response.headersSent) response.setHeader('Connection', 'close')
  }
  server.on('connection', (socket) => {
    idle.add(socket)
    socket.once('close', () => idle.delete(socket))
  })
  server.prependListener('request', ({ socket }, response) => {
    idle.delete(socket)
    inFlight.add(response)
    if (stopping) announceClose(response)
    response.once('close', () => {
      inFlight.delete(response)
      if (stopping) socket.destroySoon()
      else if (!socket.destroyed) idle.add(socket)
    })
  })
  return () => {
    stopping = true
    for (const response of inFlight) announceClose(response)
    for (const socket of idle) socket.destroySoon()
  }
}
