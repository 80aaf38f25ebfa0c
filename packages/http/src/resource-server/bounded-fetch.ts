import { declareOptions, func, optional, type ParsedOptions, seconds, withDefault } from '@baton/core/options'
import { endpointOptions } from '../pipeline/options.js'
import { IssuerError } from './issuer-error.js'

/** How another server is called. */
export const fetchOptions = declareOptions({
  /** Sends the requests. Default: the global `fetch`. */
  fetch: optional(func<typeof globalThis.fetch>()),
  /** The time limit of a request, with its body. 1 to 60, default 5. Discovery and the key set share one time limit. */
  timeoutSeconds: withDefault(seconds({ min: 1, max: 60 }), 5),
  /**
   * Called with every error of the other server that rejects no request, because an earlier response is used. Errors that reject a request
   * are passed to `onError` of the guard. Default: a process warning with the name and code of the error.
   */
  onError: endpointOptions.fields.onError,
})

export type FetchOptions = Pick<ParsedOptions<typeof fetchOptions>, 'fetch' | 'timeoutSeconds'>

/** The longest response that is read, in bytes. A set of 100 keys with certificates is shorter. */
const MAX_RESPONSE_BYTES = 262_144

export interface JsonRequest {
  readonly url: string
  /** Names the response in errors, such as "the key set". */
  readonly document: string
  readonly signal: AbortSignal
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

interface HttpResult {
  readonly status: number
  readonly text: string
}

/** Returns the signal that ends the requests of one operation. */
export function deadline({ timeoutSeconds }: FetchOptions): AbortSignal {
  return AbortSignal.timeout(timeoutSeconds * 1000)
}

/**
 * Sends a request to another server and returns a JSON object. Follows no redirect and reads a bounded number of bytes. Rejects with
 * `IssuerError`.
 */
export async function fetchObject(
  options: FetchOptions,
  request: JsonRequest,
): Promise<Readonly<Record<string, unknown>>> {
  const { document } = request
  const { status, text } = await fetchText(options, request)
  if (status !== 200) throw new IssuerError(document, `has the status ${String(status)}, expected 200`, { status })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The error of the parser quotes the text.
    throw new IssuerError(document, text.trimStart().startsWith('<') ? 'is HTML or XML, expected JSON' : 'is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new IssuerError(document, 'is not a JSON object')
  return value as Readonly<Record<string, unknown>>
}

async function fetchText({ fetch = globalThis.fetch }: FetchOptions, request: JsonRequest): Promise<HttpResult> {
  const { url, document, signal, method = 'GET', headers = {}, body = null } = request
  try {
    const init = {
      method,
      signal,
      body,
      redirect: 'manual',
      headers: { accept: 'application/json', ...headers },
    } as const
    const response = await untilAborted(fetch(url, init), signal)
    assertNoRedirect(document, response)
    return { status: response.status, text: await untilAborted(readBounded(document, response), signal) }
  } catch (cause) {
    if (cause instanceof IssuerError) throw cause
    if (signal.aborted) throw new IssuerError(document, 'did not arrive within timeoutSeconds', { cause })
    throw new IssuerError(document, 'could not be fetched; see cause', { cause })
  }
}

/** A runtime may represent a redirect by a response of status 0. */
function assertNoRedirect(document: string, { status, type }: Response): void {
  if (type === 'opaqueredirect' || (status >= 300 && status < 400))
    throw new IssuerError(document, 'is a redirect; redirects are not followed, so use the final URL', { status })
}

async function readBounded(document: string, { body }: Response): Promise<string> {
  if (body === null) return ''
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return Buffer.concat(chunks).toString('utf8')
    length += value.byteLength
    if (length > MAX_RESPONSE_BYTES) {
      // Not awaited: some runtimes settle it only once the sender stops.
      reader.cancel().catch(() => undefined)
      throw new IssuerError(document, `is longer than ${String(MAX_RESPONSE_BYTES)} bytes`)
    }
    chunks.push(value)
  }
}

/** Rejects when the signal is aborted, also for a custom `fetch` that ignores the signal. */
async function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort)
    })
  })
}
