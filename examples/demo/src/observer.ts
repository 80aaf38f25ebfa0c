import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { RefreshEvent } from '@baton/core'
import { familyOf, fingerprint, textOf } from './fingerprint.js'

/** Sent by the page and the story with a request of theirs; the example server never sees them. */
const ACTOR_HEADER = 'demo-actor'
/** The answer to this request is to be lost on its way. */
export const LOSE_HEADER = 'demo-lose-answer'

const MOST_BODY_BYTES = 65_536
const MOST_REMEMBERED = 2000

/** One request and its answer, as a witness on the wire may tell it: fingerprints, no tokens. */
export interface Exchange {
  readonly at: number
  readonly actor: string | null
  readonly method: string
  readonly path: string
  readonly status: number
  /** The server did answer, and nobody received it. */
  readonly lost: boolean
  readonly presented: Sighting | null
  readonly received: Sighting | null
}

/** A refresh token that passed by. Family and generation are null for tokens that no answer contained. */
interface Sighting {
  readonly fingerprint: string
  readonly familyId: string | null
  readonly generation: number | null
}

type Observation =
  | { readonly kind: 'exchange'; readonly exchange: Exchange }
  /** What Baton itself reported. */
  | { readonly kind: 'event'; readonly event: RefreshEvent }

export interface Observer {
  readonly port: number
  readonly observations: readonly Observation[]
  report(event: RefreshEvent): void
  /** Calls back for everything remembered, then for everything new; returns how to stop. */
  watch(listener: (observation: Observation) => void): () => void
  close(): Promise<void>
}

export interface ObserverOptions {
  readonly port: number
  /** The port of the server that everything is passed on to. */
  readonly upstream: number
  /** Answers what belongs to the demo alone; false leaves the request to the server. */
  readonly serve?: (observer: Observer, req: IncomingMessage, res: ServerResponse) => boolean
}

/**
 * Stands before the example server on loopback: passes everything on, keeps an account of what it saw, and loses an answer
 * where it is asked to, after the server has committed it.
 */
export async function startObserver({ port, upstream, serve }: ObserverOptions): Promise<Observer> {
  const news = new EventEmitter().setMaxListeners(0)
  const observations: Observation[] = []
  const see = sightings()

  function record(observation: Observation) {
    observations.push(observation)
    if (observations.length > MOST_REMEMBERED) observations.shift()
    news.emit('observation', observation)
  }

  const server = createServer((req, res) => {
    if (serve?.(observer, req, res)) return
    pass(req, res).catch(() => {
      if (!res.headersSent) res.writeHead(502).end()
      else res.destroy()
    })
  })

  async function pass(req: IncomingMessage, res: ServerResponse) {
    const body = await read(req)
    if (body === null) {
      res.writeHead(413, { connection: 'close' }).end()
      return
    }
    const answer = await forward(upstream, req, body)
    const lost = req.headers[LOSE_HEADER] !== undefined && answer.status === 200
    const presented = see.presented(req, body)
    record({
      kind: 'exchange',
      exchange: {
        at: Date.now(),
        actor: req.headers[ACTOR_HEADER]?.toString() ?? null,
        method: req.method ?? '',
        path: (req.url ?? '').replace(/\?.*/s, ''),
        status: answer.status,
        lost,
        presented,
        received: see.received(answer.body, presented),
      },
    })
    res.writeHead(answer.status, answer.headers)
    if (!lost) res.end(answer.body)
    else {
      // Browsers repeat a request by themselves if not even a head came back, and then nobody would see it lost.
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

/** Knows every refresh token that an answer contained, by fingerprint: a login begins at 0, each answer goes one further. */
function sightings() {
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
      const answer = parsed(body)
      const refreshToken = textOf(answer, 'refresh_token')
      if (refreshToken === null) return null
      const print = fingerprint(refreshToken)
      const sighting = known.get(print) ?? {
        fingerprint: print,
        familyId: presented?.familyId ?? familyOf(textOf(answer, 'access_token') ?? ''),
        generation: presented === null ? 0 : presented.generation === null ? null : presented.generation + 1,
      }
      known.set(print, sighting)
      return sighting
    },
  }
}

function parsed(body: Buffer): unknown {
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
    if (bytes > MOST_BODY_BYTES) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

async function forward(port: number, { method, url, headers }: IncomingMessage, body: Buffer) {
  const onward = { ...headers }
  for (const name of [ACTOR_HEADER, LOSE_HEADER, 'connection', 'transfer-encoding'])
    Reflect.deleteProperty(onward, name)
  // The server goes by its own address: what comes from the page that is served here comes from a page of its own.
  if (headers.origin === `http://${headers.host ?? ''}`) onward.origin = `http://127.0.0.1:${port}`
  if (body.length > 0) onward['content-length'] = String(body.length)
  const outgoing = request({ host: '127.0.0.1', port, method, path: url, headers: onward, agent: false })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  const answer = await read(incoming)
  return { status: incoming.statusCode ?? 502, headers: endToEnd(incoming.headers), body: answer ?? Buffer.alloc(0) }
}

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...rest } = headers
  return rest
}
