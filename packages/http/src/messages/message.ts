/** An HTTP request as plain values: what every framework can give, and all that an endpoint needs. */
export interface PlainRequest {
  /** Upper case. */
  readonly method: string
  /** Path and query as the client sent them, not cut by a mount point. */
  readonly url: string
  /** Lower-case names, every occurrence on its own: a repeated header must stay visible. */
  readonly headers: Readonly<Record<string, readonly string[] | undefined>>
  readonly body: PlainBody
  /** The address of the socket, never of a forwarding header; null if the runtime does not provide it. */
  readonly remoteAddress: string | null
  /** The socket itself is TLS. */
  readonly encrypted: boolean
  /** Returns the client certificate of the TLS connection; absent if the runtime does not provide it. */
  readonly peerCertificate?: () => PeerCertificate | null
}

export interface PeerCertificate {
  readonly der: Uint8Array
  /** The TLS server has verified its chain. */
  readonly isVerified: boolean
}

export type PlainBody =
  | {
      readonly kind: 'stream'
      /** Reads all of it; null when it is longer than `limit` bytes. Called at most once. */
      read(limit: number): Promise<Uint8Array | null>
    }
  /** A parser in front of us has drained the stream: what it made of it. */
  | { readonly kind: 'parsed'; readonly value: unknown }

/** An HTTP response as plain values. */
export interface PlainResponse {
  readonly status: number
  /** In order, with lower-case names; a name may repeat, as Set-Cookie does. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | null
}

/** Returns the response to a request. Never rejects: errors are sent as responses, and reported through `onError`. */
export type Endpoint = (request: PlainRequest) => Promise<PlainResponse>

/** The only value of a header; null when it is absent or repeated. */
export function soleHeader(request: PlainRequest, name: string): string | null {
  const values = request.headers[name]
  return values?.length === 1 ? (values[0] ?? null) : null
}

/** Headers that may occur once only and whose values contain no comma. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'dpop',
  'idempotency-key',
  'origin',
  'sec-fetch-site',
  'x-baton',
  'x-baton-session',
])

/** Separates the occurrences of a repeated header that the platform has joined with commas, so that the repetition is visible. */
export function splitSingleHeader(name: string, value: string): readonly string[] {
  return SINGLE_HEADERS.has(name) && value.includes(',') ? value.split(',').map((part) => part.trim()) : [value]
}

/**
 * The path and query of a request target, which may be a whole URL (RFC 9112 section 3.2.2). Pure, and total: the authority is not
 * parsed, so that a malformed one does no harm.
 */
export function originForm(target: string): string {
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/.exec(target)?.[0]
  if (authority === undefined) return target
  const rest = target.slice(authority.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** The path without the query. */
export function getPath({ url }: Pick<PlainRequest, 'url'>): string {
  const target = originForm(url)
  const end = target.search(/[?#]/)
  return end === -1 ? target : target.slice(0, end)
}

export function getQuery({ url }: PlainRequest): URLSearchParams {
  return new URLSearchParams(/\?([^#]*)/.exec(url)?.[1])
}
