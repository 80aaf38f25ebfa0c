import cluster from 'node:cluster'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { RefreshTokens } from '@baton/core'
import { type Environment, warnOfDerivedSecrets } from './environment.js'
import { refuse } from './settings.js'

const PURGE_MS = 60_000
/** Below what supervisors commonly wait before they kill. */
const STOP_MS = 8_000
/** A store that does not answer any more cannot say goodbye. */
const CLOSE_MS = 1_000

/** What every framework makes of an app. A promise that it may return never rejects. */
type RequestHandler = (request: IncomingMessage, response: ServerResponse) => unknown

export interface Serving {
  readonly env: Environment
  readonly tokens: RefreshTokens
  /** Closes what the server has opened, once the last answer is out. */
  readonly close?: () => unknown
}

/**
 * Listens on loopback and purges dead sessions once a minute. SIGTERM and SIGINT finish the requests in flight, close what is
 * idle, and exit with 0.
 */
export function serve(answer: RequestHandler, { env, tokens, close }: Serving): void {
  const server = createServer((request, response) => void answer(request, response))
  const hangUp = hangUpWhenIdle(server)

  server.once('error', (error) => refuse('PORT', `${env.port} cannot be listened on (${error.message})`))
  server.listen(env.port, '127.0.0.1', () => {
    warnOfDerivedSecrets(env)
    // Where a parent has several workers listen, it tells once all of them do.
    if (cluster.isPrimary) console.log(`listening on ${env.origin}`)
  })

  setInterval(() => {
    tokens.purge().catch((error: unknown) => {
      console.warn('purge failed, will be tried again', error)
    })
  }, PURGE_MS).unref()

  let stopping = false
  function stop() {
    // npm and pnpm pass on a signal that the terminal has sent to us already: the second one is no order to drop everything.
    if (stopping) return
    stopping = true
    server.close(() => {
      void Promise.resolve(close?.()).then(() => process.exit(0))
      setTimeout(() => process.exit(0), CLOSE_MS)
    })
    hangUp()
    // A client that never finishes its request must not hold up the others' deployment.
    setTimeout(() => {
      server.closeAllConnections()
    }, STOP_MS).unref()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
}

/**
 * Returns a function that closes idle connections at once and the others after their response, which says `Connection: close`: a
 * client or proxy that reused the connection would lose its next request. `server.close` alone waits for clients that keep a
 * connection open, or have opened one and sent nothing yet.
 */
function hangUpWhenIdle(server: Server): () => void {
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
