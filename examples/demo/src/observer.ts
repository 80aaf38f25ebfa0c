import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { RefreshEvent } from '@baton/core'
import { readFamilyId, fingerprint, readString } from './fingerprint.js'

/** Sent by the page and by the steps. The observer removes it. */
const ACTOR_HEADER = 'demo-actor'
/** The observer drops the response to this request. */
export const LOSE_HEADER = 'demo-lose-response'

const MAX_BODY_BYTES = 65_536
const MAX_OBSERVATIONS = 2000

/** One request and its response, with fingerprints instead of tokens. */
export interface Exchange {
  readonly at: number
  readonly actor: string | null
  readonly method: string
  readonly path: string
  readonly status: number
  /** The server has responded, and the observer has dropped the response. */
  readonly lost: boolean
  readonly presented: Sighting | null
  readonly received: Sighting | null
}

/** An observed refresh token. Family and generation are null for tokens that no response contained. */
interface Sighting {
  readonly fingerprint: string
  readonly familyId: string | null
  readonly generation: number | null
}

type Observation =
  | { readonly kind: 'exchange'; readonly exchange: Exchange }
  /** An event emitted by Baton. */
  | { readonly kind: 'event'; readonly event: RefreshEvent }

export interface Observer {
  readonly port: number
  readonly observations: readonly Observation[]
  report(event: RefreshEvent): void
  /** Calls back for all earlier observations and for every new one. Returns a function that stops it. */
  watch(listener: (observation: Observation) => void): () => void
  close(): Promise<void>
}

export interface ObserverOptions {
  readonly port: number
  /** The port of the example server. */
  readonly upstream: number
  /** Handles the requests for the demo page. Returns false to forward a request to the server. */
  readonly serve?: (observer: Observer, req: IncomingMessage, res: ServerResponse) => boolean
}

/**
 * A proxy in front of the example server, on loopback. It forwards and records all requests, and drops the response to a
 * request with the header `LOSE_HEADER`, after the server has committed it.
 */
export async function startObserver({ port, upstream, serve }: ObserverOptions): Promise<Observer> {
  const news = new EventEmitter().setMaxListeners(0)
  const observations: Observation[] = []
  const tracker = createTokenTracker()

  function record(observation: Observation) {
    observations.push(observation)
    if (observations.length > MAX_OBSERVATIONS) observations.shift()
    news.emit('observation', observation)
  }

  const server = createServer((req, res) => {
    if (serve?.(observer, req, res)) return
    proxy(req, res).catch(() => {
      if (!res.headersSent) res.writeHead(502).end()
      else res.destroy()
    })
  })

  async function proxy(req: IncomingMessage, res: ServerResponse) {
    const body = await read(req)
    if (body === null) {
      res.writeHead(413, { connection: 'close' }).end()
      return
    }
    const response = await forward(upstream, req, body)
    const lost = req.headers[LOSE_HEADER] !== undefined && response.status === 200
    const presented = tracker.presented(req, body)
    record({
      kind: 'exchange',
      exchange: {
        at: Date.now(),
        actor: req.headers[ACTOR_HEADER]?.toString() ?? null,
        method: req.method ?? '',
        path: (req.url ?? '').replace(/\?.*/s, ''),
        status: response.status,
        lost,
        presented,
        received: tracker.received(response.body, presented),
      },
    })
    res.writeHead(response.status, response.headers)
    if (!lost) res.end(response.body)
    else {
      // Without a response head, browsers repeat the request themselves, and the loss would not be visible.
      res.flushHeaders()
      setTimeout(() => res.destroy(), 50)
    }
  }

  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const observer: Observer = {
    port: typeof address === 'object' && address !== null ? address.port : port,
    observations,
    report: (event) => record({ kind: 'event', event }),
    watch(listener) {
      for (const observation of observations) listener(observation)
      news.on('observation', listener)
      return () => news.off('observation', listener)
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return observer
}

/** Tracks the refresh tokens of responses by fingerprint. A login has generation 0, each refresh adds 1. */
function createTokenTracker() {
  const known = new Map<string, Sighting>()
  return {
    presented(req: IncomingMessage, body: Buffer): Sighting | null {
      if (!(req.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded')) return null
      const form = new URLSearchParams(body.toString())
      const token = form.get('refresh_token') ?? form.get('token')
      if (token === null) return null
      const print = fingerprint(token)
      return known.get(print) ?? { fingerprint: print, familyId: null, generation: null }
    },
    received(body: Buffer, presented: Sighting | null): Sighting | null {
      const response = parseJson(body)
      const refreshToken = readString(response, 'refresh_token')
      if (refreshToken === null) return null
      const print = fingerprint(refreshToken)
      const sighting = known.get(print) ?? {
        fingerprint: print,
        familyId: presented?.familyId ?? readFamilyId(readString(response, 'access_token') ?? ''),
        generation: presented === null ? 0 : presented.generation === null ? null : presented.generation + 1,
      }
      known.set(print, sighting)
      return sighting
    },
  }
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return null
  }
}

async function read(message: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function forward(port: number, { method, url, headers }: IncomingMessage, body: Buffer) {
  const outgoingHeaders = { ...headers }
  for (const name of [ACTOR_HEADER, LOSE_HEADER, 'connection', 'transfer-encoding'])
    Reflect.deleteProperty(outgoingHeaders, name)
  // The server expects its own origin: a same-origin request of the page must stay same-origin.
  if (headers.origin === `http://${headers.host ?? ''}`) outgoingHeaders.origin = `http://127.0.0.1:${port}`
  if (body.length > 0) outgoingHeaders['content-length'] = String(body.length)
  const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers: outgoingHeaders, agent: false })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  const response = await read(incoming)
  return { status: incoming.statusCode ?? 502, headers: endToEnd(incoming.headers), body: response ?? Buffer.alloc(0) }
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...rest } = headers
  return rest
}
