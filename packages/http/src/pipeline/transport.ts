import { isLoopbackAddress, isLoopbackName, parseAddress } from './ip-address.js'
import { getPath, type PlainRequest, soleHeader } from '../messages/message.js'
import type { TransportOptions } from './options.js'

/** How a request reached this server. */
export interface Transport {
  readonly scheme: 'https' | 'http'
  /** The client's IP address: that of the socket, or the one that a trusted proxy sent. Null if it is unknown. */
  readonly address: string | null
  /** True for https, and for http that did not leave this machine. */
  readonly acceptable: boolean
  /** Why the request is not acceptable, and what to change. A fixed sentence. */
  readonly advice: () => string
  /**
   * The part before the path of the client's URL; null if `publicUrl` is not set and the Host header is not a host. Computed when it
   * is needed.
   */
  readonly base: () => string | null
}

/**
 * Creates a function that returns scheme, client address and URL of a request, for options that have been checked. Forwarding headers
 * count only as far as `trustProxy` proxies have appended to them; entries further left came from the client.
 */
export function createTransportReader({
  trustProxy = 0,
  publicUrl,
}: TransportOptions): (request: PlainRequest) => Transport {
  const base = publicUrl === undefined ? null : publicUrl.replace(/\/$/, '')
  return (request) => readTransport(request, trustProxy, base)
}

function readTransport(request: PlainRequest, trustProxy: number, base: string | null): Transport {
  const forwardedFor = forwarded(request, 'x-forwarded-for', trustProxy)
  const forwardedProto = forwarded(request, 'x-forwarded-proto', trustProxy)
  const address = forwardedFor === null ? request.remoteAddress : parseAddress(forwardedFor)
  const scheme = forwardedProto === null ? (request.encrypted ? 'https' : 'http') : parseScheme(forwardedProto)
  return {
    scheme,
    address,
    acceptable: scheme === 'https' || (isLocal(address) && hasLoopbackHost(request)),
    advice: () => httpsAdvice(request, trustProxy),
    base: () => base ?? hostOrigin(request, scheme),
  }
}

function httpsAdvice(request: PlainRequest, trustProxy: number): string {
  if (trustProxy === 0)
    return request.headers['x-forwarded-proto'] === undefined
      ? 'Use https. If a proxy terminates TLS, let it set X-Forwarded-Proto, and set the option trustProxy.'
      : 'Use https. X-Forwarded-Proto is ignored because the option trustProxy is not set.'
  if (request.headers['x-forwarded-proto'] === undefined)
    return 'Use https. The option trustProxy is set, but the request has no X-Forwarded-Proto; let the proxy set it.'
  return forwarded(request, 'x-forwarded-proto', trustProxy) === null
    ? 'Use https. X-Forwarded-Proto has fewer entries than the option trustProxy says that there are proxies.'
    : 'Use https. By X-Forwarded-Proto, the client did not; check that header and the number of proxies in trustProxy.'
}

/** Returns the origin under which the client reached this server; null if it is unknown. */
export function ownOrigin(transport: Transport): string | null {
  const base = transport.base()
  return base === null ? null : parseOrigin(base)
}

/** Returns the URL under which the client reached this server, without the query; null if it is unknown. */
export function getUrl(request: PlainRequest, transport: Transport): string | null {
  const base = transport.base()
  return base === null ? null : base + getPath(request)
}

function hostOrigin(request: PlainRequest, scheme: Transport['scheme']): string | null {
  const host = hostHeader(request)
  return host === null ? null : parseOrigin(`${scheme}://${host}`)
}

/** Returns the entry of the outermost trusted proxy; null if there is none, because the request did not pass through all proxies. */
function forwarded({ headers }: PlainRequest, name: string, trustProxy: number): string | null {
  if (trustProxy === 0) return null
  const entries = (headers[name] ?? [])
    .join(',')
    .split(',')
    .map((entry) => entry.trim())
  // Proxies that overwrite X-Forwarded-Proto leave one entry, which a proxy wrote.
  const position = name === 'x-forwarded-proto' && entries.length === 1 ? 0 : entries.length - trustProxy
  const entry = entries[position]
  return entry === undefined || entry === '' ? null : entry
}

function parseScheme(text: string): Transport['scheme'] {
  return text.toLowerCase() === 'https' ? 'https' : 'http'
}

/** An unknown address counts as local; the Host header then decides. */
function isLocal(address: string | null): boolean {
  return address === null || isLoopbackAddress(address)
}

/**
 * Returns true if the Host header names this machine. Behind a proxy on this machine every address is loopback, and so is that of a
 * foreign name that resolves to loopback. The Host header shows both.
 */
function hasLoopbackHost(request: PlainRequest): boolean {
  const host = hostHeader(request)
  return host !== null && isLoopbackName(host.replace(/:\d+$/, ''))
}

function hostHeader(request: PlainRequest): string | null {
  const host = soleHeader(request, 'host') ?? soleHeader(request, ':authority')
  return host !== null && /^[A-Za-z0-9._:[\]-]+$/.test(host) ? host : null
}

function parseOrigin(url: string): string | null {
  try {
    return new URL(url).origin
  } catch {
    return null
  }
}
