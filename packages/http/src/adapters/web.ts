import { declareOptions, func, type OptionsOf, type ParsedOptions, withDefault } from '@baton/core/options'
import type { AccessTokenGuard, GuardOutcome } from '../access-tokens/guard.js'
import {
  type Endpoint,
  type PlainBody,
  type PlainRequest,
  type PlainResponse,
  splitSingleHeader,
} from '../messages/message.js'

const webOptions = declareOptions({
  /**
   * The address of the client's socket, if the runtime provides it: `(request) => server.requestIP(request)?.address ?? null`.
   * Never a forwarding header, which clients can set; use `trustProxy` for those. Default: unknown.
   */
  remoteAddress: withDefault(func<(request: Request) => string | null>(), () => null),
})

export type WebOptions = OptionsOf<typeof webOptions>

/**
 * Serves an endpoint wherever a handler maps a [`Request`](https://fetch.spec.whatwg.org/#request-class) to a `Response`, such as in
 * Hono, Next.js, Bun, Deno and Workers. The handler never rejects. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { refreshEndpoint, toWebHandler } from '@baton/http'
 *
 * export const POST = toWebHandler(refreshEndpoint(tokens, { accessTokens, cookie: true }))
 * ```
 */
export function toWebHandler(endpoint: Endpoint, options?: WebOptions): (request: Request) => Promise<Response> {
  const resolved = webOptions.parse('toWebHandler', options)
  return async (request) => toWebResponse(await endpoint(fromWebRequest(request, resolved)))
}

export type WebGuardOutcome<Claims> =
  | (Omit<Extract<GuardOutcome<Claims>, { ok: true }>, 'headers'> & {
      /** Set these on your response, as in `Response.json(value, { headers })`: the nonce for the client's next proof, if any. */
      readonly headers: Headers
    })
  | { readonly ok: false; readonly response: Response }

/**
 * Creates a function that checks a web request with a guard. It returns the claims and the headers for your response, or the response
 * that rejects the request. It does not read the body and never rejects. Throws `ConfigurationError` for invalid options.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, webGuard } from '@baton/http'
 *
 * const guard = webGuard(accessTokenGuard({ accessTokens }))
 *
 * export async function GET(request: Request) {
 *   const outcome = await guard(request)
 *   return outcome.ok ? Response.json({ sub: outcome.claims.sub }, { headers: outcome.headers }) : outcome.response
 * }
 * ```
 */
export function webGuard<Claims>(
  guard: AccessTokenGuard<Claims>,
  options?: WebOptions,
): (request: Request) => Promise<WebGuardOutcome<Claims>> {
  const resolved = webOptions.parse('webGuard', options)
  return async (request) => {
    const outcome = await guard(fromWebRequest(request, resolved))
    return outcome.ok
      ? { ...outcome, headers: toHeaders(outcome.headers) }
      : { ok: false, response: toWebResponse(outcome.response) }
  }
}

function fromWebRequest(request: Request, { remoteAddress }: ParsedOptions<typeof webOptions>): PlainRequest {
  const url = new URL(request.url)
  const headers = Object.create(null) as Record<string, readonly string[] | undefined>
  for (const [name, value] of request.headers) headers[name] = splitSingleHeader(name, value)
  // A Request that was created by a program has no Host header. Its URL has the host.
  headers['host'] ??= [url.host]
  return {
    method: request.method.toUpperCase(),
    url: url.pathname + url.search,
    headers,
    body: toPlainBody(request),
    remoteAddress: remoteAddress(request),
    encrypted: url.protocol === 'https:',
  }
}

function toPlainBody(request: Request): PlainBody {
  // Other code has read the body, and its result is not available here.
  if (request.bodyUsed) return { kind: 'parsed', value: undefined }
  return { kind: 'stream', read: (limit) => readBounded(request, limit) }
}

async function readBounded(request: Request, limit: number): Promise<Uint8Array | null> {
  // Runtimes enforce the content length (RFC 9112 section 6.3), and reading the body at once is much faster.
  const contentLength = request.headers.get('content-length') ?? ''
  if (/^\d+$/.test(contentLength) && Number(contentLength) <= limit) {
    const bytes = new Uint8Array(await request.arrayBuffer())
    return bytes.byteLength <= limit ? bytes : null
  }
  if (request.body === null) return new Uint8Array()
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks)
    length += value.byteLength
    if (length > limit) {
      // Not awaited: some runtimes settle it only after the client has stopped sending.
      reader.cancel().catch(() => undefined)
      return null
    }
    chunks.push(value)
  }
}

function toWebResponse({ status, headers, body }: PlainResponse): Response {
  // Passed with the body: a text without a type gets a default type, and a later header would be appended to it.
  return new Response(body, { status, headers: toHeaders(headers) })
}

function toHeaders(lines: PlainResponse['headers']): Headers {
  const headers = new Headers()
  for (const [name, value] of lines) headers.append(name, value)
  return headers
}
