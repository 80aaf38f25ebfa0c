import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { ConfigurationError } from '@baton/core'
import { nextBatch } from '@baton/core/store'
import { MAX_BODY_BYTES } from '../messages/body.js'
import {
  type Endpoint,
  originForm,
  type PeerCertificate,
  type PlainBody,
  type PlainRequest,
  type PlainResponse,
  splitSingleHeader,
} from '../messages/message.js'

export interface NodeRequestOptions {
  /** The result of a body parser. Used only if the stream has been read already. Default: `request.body`. */
  readonly body?: unknown
  /** The headers, for a framework that stores them elsewhere. Default: `request.headers`. */
  readonly headers?: IncomingMessage['headers']
  /** The path and query that the client sent, if a router has shortened `req.url`. */
  readonly originalUrl?: string
}

/**
 * Serves an endpoint on `node:http`: `createServer(toNodeHandler(endpoint))`.
 *
 * @example
 * ```ts
 * import { refreshEndpoint, toNodeHandler } from '@baton/http'
 * import { createServer } from 'node:http'
 *
 * createServer(toNodeHandler(refreshEndpoint(tokens, { accessTokens, cookie: true }))).listen(3000, '127.0.0.1')
 * ```
 */
export function toNodeHandler(endpoint: Endpoint): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    handleNodeRequest(endpoint, request)
      .then((plain) => writeNodeResponse(response, plain))
      // Endpoints of this package never reject. If one of the app rejects, the client must not wait for a response.
      .catch(() => response.destroy())
  }
}

/**
 * Passes a Node request to an endpoint and returns its response. Requests that arrive in one turn of the event loop are processed as one
 * batch: see `nextBatch` of `@baton/core/store`. Rejects if the endpoint rejects.
 *
 * @example
 * ```ts
 * import { type Endpoint, handleNodeRequest, writeNodeResponse } from '@baton/http'
 * import type { IncomingMessage, ServerResponse } from 'node:http'
 *
 * async function serve(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse) {
 *   writeNodeResponse(response, await handleNodeRequest(endpoint, request))
 * }
 * ```
 */
export async function handleNodeRequest(
  endpoint: Endpoint,
  request: IncomingMessage,
  options?: NodeRequestOptions,
): Promise<PlainResponse> {
  const plain = readNodeRequest(request, options)
  const isTouched = plain.body.kind === 'stream' && request.readableFlowing !== null
  // Before the first await: a stream that already flows emits its data in this turn of the event loop.
  const whole = isTouched ? { ...plain, body: collectBody(request) } : plain
  await nextBatch()
  return endpoint(whole)
}

/** The parts of a request that mocks and serverless platforms omit or imitate. */
interface MockableRequest extends Partial<Pick<IncomingMessage, 'rawHeaders' | 'socket'>> {
  readonly headers?: Readonly<Record<string, string | number | readonly string[] | undefined>>
  readonly body?: unknown
}

/**
 * Converts a Node request to a plain one. The headers are those of `request.headers`, including changes by middleware. The body is read
 * later.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, readNodeRequest } from '@baton/http'
 * import { createServer } from 'node:http'
 *
 * const guard = accessTokenGuard({ accessTokens })
 * createServer(async (request, response) => {
 *   const outcome = await guard(readNodeRequest(request))
 *   response.writeHead(outcome.ok ? 200 : 401).end()
 * })
 * ```
 */
export function readNodeRequest(request: IncomingMessage, options: NodeRequestOptions = {}): PlainRequest {
  const { method = 'GET', url = '/' } = request
  const { socket, body, rawHeaders, headers: requestHeaders } = request as MockableRequest
  const headers = toPlainHeaders(options.headers ?? requestHeaders, rawHeaders)
  return {
    method: method.toUpperCase(),
    url: originForm(options.originalUrl ?? url),
    headers,
    body: toPlainBody(request, { parsed: options.body ?? body, contentLength: Number(headers['content-length']?.[0]) }),
    remoteAddress: socket?.remoteAddress ?? null,
    encrypted: socket !== undefined && 'encrypted' in socket && socket.encrypted === true,
    peerCertificate: () => getPeerCertificate(socket),
  }
}

/**
 * Sends a plain response and keeps headers that middleware has set. Does nothing if a response has been started or the connection is closed.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, readNodeRequest, writeNodeResponse } from '@baton/http'
 * import { createServer } from 'node:http'
 *
 * const guard = accessTokenGuard({ accessTokens })
 * createServer(async (request, response) => {
 *   const outcome = await guard(readNodeRequest(request))
 *   if (outcome.ok) response.end(outcome.claims.sub)
 *   else writeNodeResponse(response, outcome.response)
 * })
 * ```
 */
export function writeNodeResponse(response: ServerResponse, { status, headers, body }: PlainResponse): void {
  if (response.headersSent || response.destroyed) return
  response.statusCode = status
  for (const [name, value] of mergeHeaders(headers, (name) => response.getHeader(name))) response.setHeader(name, value)
  response.end(body ?? undefined)
}

/** Headers that other middleware may have set. Their values are kept. */
const SHARED: ReadonlySet<string> = new Set(['set-cookie', 'vary'])

/**
 * Returns each header once, with all its values, for a `setHeader` that replaces earlier values. `present` returns the value that
 * middleware has set: values of Set-Cookie and Vary are kept, those of all other headers are replaced.
 *
 * @example
 * ```ts
 * import { mergeHeaders, type PlainResponse } from '@baton/http'
 * import type { ServerResponse } from 'node:http'
 *
 * function setHeaders(response: ServerResponse, { headers }: PlainResponse) {
 *   const present = (name: string) => response.getHeader(name)
 *   for (const [name, value] of mergeHeaders(headers, present)) response.setHeader(name, value)
 * }
 * ```
 */
export function mergeHeaders(
  headers: PlainResponse['headers'],
  present: (name: string) => number | string | readonly string[] | undefined,
): ReadonlyMap<string, string | string[]> {
  const merged = new Map<string, string | string[]>()
  for (const [name, value] of headers) {
    const before = merged.get(name) ?? (SHARED.has(name) ? present(name) : undefined)
    merged.set(name, before === undefined ? value : [...[before].flat().map(String), value])
  }
  return merged
}

function getPeerCertificate(socket: IncomingMessage['socket'] | undefined): PeerCertificate | null {
  if (!(socket instanceof TLSSocket)) return null
  const certificate = socket.getPeerX509Certificate()
  return certificate === undefined ? null : { der: certificate.raw, isVerified: socket.authorized }
}

/**
 * Node drops or joins repeated headers in `headers`. The occurrences are taken from `rawHeaders` if they add up to the value in
 * `headers`; any other value was set by middleware and replaces them.
 */
function toPlainHeaders(
  headers: MockableRequest['headers'] = {},
  rawHeaders: readonly string[] = [],
): PlainRequest['headers'] {
  const sent = parseRawHeaders(rawHeaders)
  const plain = Object.create(null) as Record<string, readonly string[] | undefined>
  for (const [field, value] of Object.entries(headers)) {
    if (value === undefined) continue
    const name = field.toLowerCase()
    const values = typeof value === 'object' ? value : listValues(name, String(value), sent.get(name))
    plain[name] = plain[name] === undefined ? values : [...plain[name], ...values]
  }
  return plain
}

function listValues(name: string, value: string, sent: readonly string[] = []): readonly string[] {
  const isSent = sent[0] === value || sent.join(', ') === value || sent.join('; ') === value
  return isSent ? sent : splitSingleHeader(name, value)
}

function parseRawHeaders(rawHeaders: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const sent = new Map<string, string[]>()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const value = rawHeaders[index + 1] ?? ''
    const earlier = sent.get(name)
    if (earlier === undefined) sent.set(name, [value])
    else earlier.push(value)
  }
  return sent
}

function toPlainBody(
  request: IncomingMessage,
  { parsed, contentLength }: { parsed: unknown; contentLength: number },
): PlainBody {
  // For an unknown content type, a parser may set the body to `{}` and not read the stream.
  if (!isUnread(request)) return { kind: 'parsed', value: parsed }
  return { kind: 'stream', read: (limit) => readWhole(request, { limit, contentLength }) }
}

/** Returns false for a request mock too: it is not a stream, and its body is in `request.body`. */
function isUnread(request: IncomingMessage): boolean {
  return request instanceof Readable && !request.readableDidRead && !request.readableEnded
}

/** Starts to collect the body immediately. */
function collectBody(request: IncomingMessage): PlainBody {
  const reading = readBounded(request, MAX_BODY_BYTES)
  // The body may never be read, and then the rejection would be unhandled.
  reading.catch(() => undefined)
  const read = async (limit: number) => withinLimit(limit, await reading)
  return { kind: 'stream', read }
}

function withinLimit(limit: number, bytes: Uint8Array | null): Uint8Array | null {
  return bytes !== null && bytes.byteLength <= limit ? bytes : null
}

/** `contentLength` is the value of the header; NaN without one. */
async function readWhole(
  request: IncomingMessage,
  { limit, contentLength }: { limit: number; contentLength: number },
): Promise<Uint8Array | null> {
  if (request.readableDidRead)
    throw new ConfigurationError(
      'body',
      'was read by another listener before this handler; add that listener before this handler runs, or run a body parser before both',
    )
  // If the whole body has arrived, no listeners are needed. `complete` cannot be used: Bun and Deno set it early. Without an argument,
  // `read` returns only one chunk from Node 26 on.
  const hasArrived = request.readableLength === contentLength && request.readableEncoding === null
  return hasArrived && !request.destroyed
    ? withinLimit(limit, (request.read(contentLength) as Buffer | null) ?? new Uint8Array())
    : readBounded(request, limit)
}

function readBounded(request: IncomingMessage, limit: number): Promise<Uint8Array | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const close = () => {
      settle(() => {
        reject(new Error('the client closed the connection before the request was complete'))
      })
    }
    const settle = (complete: () => void) => {
      request.off('data', collect).off('end', finish).off('error', close).off('close', close)
      complete()
    }
    const finish = () => {
      settle(() => {
        const [only, second] = chunks
        resolve(only !== undefined && second === undefined ? only : Buffer.concat(chunks))
      })
    }
    const collect = (chunk: Buffer | string) => {
      if (typeof chunk === 'string') {
        settle(() => {
          reject(
            new ConfigurationError(
              'body',
              'arrives as text because setEncoding was called before this handler; do not call it, or run a body parser before both',
            ),
          )
        })
        return
      }
      length += chunk.byteLength
      if (length <= limit) {
        chunks.push(chunk)
        return
      }
      settle(() => {
        // The rest is read and discarded. Otherwise the connection could not be used for the response and further requests.
        request.resume()
        resolve(null)
      })
    }
    if (request.destroyed) {
      close()
      return
    }
    // The request may be paused by an earlier handler.
    request.on('data', collect).on('end', finish).on('error', close).on('close', close).resume()
  })
}
